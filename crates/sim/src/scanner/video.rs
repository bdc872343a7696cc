//! Films, and shows with their seasons and episodes, from the names of files and folders.

use rusqlite::Connection;

use super::files::{extension, sha1_hex};
use super::guid;
use super::items::{self, NewItem, kind};
use super::media::{Look, NewFile};
use super::naming::{self, Episode, Movie};
use super::section::{Kind, Section};

/// Genres of the stand-in agent, one of which every title gets.
const GENRES: [&str; 6] = [
    "Action",
    "Animation",
    "Comedy",
    "Documentary",
    "Drama",
    "Science Fiction",
];

/// What the name of a new file says.
#[derive(Debug)]
pub(super) enum Video {
    Movie(Movie),
    Episode(Episode),
}

/// Reads the name; `None` when it says nothing that fits the section.
pub(super) fn read(section: &Section, file: &NewFile) -> Option<Video> {
    if section.kind == Kind::Show {
        naming::episode(&file.relative).map(Video::Episode)
    } else {
        Some(Video::Movie(naming::movie(&file.relative)))
    }
}

/// The film or episode of the file, made with its season and show where they are missing.
pub(super) fn item(library: &Connection, section: &Section, file: &NewFile, video: &Video) -> rusqlite::Result<i64> {
    match video {
        Video::Movie(movie) => film(library, section, file, movie),
        Video::Episode(episode) => part_of_show(library, section, file, episode),
    }
}

/// What the media item says before it is analysed.
pub(super) fn look(file: &NewFile, video: &Video) -> Look {
    let hints = match video {
        Video::Movie(Movie { title, year }) => {
            let year = year.map(|year| ("year", year.to_string()));
            std::iter::once(("name", title.clone())).chain(year).collect()
        }
        Video::Episode(episode) => vec![
            ("episode", episode.episode.to_string()),
            ("episodic", "1".to_owned()),
            ("season", episode.season.to_string()),
            ("show", episode.show.clone()),
        ],
    };
    let container = match extension(&file.file).as_deref() {
        Some("mkv" | "webm") => "mkv",
        Some("mp4" | "m4v" | "mov") => "mp4",
        Some("avi") => "avi",
        Some("ts") => "mpegts",
        _ => "",
    };
    Look {
        container,
        hints,
        ..Look::default()
    }
}

fn film(library: &Connection, section: &Section, file: &NewFile, movie: &Movie) -> rusqlite::Result<i64> {
    let year = movie.year.map(|year| year.to_string()).unwrap_or_default();
    let full = match movie.year {
        Some(year) => format!("{} ({year})", movie.title),
        None => movie.title.clone(),
    };
    let is_legacy = section.agent.starts_with("com.plexapp");
    let guid = match (section.is_personal(), is_legacy) {
        (false, _) => Some(guid::matched("movie", &[&movie.title, &year])),
        (true, true) => Some(format!("{}://{}?lang={}", section.agent, file.hash, section.language)),
        (true, false) => None,
    };
    if let Some(guid) = &guid
        && let Some(id) = items::by_guid(library, section.id, kind::MOVIE, None, guid)?
    {
        return Ok(id);
    }
    let genres = genres(section, &movie.title);
    items::insert(
        library,
        &NewItem {
            section: section.id,
            kind: kind::MOVIE,
            guid,
            title: if section.is_personal() { &full } else { &movie.title },
            index: Some(1),
            year: movie.year,
            added_at: file.stat.modified,
            genres: &genres,
            ..NewItem::default()
        },
    )
}

fn part_of_show(library: &Connection, section: &Section, file: &NewFile, episode: &Episode) -> rusqlite::Result<i64> {
    let base = NewItem {
        section: section.id,
        added_at: file.stat.modified,
        ..NewItem::default()
    };
    let year = episode.year.map(|year| year.to_string()).unwrap_or_default();
    let names = [episode.show.as_str(), &year];
    let online =
        |kind: &str, more: &[&str]| (!section.is_personal()).then(|| guid::matched(kind, &[&names, more].concat()));
    let show_guid = online("show", &[]);
    let found = match &show_guid {
        Some(guid) => items::by_guid(library, section.id, kind::SHOW, None, guid)?,
        None => items::by_title(library, section.id, kind::SHOW, None, &episode.show)?,
    };
    let show = match found {
        Some(id) => id,
        None => {
            let genres = genres(section, &episode.show);
            let item = NewItem {
                kind: kind::SHOW,
                guid: show_guid,
                title: &episode.show,
                index: Some(1),
                year: episode.year,
                genres: &genres,
                ..base.clone()
            };
            let id = items::insert(library, &item)?;
            legacy_guid(library, section, id, &id.to_string())?;
            id
        }
    };
    let season_text = episode.season.to_string();
    let season = match items::by_index(library, kind::SEASON, show, episode.season)? {
        Some(id) => id,
        None => {
            let guid = online("season", &[&season_text]);
            let item = NewItem {
                kind: kind::SEASON,
                parent: Some(show),
                guid,
                index: Some(episode.season),
                ..base.clone()
            };
            let id = items::insert(library, &item)?;
            legacy_guid(library, section, id, &format!("{show}/{season_text}"))?;
            id
        }
    };
    if let Some(id) = items::by_index(library, kind::EPISODE, season, episode.episode)? {
        return Ok(id);
    }
    let number = episode.episode.to_string();
    let made_up = format!("Episode {number}");
    let title = episode
        .title
        .as_deref()
        .unwrap_or(if section.is_personal() { "" } else { &made_up });
    let item = NewItem {
        kind: kind::EPISODE,
        parent: Some(season),
        guid: online("episode", &[&season_text, &number]),
        title,
        index: Some(episode.episode),
        ..base
    };
    let id = items::insert(library, &item)?;
    legacy_guid(library, section, id, &format!("{show}/{season_text}/{number}"))?;
    Ok(id)
}

/// The agents of before 2020 made guids of the show's row, the season and the episode.
fn legacy_guid(library: &Connection, section: &Section, id: i64, path: &str) -> rusqlite::Result<()> {
    if section.agent.starts_with("com.plexapp") && section.is_personal() {
        items::set_guid(
            library,
            id,
            &format!("{}://{path}?lang={}", section.agent, section.language),
        )?;
    }
    Ok(())
}

fn genres(section: &Section, title: &str) -> Vec<String> {
    if section.is_personal() {
        return Vec::new();
    }
    let digit = sha1_hex(title).bytes().next().unwrap_or_default();
    vec![GENRES[usize::from(digit) % GENRES.len()].to_owned()]
}
