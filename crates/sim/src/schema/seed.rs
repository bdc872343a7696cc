//! The rows that a server writes into fresh databases before anyone has used it (facts/plex.md §1.5, §1.6).

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::Version;

/// When the owner's account row says it was made, on every server: 2010-11-11.
const OWNER_CREATED: i64 = 1_289_520_473;
/// When these databases say the server was first started: 2025-11-01. A constant, so that they come out the same.
const STARTED: i64 = 1_762_000_000;

const ANY_METADATA: &str = "1,2,3,4,8,9,10,13,14,20,21,22";
/// identifier, title, uri, agent_type, metadata_types
const PROVIDERS: [(&str, &str, &str, i64, &str); 6] = [
    (
        "tv.plex.agents.movie",
        "Plex Movie",
        "provider://tv.plex.provider.metadata",
        0,
        "1",
    ),
    (
        "tv.plex.agents.series",
        "Plex Series",
        "provider://tv.plex.provider.metadata",
        0,
        "2,3,4",
    ),
    (
        "tv.plex.agents.music",
        "Plex Music",
        "provider://tv.plex.provider.metadata",
        0,
        "8,9,10",
    ),
    (
        "org.musicbrainz.agents.music",
        "MusicBrainz",
        "provider://tv.plex.provider.metadata",
        2,
        "8,9,10",
    ),
    ("tv.plex.agents.none", "Plex Personal Media", "", 0, ANY_METADATA),
    ("tv.plex.agents.localmedia", "Plex Local Media", "", 1, ANY_METADATA),
];
/// title, primary_identifier, id of the provider that is its only member
const GROUPS: [(&str, &str, i64); 4] = [
    ("Plex Movie", "tv.plex.agents.movie", 1),
    ("Plex Series", "tv.plex.agents.series", 2),
    ("Plex Music", "tv.plex.agents.music", 3),
    ("Plex Personal Media", "tv.plex.agents.none", 5),
];
/// Targets of optimized versions: tag, profile, and what else the settings ask for.
const TARGETS: [(&str, &str, &str); 3] = [
    (
        "Optimized for Mobile",
        "Universal Mobile",
        "&videoBitrate=4000&videoQuality=74&videoResolution=1280x720",
    ),
    (
        "Optimized for TV",
        "Universal TV",
        "&videoBitrate=8000&videoQuality=99&videoResolution=1920x1080",
    ),
    ("Original Quality", "Universal TV", ""),
];
/// tags.tag_type of those targets.
const TARGET_TAG: i64 = 42;
const PLUGINS: [&str; 5] = [
    "com.plexapp.system",
    "com.plexapp.agents.none",
    "com.plexapp.agents.localmedia",
    "com.plexapp.agents.plexthememusic",
    "com.plexapp.agents.lyricfind",
];
const BUILT_IN: &str = r#"{"at:builtIn":"1","url":"at%3AbuiltIn=1"}"#;

/// The rows of the library database.
pub(super) fn library(db: &Connection, version: Version) -> rusqlite::Result<()> {
    let started = version.date(STARTED);
    account(db, 0, "", &started)?;
    account(db, 1, "Administrator", &version.date(OWNER_CREATED))?;
    preference(db, "0")?;
    db.execute(
        "INSERT INTO devices (id, identifier, name, created_at, updated_at, platform) VALUES (1, '', '', ?1, ?1, '')",
        [&started],
    )?;
    targets(db)?;
    for identifier in PLUGINS {
        db.execute(
            "INSERT INTO plugins (identifier, framework_version, installed_at, accessed_at, modified_at)
             VALUES (?1, 2, ?2, ?2, ?2)",
            params![identifier, started],
        )?;
    }
    match version {
        Version::Plex2026 => providers(db),
        Version::Plex2020 => stream_types(db),
    }
}

/// The rows of the blobs database: the same schema, nearly empty.
pub(super) fn blobs(db: &Connection, version: Version) -> rusqlite::Result<()> {
    account(db, 1, "Administrator", &version.date(OWNER_CREATED))?;
    preference(db, "1")?;
    match version {
        Version::Plex2026 => Ok(()),
        Version::Plex2020 => stream_types(db),
    }
}

impl Version {
    /// A moment as this server keeps it: seconds since 1970, or text.
    fn date(self, seconds: i64) -> Value {
        match self {
            Version::Plex2026 => Value::Integer(seconds),
            Version::Plex2020 => {
                let moment = jiff::Timestamp::from_second(seconds).unwrap_or_default();
                Value::Text(moment.strftime("%Y-%m-%d %H:%M:%S").to_string())
            }
        }
    }
}

/// The names of media_streams.stream_type_id, in a table that newer servers have dropped.
fn stream_types(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("INSERT INTO stream_types (id, name) VALUES (1, 'video'), (2, 'audio'), (3, 'subtitle')")
}

fn account(db: &Connection, id: i64, name: &str, created: &Value) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO accounts (id, name, created_at, updated_at, default_audio_language, default_subtitle_language)
         VALUES (?1, ?2, ?3, ?3, 'en', 'en')",
        params![id, name, created],
    )
    .map(drop)
}

fn preference(db: &Connection, value: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO preferences (name, value) VALUES ('SyncedNeedsChangedAtUpdate', ?1)",
        [value],
    )
    .map(drop)
}

fn targets(db: &Connection) -> rusqlite::Result<()> {
    let percent = |text: &str| text.replace('=', "%3D").replace('&', "%26").replace(' ', "%20");
    for (tag, profile, video) in TARGETS {
        let settings = format!("advancedSubtitles=burn&directPlay=1&directStream=1&subtitles=auto{video}");
        let extra_data = format!(
            r#"{{"sr:deviceProfile":"{profile}","sr:mediaSettings":"{settings}","url":"sr%3AdeviceProfile={}&sr%3AmediaSettings={}"}}"#,
            percent(profile),
            percent(&settings)
        );
        db.execute(
            "INSERT INTO tags (tag, tag_type, user_thumb_url, user_art_url, user_music_url, extra_data, key)
             VALUES (?1, ?2, '', '', '', ?3, '')",
            params![tag, TARGET_TAG, extra_data],
        )?;
    }
    Ok(())
}

fn providers(db: &Connection) -> rusqlite::Result<()> {
    for (identifier, title, uri, agent_type, types) in PROVIDERS {
        db.execute(
            "INSERT INTO metadata_agent_providers
                 (identifier, title, uri, agent_type, metadata_types, online, created_at, updated_at, extra_data)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, '{\"url\":\"\"}')",
            params![identifier, title, uri, agent_type, types, STARTED],
        )?;
    }
    for (title, identifier, provider) in GROUPS {
        db.execute(
            "INSERT INTO metadata_agent_provider_groups (title, primary_identifier, created_at, updated_at, extra_data)
             VALUES (?1, ?2, ?3, ?3, ?4)",
            params![title, identifier, STARTED, BUILT_IN],
        )?;
        db.execute(
            "INSERT INTO metadata_agent_provider_group_items
                 (metadata_agent_provider_group_id, metadata_agent_provider_id, \"order\") VALUES (?1, ?2, 1000.0)",
            [db.last_insert_rowid(), provider],
        )?;
    }
    Ok(())
}
