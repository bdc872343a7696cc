//! What Plex answers, as far as a burst needs it. Unknown attributes are ignored: every version adds some.

use serde::Deserialize;

use super::flexible;

/// The element that nearly every answer is wrapped in.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    #[serde(rename = "MediaContainer")]
    pub(super) container: T,
}

/// `GET /identity`: answered to everybody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// 40 hex digits: ProcessedMachineIdentifier.
    pub machine_identifier: String,
    /// As in `1.43.4.10903-e5521bd8c`.
    pub version: String,
    /// Whether it belongs to an account.
    #[serde(default, deserialize_with = "flexible::boolean")]
    pub claimed: bool,
}

/// `GET /`: the server about itself, to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// The name that people see.
    #[serde(default)]
    pub friendly_name: String,
    /// 40 hex digits.
    pub machine_identifier: String,
    /// As in [`Identity::version`].
    pub version: String,
    /// Whether the account has Plex Pass, as the server knows it.
    #[serde(default, deserialize_with = "flexible::boolean")]
    pub my_plex_subscription: bool,
    /// Version of Sonic analysis that this server can do; none where it cannot.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub music_analysis: Option<i64>,
}

/// One library section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Section {
    /// library_sections.id.
    #[serde(rename = "key", deserialize_with = "flexible::integer")]
    pub id: i64,
    /// Its name.
    pub title: String,
    /// artist, movie, show or photo.
    #[serde(rename = "type")]
    pub kind: String,
    /// As in `tv.plex.agents.music`.
    #[serde(default)]
    pub agent: String,
    /// As in `Plex Music`.
    #[serde(default)]
    pub scanner: String,
    /// As in `en-US`.
    #[serde(default)]
    pub language: String,
    /// Whether a scan is under way.
    #[serde(default, deserialize_with = "flexible::boolean")]
    pub refreshing: bool,
    /// When it was last scanned, seconds since 1970; none before its first scan.
    #[serde(default, rename = "scannedAt", deserialize_with = "flexible::maybe_integer")]
    pub scanned_at: Option<i64>,
    /// Its roots.
    #[serde(default, rename = "Location")]
    pub locations: Vec<Location>,
}

impl Section {
    /// Whether Plex keeps music in it: those take the Sonic path.
    #[must_use]
    pub fn is_music(&self) -> bool {
        self.kind == "artist"
    }
}

/// One root of a section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Location {
    /// section_locations.id.
    #[serde(deserialize_with = "flexible::integer")]
    pub id: i64,
    /// Absolute path on the server.
    pub path: String,
}

/// What `POST /library/sections` needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSection {
    /// Its name.
    pub title: String,
    /// artist, movie, show or photo.
    pub kind: String,
    /// As in `tv.plex.agents.music`.
    pub agent: String,
    /// As in `Plex Music`.
    pub scanner: String,
    /// As in `en-US`.
    pub language: String,
    /// All its roots.
    pub locations: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Sections {
    #[serde(default, rename = "Directory")]
    pub(super) sections: Vec<Section>,
}

/// Something that the server does in the background.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Activity {
    /// Its name for `DELETE /activities/…`.
    pub uuid: String,
    /// As in `library.update.section`, `media.generate.music.analysis`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// For people; the item at hand.
    #[serde(default)]
    pub subtitle: String,
    /// Percent; negative when Plex does not know.
    #[serde(default, deserialize_with = "flexible::float")]
    pub progress: f64,
    /// Which section it is about. Stands on the Context, which may come a second after the activity.
    #[serde(default, rename = "Context", deserialize_with = "context_section")]
    pub section: Option<i64>,
}

impl Activity {
    /// Whether it is work on the library; what the server does with its provider or its updates is none of ours.
    #[must_use]
    pub fn is_work(&self) -> bool {
        ["library.", "media.", "general.db."]
            .iter()
            .any(|prefix| self.kind.starts_with(prefix))
    }

    /// What it is.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.title.is_empty() { &self.kind } else { &self.title }
    }

    /// What it is, what it is at and how far.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.name().to_owned();
        if !self.subtitle.is_empty() {
            text = format!("{text} {}", self.subtitle);
        }
        if self.progress >= 0.0 {
            text = format!("{text} {:.0} %", self.progress);
        }
        text
    }
}

fn context_section<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let context = match &value {
        serde_json::Value::Array(list) => list.first(),
        other => Some(other),
    };
    Ok(context
        .and_then(|context| context.get("librarySectionID"))
        .and_then(flexible::as_integer))
}

#[derive(Deserialize)]
pub(super) struct Activities {
    #[serde(default, rename = "Activity")]
    pub(super) activities: Vec<Activity>,
}

/// A task of the butler.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ButlerTask {
    /// As in `MusicAnalysis`.
    pub name: String,
    /// Whether the butler runs it at night.
    #[serde(default, deserialize_with = "flexible::boolean")]
    pub enabled: bool,
}

#[derive(Deserialize)]
pub(super) struct ButlerRoot {
    #[serde(rename = "ButlerTasks")]
    pub(super) tasks: ButlerTasks,
}

#[derive(Deserialize)]
pub(super) struct ButlerTasks {
    #[serde(default, rename = "ButlerTask")]
    pub(super) tasks: Vec<ButlerTask>,
}

