//! The maintenance tasks by name: how often, under which setting, with or without a pass (facts/plex.md §5.2).

use crate::prefs::Preferences;

/// One task.
#[derive(Debug)]
pub(crate) struct Task {
    /// Its name in the API.
    pub(crate) name: &'static str,
    /// How many days lie between two runs.
    pub(crate) days: i64,
    /// Whether its hour is drawn by lot.
    pub(crate) randomized: bool,
    /// The setting that turns it on: a flag, or a text that is not "never". Empty: always on.
    setting: &'static str,
    /// What it is called.
    pub(crate) title: &'static str,
    /// Exists only on a server with a Plex Pass.
    pub(crate) pass: bool,
    /// The type of its activity.
    pub(crate) activity: &'static str,
}

impl Task {
    /// Whether `POST /butler` starts it.
    pub(crate) fn is_enabled(&self, prefs: &Preferences) -> bool {
        match self.setting {
            "" => true,
            setting => !matches!(prefs.value(setting), "0" | "false" | "never" | ""),
        }
    }
}

const fn task(name: &'static str, days: i64, setting: &'static str, title: &'static str) -> Task {
    Task {
        name,
        days,
        randomized: false,
        setting,
        title,
        pass: false,
        activity: "butler.task",
    }
}

const fn of_pass(name: &'static str, setting: &'static str, title: &'static str, activity: &'static str) -> Task {
    Task {
        pass: true,
        activity,
        ..task(name, 1, setting, title)
    }
}

/// The task of that name.
pub(crate) fn find(name: &str) -> Option<&'static Task> {
    TASKS.iter().find(|task| task.name == name)
}

/// All tasks.
pub(crate) static TASKS: &[Task] = &[
    task("AutomaticUpdates", 1, "", "Update Plex Media Server automatically"),
    Task {
        activity: "general.db.backup",
        ..task(
            "BackupDatabase",
            3,
            "ButlerTaskBackupDatabase",
            "Back up the database every three days",
        )
    },
    task("ButlerTaskCleanSupplementalLogFiles", 1, "", "Remove old log files"),
    of_pass(
        "ButlerTaskGenerateAdMarkers",
        "GenerateAdMarkerBehavior",
        "Detect advertisements",
        "media.generate.ads",
    ),
    of_pass(
        "ButlerTaskGenerateCreditsMarkers",
        "GenerateCreditsMarkerBehavior",
        "Detect credits",
        "media.generate.credits",
    ),
    of_pass(
        "ButlerTaskGenerateIntroMarkers",
        "GenerateIntroMarkerBehavior",
        "Detect intros",
        "media.generate.intros",
    ),
    of_pass(
        "ButlerTaskGenerateVoiceActivity",
        "GenerateVADBehavior",
        "Detect voice activity",
        "media.generate.voice.activity",
    ),
    task(
        "CleanOldBundles",
        7,
        "ButlerTaskCleanOldBundles",
        "Remove old bundles every week",
    ),
    task(
        "CleanOldCacheFiles",
        7,
        "ButlerTaskCleanOldCacheFiles",
        "Remove old cache files every week",
    ),
    task(
        "DeepMediaAnalysis",
        1,
        "ButlerTaskDeepMediaAnalysis",
        "Perform extensive media analysis",
    ),
    task(
        "GarbageCollectBlobs",
        1,
        "ButlerTaskGarbageCollectBlobs",
        "Remove blobs whose owner is gone",
    ),
    task(
        "GarbageCollectLibraryMedia",
        1,
        "ButlerTaskGarbageCollectLibraryMedia",
        "Remove media bundles of removed files",
    ),
    task("GenerateBlurHashes", 1, "", "Generate blur hashes"),
    Task {
        activity: "media.generate.chapter.thumbs",
        ..task(
            "GenerateChapterThumbs",
            1,
            "GenerateChapterThumbBehavior",
            "Generate chapter thumbnails",
        )
    },
    Task {
        activity: "media.generate.bif",
        ..task(
            "GenerateMediaIndexFiles",
            1,
            "GenerateBIFBehavior",
            "Generate video preview thumbnails",
        )
    },
    Task {
        activity: "media.generate.loudness",
        ..task(
            "LoudnessAnalysis",
            1,
            "LoudnessAnalysisBehavior",
            "Analyze the loudness of audio tracks",
        )
    },
    of_pass(
        "MusicAnalysis",
        "MusicAnalysisBehavior",
        "Analyze sonic features of tracks",
        "media.generate.music.analysis",
    ),
    Task {
        activity: "general.db.optimize",
        ..task(
            "OptimizeDatabase",
            7,
            "ButlerTaskOptimizeDatabase",
            "Optimize the database every week",
        )
    },
    task("ProcessAssets", 1, "", "Process assets"),
    task(
        "RefreshEpgGuides",
        1,
        "ButlerTaskRefreshEpgGuides",
        "Refresh the program guide",
    ),
    task(
        "RefreshLibraries",
        1,
        "ButlerTaskRefreshLibraries",
        "Update all libraries",
    ),
    task(
        "RefreshLocalMedia",
        3,
        "ButlerTaskRefreshLocalMedia",
        "Refresh local metadata every three days",
    ),
    task(
        "RefreshPeriodicMetadata",
        1,
        "ButlerTaskRefreshPeriodicMetadata",
        "Refresh metadata periodically",
    ),
    task(
        "UpgradeMediaAnalysis",
        1,
        "ButlerTaskUpgradeMediaAnalysis",
        "Upgrade media analysis",
    ),
];
