//! The settings that `/:/prefs` lists: names, types and defaults of a 1.43.4 server (facts/plex.md §5.4).
//!
//! Those marked as needing a pass are missing, not merely disabled, on a server whose owner has none.

/// The type of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// "0"/"1" in files, "true"/"false" in lists.
    Bool,
    /// A whole number.
    Int,
    /// A fraction.
    Double,
    /// Anything, or one of [`Setting::values`].
    Text,
}

impl Kind {
    /// The name that the list uses.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::Text => "text",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file and in the API.
    pub id: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// The default as the list prints it.
    pub default: &'static str,
    /// Not shown in Plex's own settings page.
    pub hidden: bool,
    /// Shown there only among the advanced ones.
    pub advanced: bool,
    /// The page that it is shown on.
    pub group: &'static str,
    /// What it is called there.
    pub label: &'static str,
    /// The values that it may have, `value:Label` joined by `|`; empty when free.
    pub values: &'static str,
    /// Exists only on a server that was claimed by an account with a Plex Pass.
    pub pass: bool,
}

impl Setting {
    /// The value as the file keeps it; `None` when it does not fit the type.
    pub fn canonical(&self, value: &str) -> Option<String> {
        match self.kind {
            Kind::Bool => match value {
                "1" | "true" => Some("1".to_owned()),
                "0" | "false" => Some("0".to_owned()),
                _ => None,
            },
            Kind::Int => value.parse::<i64>().ok().map(|number| number.to_string()),
            Kind::Double => value.parse::<f64>().ok().map(|_| value.to_owned()),
            Kind::Text => {
                let listed = self.values.split('|').any(|one| one.split(':').next() == Some(value));
                (self.values.is_empty() || listed).then(|| value.to_owned())
            }
        }
    }
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.id == name)
}

const fn plain(
    id: &'static str,
    kind: Kind,
    default: &'static str,
    group: &'static str,
    label: &'static str,
) -> Setting {
    Setting {
        id,
        kind,
        default,
        hidden: false,
        advanced: false,
        group,
        label,
        values: "",
        pass: false,
    }
}

const fn advanced(
    id: &'static str,
    kind: Kind,
    default: &'static str,
    group: &'static str,
    label: &'static str,
) -> Setting {
    Setting {
        advanced: true,
        ..plain(id, kind, default, group, label)
    }
}

const fn hidden(id: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting {
        hidden: true,
        advanced: true,
        ..plain(id, kind, default, "", "")
    }
}

const fn choice(id: &'static str, default: &'static str, values: &'static str, label: &'static str) -> Setting {
    Setting {
        values,
        ..plain(id, Kind::Text, default, "library", label)
    }
}

const fn of_pass(id: &'static str, default: &'static str, values: &'static str, label: &'static str) -> Setting {
    Setting {
        pass: true,
        ..choice(id, default, values, label)
    }
}

const WHEN: &str = "never:never|scheduled:as a scheduled task|asap:as a scheduled task and when media is added";

use Kind::{Bool, Double, Int, Text};