/// What starting a task of the butler came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ButlerStarted {
    /// It was started by this call.
    Now,
    /// It was running already.
    Already,
}

/// A preference of the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// Its name.
    pub id: String,
    /// bool, int, double or text.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// As the XML form shows it: a boolean is "1" or "0".
    #[serde(default, deserialize_with = "flexible::text")]
    pub value: String,
    /// What it is when nobody has set it.
    #[serde(default, deserialize_with = "flexible::text")]
    pub default: String,
}

impl Setting {
    /// Whether `value` is what this setting has: true and 1 are the same to a boolean.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        let plain = |text: &str| match (self.kind.as_str(), text) {
            ("bool", "true") => "1".to_owned(),
            ("bool", "false" | "") => "0".to_owned(),
            _ => text.to_owned(),
        };
        plain(&self.value) == plain(value)
    }
}

#[derive(Deserialize)]
pub(super) struct Settings {
    #[serde(default, rename = "Setting")]
    pub(super) settings: Vec<Setting>,
}

/// Somebody who plays something now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// What is played.
    #[serde(default)]
    pub title: String,
    /// metadata_items.id of it.
    #[serde(default, rename = "ratingKey", deserialize_with = "flexible::maybe_integer")]
    pub item: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Sessions {
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub(super) size: Option<i64>,
    #[serde(default, rename = "Metadata")]
    pub(super) sessions: Vec<Session>,
}

/// Somebody who may use the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// accounts.id: 1 is the owner.
    #[serde(deserialize_with = "flexible::integer")]
    pub id: i64,
    /// Their name; empty for the anonymous account.
    #[serde(default)]
    pub name: String,
}

#[derive(Deserialize)]
pub(super) struct Accounts {
    #[serde(default, rename = "Account")]
    pub(super) accounts: Vec<Account>,
}

/// Whether the server may do what needs Plex Pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The account that it belongs to has Plex Pass.
    Active,
    /// It belongs to an account without.
    Inactive,
    /// It belongs to nobody.
    Unclaimed,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MyPlex {
    pub(super) sign_in_state: String,
    #[serde(deserialize_with = "flexible::boolean")]
    pub(super) subscription_active: bool,
}

/// What an item is, as `type=` of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// metadata_type 1.
    Movie,
    /// 2.
    Show,
    /// 3.
    Season,
    /// 4.
    Episode,
    /// 8.
    Artist,
    /// 9.
    Album,
    /// 10.
    Track,
    /// 13.
    Photo,
}

impl ItemKind {
    /// Of what has the files in a section of this kind.
    #[must_use]
    pub fn of_files(section: &str) -> Option<Self> {
        Some(match section {
            "movie" => Self::Movie,
            "show" => Self::Episode,
            "artist" => Self::Track,
            "photo" => Self::Photo,
            _ => return None,
        })
    }

    /// Plex's number for it.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Movie => 1,
            Self::Show => 2,
            Self::Season => 3,
            Self::Episode => 4,
            Self::Artist => 8,
            Self::Album => 9,
            Self::Track => 10,
            Self::Photo => 13,
        }
    }
}

/// One item of a section.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// metadata_items.id.
    #[serde(rename = "ratingKey", deserialize_with = "flexible::integer")]
    pub id: i64,
    /// As in `plex://track/…` or `local://123`.
    #[serde(default)]
    pub guid: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// track, album, movie …
    #[serde(default, rename = "type")]
    pub kind: String,
    /// How often it was seen.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub view_count: Option<i64>,
    /// Where somebody stopped, milliseconds.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub view_offset: Option<i64>,
    /// When it was last seen, seconds since 1970.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub last_viewed_at: Option<i64>,
    /// 0 to 10.
    #[serde(default, deserialize_with = "flexible::maybe_float")]
    pub user_rating: Option<f64>,
    /// Version of its Sonic analysis; none without one.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub music_analysis_version: Option<i64>,
    /// Milliseconds.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub duration: Option<i64>,
    /// Set while its file is missing.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub deleted_at: Option<i64>,
    #[serde(default, rename = "Media")]
    media: Vec<Media>,
}

impl Item {
    /// The files behind it.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.media.iter().flat_map(|media| &media.parts)
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Media {
    #[serde(default, rename = "Part")]
    parts: Vec<Part>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Part {
    /// media_parts.id.
    #[serde(deserialize_with = "flexible::integer")]
    pub id: i64,
    /// Absolute path on the server.
    #[serde(default)]
    pub file: String,
    /// Bytes.
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub size: Option<i64>,
}

/// A piece of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// How many there are in all.
    pub total: u64,
    /// The ones of this page.
    pub items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPage {
    #[serde(default, deserialize_with = "flexible::maybe_integer")]
    pub(super) total_size: Option<i64>,
    #[serde(default, rename = "Metadata")]
    pub(super) items: Vec<Item>,
}

/// A playlist.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Playlist {
    /// metadata_items.id.
    #[serde(rename = "ratingKey", deserialize_with = "flexible::integer")]
    pub id: i64,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// How many items it holds.
    #[serde(default, rename = "leafCount", deserialize_with = "flexible::maybe_integer")]
    pub count: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Playlists {
    #[serde(default, rename = "Metadata")]
    pub(super) playlists: Vec<Playlist>,
}
