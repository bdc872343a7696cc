//! What the server is, who owns it, who uses it.

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::server::{API_VERSION, VERSION, claim};

/// `/identity`, the one call that needs no token.
pub(super) fn identity(context: &Context<'_>) -> Result<Reply, Failure> {
    let machine = context.server.prefs().machine_identifier().to_owned();
    Ok(Reply::tree(
        Element::container()
            .attr("size", 0)
            .attr("apiVersion", API_VERSION)
            .attr("claimed", context.server.is_claimed())
            .attr("machineIdentifier", machine)
            .attr("version", VERSION),
    ))
}

/// `/`: what clients read first.
pub(super) fn root(context: &Context<'_>) -> Result<Reply, Failure> {
    let server = context.server;
    let (claimed, pass) = (server.is_claimed(), server.has_pass());
    let (machine, user, deletion) = {
        let prefs = server.prefs();
        let user = prefs.stored("PlexOnlineUsername").unwrap_or("").to_owned();
        (
            prefs.machine_identifier().to_owned(),
            user,
            prefs.flag("allowMediaDeletion"),
        )
    };
    let updated: Option<i64> =
        context.read(|db| Ok(db.query_row("SELECT max(scanned_at) FROM library_sections", [], |row| row.get(0))?))?;
    let children = [
        "activities",
        "butler",
        "channels",
        "clients",
        "devices",
        "diagnostics",
        "hubs",
        "library",
    ]
    .into_iter()
    .chain([
        "livetv",
        "media",
        "metadata",
        "neighborhood",
        "playQueues",
        "playlists",
        "search",
        "server",
        "status",
    ])
    .chain(["statistics", "transcode", "updater"])
    .map(|name| {
        Element::new("Directory")
            .attr("count", 1)
            .attr("key", name)
            .attr("title", name)
    });
    Ok(Reply::tree(
        Element::container()
            .attr("allowCameraUpload", true)
            .attr("allowChannelAccess", true)
            .attr("allowMediaDeletion", deletion)
            .attr("allowSharing", true)
            .attr("allowSync", pass)
            .attr("allowTuners", true)
            .attr("apiVersion", API_VERSION)
            .attr("backgroundProcessing", true)
            .attr("certificate", claimed)
            .attr("companionProxy", true)
            .attr("countryCode", "")
            .attr("diagnostics", "logs,databases,streaminglogs")
            .attr("eventStream", true)
            .attr("friendlyName", server.friendly_name())
            .attr("hubSearch", true)
            .attr("itemClusters", true)
            .attr("livetv", 7)
            .attr("machineIdentifier", machine)
            .attr("mediaProviders", true)
            .attr("multiuser", true)
            .attr("musicAnalysis", 2)
            .attr("myPlex", claimed)
            .attr("myPlexMappingState", if claimed { "mapped" } else { "unknown" })
            .attr("myPlexSigninState", if claimed { "ok" } else { "none" })
            .attr("myPlexSubscription", pass)
            .attr("myPlexUsername", user)
            .attr("offlineTranscode", 1)
            .attr(
                "ownerFeatures",
                if pass {
                    "pass,music-analysis,loudness,sync,lyrics,premium_music_metadata"
                } else {
                    ""
                },
            )
            .attr("platform", "Linux")
            .attr("platformVersion", "simulated")
            .attr("pluginHost", false)
            .attr("pushNotifications", false)
            .attr("readOnlyLibraries", false)
            .attr("streamingBrainABRVersion", 3)
            .attr("streamingBrainVersion", 2)
            .attr("sync", true)
            .attr("transcoderActiveVideoSessions", 0)
            .attr("transcoderAudio", true)
            .attr("transcoderLyrics", true)
            .attr("transcoderPhoto", true)
            .attr("transcoderSubtitles", true)
            .attr("transcoderVideo", true)
            .attr(
                "transcoderVideoBitrates",
                "64,96,208,320,720,1500,2000,3000,4000,8000,10000,12000,20000",
            )
            .attr("transcoderVideoQualities", "0,1,2,3,4,5,6,7,8,9,10,11,12")
            .attr(
                "transcoderVideoResolutions",
                "128,128,160,240,320,480,768,720,720,1080,1080,1080,1080",
            )
            .maybe("updatedAt", updated)
            .attr("updater", true)
            .attr("version", VERSION)
            .attr("voiceSearch", true)
            .children(children)
            .sized(),
    ))
}

/// `/library`.
pub(super) fn library() -> Result<Reply, Failure> {
    let directory =
        |key: &'static str, title: &'static str| Element::new("Directory").attr("key", key).attr("title", title);
    Ok(Reply::tree(
        Element::container()
            .attr("allowSync", false)
            .attr("art", "/:/resources/library-art.png")
            .attr("content", "")
            .attr("identifier", "com.plexapp.plugins.library")
            .attr("mediaTagPrefix", "/system/bundle/media/flags/")
            .attr("mediaTagVersion", 1_700_000_000)
            .attr("title1", "Plex Library")
            .attr("title2", "")
            .child(directory("sections", "Library Sections"))
            .child(directory("recentlyAdded", "Recently Added Content"))
            .child(directory("onDeck", "On Deck Content"))
            .sized(),
    ))
}