/// All settings, in the order of the list.
pub static SETTINGS: &[Setting] = &[
    plain("FriendlyName", Text, "", "general", "Friendly name"),
    plain(
        "sendCrashReports",
        Bool,
        "true",
        "general",
        "Send crash reports to Plex",
    ),
    advanced(
        "logDebug",
        Bool,
        "true",
        "general",
        "Enable Plex Media Server debug logging",
    ),
    advanced(
        "LogVerbose",
        Bool,
        "false",
        "general",
        "Enable Plex Media Server verbose logging",
    ),
    advanced("LogTokensForDebug", Bool, "false", "general", "Log Tokens"),
    hidden("LogNumFiles", Int, "5"),
    hidden("EnableDatabaseTrace", Bool, "false"),
    plain("ButlerUpdateChannel", Text, "16", "general", "Server Update Channel"),
    plain(
        "PushNotificationsEnabled",
        Bool,
        "false",
        "general",
        "Push Notifications",
    ),
    hidden("AcceptedEULA", Bool, "false"),
    hidden("LanguageInCloud", Bool, "false"),
    hidden("ArticleStrings", Text, "the,das,der,a,an,el,la"),
    hidden("IPNetworkType", Text, "v4only"),
    plain(
        "FSEventLibraryUpdatesEnabled",
        Bool,
        "false",
        "library",
        "Scan my library automatically",
    ),
    plain(
        "FSEventLibraryPartialScanEnabled",
        Bool,
        "false",
        "library",
        "Run a partial scan when changes are detected",
    ),
    advanced(
        "watchMusicSections",
        Bool,
        "false",
        "library",
        "Include music libraries in automatic updates",
    ),
    plain(
        "ScheduledLibraryUpdatesEnabled",
        Bool,
        "false",
        "library",
        "Scan my library periodically",
    ),
    plain(
        "ScheduledLibraryUpdateInterval",
        Int,
        "3600",
        "library",
        "Library scan interval",
    ),
    plain(
        "autoEmptyTrash",
        Bool,
        "true",
        "library",
        "Empty trash automatically after every scan",
    ),
    plain("allowMediaDeletion", Bool, "true", "library", "Allow media deletion"),
    advanced(
        "allowMediaDeletionForOwnerOnly",
        Bool,
        "false",
        "library",
        "Allow media deletion by the owner only",
    ),
    plain(
        "OnDeckWindow",
        Int,
        "16",
        "library",
        "Weeks to consider for Continue Watching",
    ),
    advanced(
        "OnDeckLimit",
        Int,
        "40",
        "library",
        "Maximum number of Continue Watching items",
    ),
    advanced(
        "OnDeckIncludePremieres",
        Bool,
        "true",
        "library",
        "Include season premieres in Continue Watching",
    ),
    plain(
        "LibraryVideoPlayedThreshold",
        Int,
        "90",
        "library",
        "Video played threshold",
    ),
    plain(
        "LibraryVideoPlayedAtBehaviour",
        Int,
        "3",
        "library",
        "Video play completion behaviour",
    ),
    advanced(
        "MinimumProgressTime",
        Int,
        "60000",
        "library",
        "Minimum progress before a position is kept",
    ),
    advanced("DatabaseCacheSize", Int, "40", "library", "Database Cache Size (MB)"),
    advanced(
        "ScannerLowPriority",
        Bool,
        "false",
        "library",
        "Run scanner tasks at a lower priority",
    ),
    plain("GlobalMusicVideoPath", Text, "", "library", "Global music video path"),
    choice(
        "GenerateBIFBehavior",
        "never",
        WHEN,
        "Generate video preview thumbnails",
    ),
    hidden("GenerateBIFFrameInterval", Int, "2"),
    hidden("GenerateBIFKeyframesOnly", Bool, "true"),
    choice(
        "GenerateChapterThumbBehavior",
        "scheduled",
        WHEN,
        "Generate chapter thumbnails",
    ),
    choice(
        "LoudnessAnalysisBehavior",
        "scheduled",
        WHEN,
        "Analyze audio tracks for loudness",
    ),
    hidden("LoudnessAnalysisThreads", Int, "0"),
    hidden("LongRunningJobThreads", Int, "0"),
    of_pass(
        "MusicAnalysisBehavior",
        "scheduled",
        WHEN,
        "Analyze audio tracks for sonic features",
    ),
    of_pass(
        "GenerateIntroMarkerBehavior",
        "asap",
        WHEN,
        "Generate intro video markers",
    ),
    of_pass(
        "GenerateCreditsMarkerBehavior",
        "asap",
        WHEN,
        "Generate credits video markers",
    ),
    of_pass(
        "GenerateAdMarkerBehavior",
        "scheduled",
        WHEN,
        "Generate ad video markers",
    ),
    of_pass("GenerateVADBehavior", "scheduled", WHEN, "Generate voice activity data"),
    of_pass(
        "MarkerSource",
        "any",
        "any:online, with local detection fallback|cloud:online only|local:local detection",
        "Marker source",
    ),
    plain("LocationVisibility", Int, "1", "library", "Location visibility"),
    advanced(
        "customCertificatePath",
        Text,
        "",
        "network",
        "Custom certificate location",
    ),
    hidden("customCertificateKey", Text, ""),
    advanced(
        "customCertificateDomain",
        Text,
        "",
        "network",
        "Custom certificate domain",
    ),
    advanced("EnableIPv6", Bool, "false", "network", "Enable server support for IPv6"),
    plain("secureConnections", Int, "1", "network", "Secure connections"),
    advanced(
        "PreferredNetworkInterface",
        Text,
        "",
        "network",
        "Preferred network interface",
    ),
    advanced("disableTLSv1_0", Bool, "true", "network", "Strict TLS configuration"),
    plain(
        "GdmEnabled",
        Bool,
        "true",
        "network",
        "Enable local network discovery (GDM)",
    ),
    advanced(
        "WanPerStreamMaxUploadRate",
        Int,
        "0",
        "network",
        "Limit remote stream bitrate",
    ),
    advanced(
        "WanPerUserStreamCount",
        Int,
        "0",
        "network",
        "Remote streams allowed per user",
    ),
    advanced("WanTotalMaxUploadRate", Int, "0", "network", "Internet upload speed"),
    advanced("LanNetworksBandwidth", Text, "", "network", "LAN Networks"),
    advanced(
        "MinutesAllowedPaused",
        Int,
        "0",
        "network",
        "Terminate Sessions Paused for Longer Than",
    ),
    advanced(
        "TreatWanIpAsLocal",
        Bool,
        "true",
        "network",
        "Treat WAN IP As LAN Bandwidth",
    ),
    plain("RelayEnabled", Bool, "true", "network", "Enable Relay"),
    advanced("customConnections", Text, "", "network", "Custom server access URLs"),
    advanced(
        "allowedNetworks",
        Text,
        "",
        "network",
        "Addresses and networks allowed without auth",
    ),
    advanced("WebHooksEnabled", Bool, "true", "network", "Webhooks"),
    hidden("enableLocalSecurity", Int, "-1"),
    hidden("EnableHttpPipelining", Bool, "true"),
    hidden("PublishServerOnPlexOnlineKey", Bool, "false"),
    hidden("ManualPortMappingMode", Bool, "false"),
    hidden("ManualPortMappingPort", Int, "32400"),
    hidden("LastAutomaticMappedPort", Int, "0"),
    hidden("PlexOnlineHome", Bool, "false"),
    advanced("TranscoderQuality", Int, "0", "transcoder", "Transcoder quality"),
    advanced(
        "TranscoderTempDirectory",
        Text,
        "",
        "transcoder",
        "Transcoder temporary directory",
    ),
    advanced(
        "DownloadsTempDirectory",
        Text,
        "",
        "transcoder",
        "Downloads temporary directory",
    ),
    advanced(
        "TranscoderThrottleBuffer",
        Int,
        "60",
        "transcoder",
        "Transcoder default throttle buffer",
    ),
    advanced(
        "TranscoderH264BackgroundPreset",
        Text,
        "veryfast",
        "transcoder",
        "Background transcoding x264 preset",
    ),
    plain(
        "TranscoderToneMapping",
        Bool,
        "true",
        "transcoder",
        "Enable HDR tone mapping",
    ),
    plain(
        "TranscoderCanOnlyRemuxVideo",
        Bool,
        "false",
        "transcoder",
        "Disable video stream transcoding",
    ),
    plain(
        "HardwareAcceleratedCodecs",
        Bool,
        "false",
        "transcoder",
        "Use hardware acceleration when available",
    ),
    advanced(
        "TranscodeCountLimit",
        Int,
        "0",
        "transcoder",
        "Maximum simultaneous video transcode",
    ),
    advanced(
        "BackgroundTranscodeCountLimit",
        Int,
        "1",
        "transcoder",
        "Maximum simultaneous background video transcode",
    ),
    hidden("TranscoderLivePruneBuffer", Int, "10800"),
    hidden("SubtitleOffsetStep", Double, "0.5"),
    plain("DlnaEnabled", Bool, "false", "dlna", "Enable the DLNA server"),
    advanced(
        "DlnaReportTimeline",
        Bool,
        "true",
        "dlna",
        "DLNA server timeline reporting",
    ),
    hidden(
        "DlnaDefaultProtocolInfo",
        Text,
        "http-get:*:video/mpeg:*,http-get:*:video/mp4:*",
    ),
    hidden("DlnaDeviceDiscoveryInterval", Int, "60"),
    plain(
        "ButlerStartHour",
        Int,
        "2",
        "butler",
        "Time at which tasks start to run",
    ),
    plain("ButlerEndHour", Int, "5", "butler", "Time at which tasks stop running"),
    plain(
        "ButlerTaskBackupDatabase",
        Bool,
        "true",
        "butler",
        "Backup database every three days",
    ),
    plain("ButlerDatabaseBackupPath", Text, "", "butler", "Backup directory"),
    plain(
        "ButlerTaskOptimizeDatabase",
        Bool,
        "true",
        "butler",
        "Optimize database every week",
    ),
    plain(
        "ButlerTaskCleanOldBundles",
        Bool,
        "true",
        "butler",
        "Remove old bundles every week",
    ),
    plain(
        "ButlerTaskCleanOldCacheFiles",
        Bool,
        "true",
        "butler",
        "Remove old cache files every week",
    ),
    plain(
        "ButlerTaskRefreshLocalMedia",
        Bool,
        "true",
        "butler",
        "Refresh local metadata every three days",
    ),
    plain(
        "ButlerTaskRefreshLibraries",
        Bool,
        "false",
        "butler",
        "Update all libraries during maintenance",
    ),
    plain(
        "ButlerTaskUpgradeMediaAnalysis",
        Bool,
        "true",
        "butler",
        "Upgrade media analysis during maintenance",
    ),
    plain(
        "ButlerTaskRefreshPeriodicMetadata",
        Bool,
        "true",
        "butler",
        "Refresh library metadata periodically",
    ),
    plain(
        "ButlerTaskDeepMediaAnalysis",
        Bool,
        "true",
        "butler",
        "Perform extensive media analysis during maintenance",
    ),
    hidden("ButlerTaskGarbageCollectBlobs", Bool, "true"),
    hidden("ButlerTaskGarbageCollectLibraryMedia", Bool, "true"),
    hidden("ButlerTaskRefreshEpgGuides", Bool, "true"),
    hidden("ButlerTaskGenerateMediaIndexFiles", Bool, "false"),
    hidden("BackgroundQueueIdlePaused", Bool, "false"),
    plain("CinemaTrailersType", Int, "1", "extras", "Choose Cinema Trailers from"),
    plain(
        "CinemaTrailersFromLibrary",
        Bool,
        "true",
        "extras",
        "Include Cinema Trailers from movies in my library",
    ),
    plain("CinemaTrailersPrerollID", Text, "", "extras", "Movie pre-roll video"),
    hidden("CinemaTrailersFromBluRay", Bool, "false"),
    hidden("CinemaTrailersFromTheater", Bool, "false"),
    advanced(
        "LocalAppDataPath",
        Text,
        "",
        "",
        "The path where local application data is stored",
    ),
    hidden("GenerateIndexFilesDuringAnalysis", Bool, "false"),
    hidden("MetricsEpoch", Int, "1"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn defaults_fit_and_names_are_unique() {
        let mut seen = HashSet::new();
        for setting in SETTINGS {
            assert!(seen.insert(setting.id), "{} twice", setting.id);
            assert!(setting.canonical(setting.default).is_some(), "{}", setting.id);
        }
    }

    #[test]
    fn names_that_a_1_43_server_does_not_have() {
        for name in [
            "GenerateChapterBehavior",
            "ButlerTaskDeepAnalysis",
            "ButlerTaskGenerateAutoTags",
            "AutoScan",
        ] {
            assert!(find(name).is_none());
        }
    }
}