/// `/media/providers`, from which some clients learn the sections' storage.
pub(super) fn providers(context: &Context<'_>) -> Result<Reply, Failure> {
    let sections = context.read(|db| {
        let mut statement = db.prepare("SELECT id, name, section_type, uuid FROM library_sections ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            let id: i64 = row.get(0)?;
            Ok(Element::new("Directory")
                .attr("id", id.to_string())
                .attr("key", format!("/library/sections/{id}"))
                .attr("title", row.get::<_, Option<String>>(1)?.unwrap_or_default())
                .attr("type", crate::items::section_word(row.get(2)?))
                .text("uuid", row.get::<_, Option<String>>(3)?.as_deref()))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    let feature = Element::new("Feature")
        .attr("key", "/library/sections")
        .attr("type", "content")
        .children(sections);
    let provider = Element::new("MediaProvider")
        .attr("identifier", "com.plexapp.plugins.library")
        .attr("id", 1)
        .attr("title", "Library")
        .attr("types", "video,audio,photo")
        .attr("protocols", "stream,download")
        .child(feature);
    let machine = context.server.prefs().machine_identifier().to_owned();
    Ok(Reply::tree(
        Element::container()
            .attr("friendlyName", context.server.friendly_name())
            .attr("machineIdentifier", machine)
            .attr("version", VERSION)
            .child(provider)
            .sized(),
    ))
}

/// `/servers`: this one.
pub(super) fn servers(context: &Context<'_>) -> Result<Reply, Failure> {
    let machine = context.server.prefs().machine_identifier().to_owned();
    let own = Element::new("Server")
        .attr("name", context.server.friendly_name())
        .attr("host", "127.0.0.1")
        .attr("address", "127.0.0.1")
        .attr("machineIdentifier", machine)
        .attr("version", VERSION);
    Ok(Reply::tree(Element::container().child(own).sized()))
}

/// `/clients`: players that announce themselves on the network; there are none on loopback.
pub(super) fn clients() -> Result<Reply, Failure> {
    Ok(Reply::tree(Element::container().sized()))
}

/// `/accounts` and `/accounts/<id>`.
pub(super) fn accounts(context: &Context<'_>, only: Option<i64>) -> Result<Reply, Failure> {
    let elements = context.read(|db| {
        let mut statement = db.prepare(
            "SELECT id, name, default_audio_language, default_subtitle_language FROM accounts
             WHERE ?1 IS NULL OR id = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([only], |row| {
            let id: i64 = row.get(0)?;
            Ok(Element::new("Account")
                .attr("id", id)
                .attr("key", format!("/accounts/{id}"))
                .attr("name", row.get::<_, Option<String>>(1)?.unwrap_or_default())
                .attr(
                    "defaultAudioLanguage",
                    row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                )
                .attr("autoSelectAudio", true)
                .attr(
                    "defaultSubtitleLanguage",
                    row.get::<_, Option<String>>(3)?.unwrap_or_default(),
                )
                .attr("subtitleMode", 0)
                .attr("thumb", ""))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    if only.is_some() && elements.is_empty() {
        return Err(Failure::NotFound);
    }
    Ok(Reply::tree(
        Element::container()
            .attr("identifier", "com.plexapp.system.accounts")
            .children(elements)
            .sized(),
    ))
}

/// `/devices`.
pub(super) fn devices(context: &Context<'_>) -> Result<Reply, Failure> {
    let elements = context.read(|db| {
        let mut statement = db.prepare("SELECT id, name, platform, identifier, created_at FROM devices ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            Ok(Element::new("Device")
                .attr("id", row.get::<_, i64>(0)?)
                .attr("name", row.get::<_, Option<String>>(1)?.unwrap_or_default())
                .attr("platform", row.get::<_, Option<String>>(2)?.unwrap_or_default())
                .attr("clientIdentifier", row.get::<_, Option<String>>(3)?.unwrap_or_default())
                .maybe("createdAt", row.get::<_, Option<i64>>(4)?))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    Ok(Reply::tree(
        Element::container()
            .attr("identifier", "com.plexapp.system.devices")
            .children(elements)
            .sized(),
    ))
}

/// `/updater/status`: there is never anything newer.
pub(super) fn updater() -> Result<Reply, Failure> {
    Ok(Reply::tree(
        Element::container()
            .attr("canInstall", false)
            .attr("checkedAt", 0)
            .attr("status", 0)
            .sized(),
    ))
}

/// `/myplex/account`.
pub(super) fn myplex(context: &Context<'_>) -> Result<Reply, Failure> {
    let server = context.server;
    let (user, token) = {
        let prefs = server.prefs();
        (
            prefs.stored("PlexOnlineUsername").unwrap_or("").to_owned(),
            prefs.online_token().map(str::to_owned),
        )
    };
    let claimed = token.is_some();
    let pass = server.has_pass();
    Ok(Reply::tree(
        Element::new("MyPlex")
            .maybe("authToken", token)
            .attr("username", user)
            .attr("mappingState", if claimed { "mapped" } else { "unknown" })
            .attr("mappingError", "")
            .attr("signInState", if claimed { "ok" } else { "none" })
            .attr("publicAddress", "")
            .attr("publicPort", 0)
            .attr("privateAddress", "127.0.0.1")
            .attr("privatePort", 0)
            .attr(
                "subscriptionFeatures",
                if pass { "pass,music-analysis,loudness,sync" } else { "" },
            )
            .attr("subscriptionActive", pass)
            .attr("subscriptionState", if pass { "Active" } else { "Inactive" }),
    ))
}

/// Claims a running server: `?token=claim-…`.
pub(super) fn claim(context: &Context<'_>) -> Result<Reply, Failure> {
    let token = context.request.query.need("token")?;
    claim::claim(context.server, token).map_err(|error| match error {
        claim::ClaimError::Prefs(error) => Failure::Internal(error.to_string()),
        error @ claim::ClaimError::Unreachable => Failure::Internal(error.to_string()),
        error => Failure::BadRequest(error.to_string()),
    })?;
    myplex(context)
}

/// Signs the server out.
pub(super) fn release(context: &Context<'_>) -> Result<Reply, Failure> {
    claim::release(context.server)?;
    done()
}
