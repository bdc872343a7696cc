//! Loudness of music (EBU R 128): of each track, and of its album as one piece of sound.
//!
//! Works by album, because the album's values stand with each of its tracks: an album with one track that has none is
//! measured as a whole. Goes into `media_streams.extra_data` as `ld:*` (facts/plex.md §3).

use std::collections::HashSet;
use std::path::Path;

use ebur128::{EbuR128, Mode};
use rusqlite::{Connection, TransactionBehavior, params};

use super::decode::{self, DecodeError};
use super::pace::Pace;
use super::{Backlog, Outcome};
use crate::process::{Process, log};
use crate::scanner::items::kind;
use crate::store::extra::Extra;
use crate::store::{StoreError, counter};

/// LUFS that playback is brought to: what ReplayGain 2 says, which Plex's gains fit.
const REFERENCE: f64 = -18.0;
/// LUFS that stand for silence, which has no loudness.
const SILENCE: f64 = -70.0;
/// `metadata_items.extra_data` of what has been measured.
const MARK: (&str, &str) = ("ln:loudnessAnalysisVersion", "2");

struct Track {
    item: i64,
    title: String,
    file: String,
    /// The file's sound in `media_streams`, and what its row says.
    stream: Option<(i64, Extra)>,
}

struct Album {
    item: Option<i64>,
    tracks: Vec<Track>,
}

/// What was measured of one piece of sound.
struct Loudness {
    /// LUFS.
    loudness: f64,
    /// LU.
    range: f64,
    /// 1 is full scale.
    peak: f64,
}

/// Measures the albums with tracks that have no loudness, or all of the backlog with `force`.
pub(crate) fn run(process: &mut Process, backlog: &Backlog, force: bool) -> Result<Outcome, StoreError> {
    let albums = wanted(&process.db.library, backlog, force || backlog.is_explicit())?;
    let pace = Pace::of(process);
    let total = albums.iter().map(|album| album.tracks.len()).sum();
    let (mut outcome, mut number) = (Outcome::default(), 0);
    for album in &albums {
        let mut meters = Vec::with_capacity(album.tracks.len());
        for track in &album.tracks {
            if process.is_cancelled() {
                return Ok(outcome);
            }
            match measure(Path::new(&track.file)) {
                Ok(meter) => meters.push((track, meter)),
                Err(error) => {
                    log(format_args!("{} has no loudness: {error}", track.file));
                    outcome.skipped += 1;
                }
            }
            number += 1;
            process.progress.step(number, total, track.item, &track.title);
            pace.keep(process);
        }
        write(&mut process.db.library, album, &meters)?;
        outcome.done += meters.len();
    }
    Ok(outcome)
}

fn wanted(library: &Connection, backlog: &Backlog, force: bool) -> rusqlite::Result<Vec<Album>> {
    let items = backlog.items(library)?;
    let mut statement = library.prepare(
        "SELECT t.parent_id, t.id, coalesce(t.title, ''), p.file, s.id, s.extra_data
         FROM metadata_items t
         JOIN media_items m ON m.metadata_item_id = t.id
         JOIN media_parts p ON p.media_item_id = m.id
         LEFT JOIN media_streams s ON s.media_part_id = p.id AND s.stream_type_id = 2
         WHERE t.metadata_type = ?1 AND (?2 IS NULL OR t.library_section_id = ?2) AND t.deleted_at IS NULL
             AND m.deleted_at IS NULL AND p.deleted_at IS NULL AND p.file <> ''
         ORDER BY t.parent_id, t.\"index\", t.id, p.id, s.id",
    )?;
    let mut rows = statement.query(params![kind::TRACK, backlog.section()])?;
    let mut albums: Vec<Album> = Vec::new();
    while let Some(row) = rows.next()? {
        let item = row.get(0)?;
        let stream: Option<i64> = row.get(4)?;
        let extra: Option<String> = row.get(5)?;
        let track = Track {
            item: row.get(1)?,
            title: row.get(2)?,
            file: row.get(3)?,
            stream: stream.map(|id| (id, Extra::parse(extra.as_deref()))),
        };
        match albums.last_mut() {
            Some(last) if last.item == item && item.is_some() => {
                // A file with several sounds is measured by its first.
                if last.tracks.last().is_none_or(|last| last.file != track.file) {
                    last.tracks.push(track);
                }
            }
            _ => albums.push(Album {
                item,
                tracks: vec![track],
            }),
        }
    }
    albums.retain(|album| {
        let is_asked = |track: &Track| {
            items
                .as_ref()
                .is_none_or(|items: &HashSet<i64>| items.contains(&track.item))
        };
        let is_new = |track: &Track| {
            track
                .stream
                .as_ref()
                .is_some_and(|(_, extra)| extra.get("ld:loudness").is_none())
        };
        album
            .tracks
            .iter()
            .any(|track| is_asked(track) && (force || is_new(track)))
    });
    Ok(albums)
}

fn measure(file: &Path) -> Result<EbuR128, DecodeError> {
    let mut meter: Option<EbuR128> = None;
    decode::listen(file, |samples, channels, rate| {
        let channels = u32::try_from(channels).unwrap_or(1);
        if meter.is_none() {
            // Refused for no channels or a rate that no sound has: then there is nothing to measure.
            meter = EbuR128::new(
                channels,
                rate,
                Mode::I | Mode::LRA | Mode::SAMPLE_PEAK | Mode::HISTOGRAM,
            )
            .ok();
        }
        if let Some(meter) = meter.as_mut().filter(|meter| meter.channels() == channels) {
            // Only a number of samples that is no multiple of the channels is refused, and the decoder gives frames.
            let _ = meter.add_frames_f32(samples);
        }
    })?;
    meter.ok_or(DecodeError::Silent)
}

impl Loudness {
    /// Of one or several as one.
    fn of<'a>(meters: impl Iterator<Item = &'a EbuR128> + Clone) -> Self {
        let loudness = EbuR128::loudness_global_multiple(meters.clone()).unwrap_or(SILENCE);
        let range = EbuR128::loudness_range_multiple(meters.clone()).unwrap_or(0.0);
        let peaks =
            meters.flat_map(|meter| (0..meter.channels()).filter_map(|channel| meter.sample_peak(channel).ok()));
        Self {
            loudness: if loudness.is_finite() { loudness } else { SILENCE },
            range: if range.is_finite() { range } else { 0.0 },
            peak: peaks.fold(0.0, f64::max),
        }
    }

    fn gain(&self) -> f64 {
        REFERENCE - self.loudness
    }
}

fn write(library: &mut Connection, album: &Album, meters: &[(&Track, EbuR128)]) -> rusqlite::Result<()> {
    if meters.is_empty() {
        return Ok(());
    }
    let whole = Loudness::of(meters.iter().map(|(_, meter)| meter));
    let transaction = library.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (track, meter) in meters {
        let Some((stream, extra)) = &track.stream else {
            log(format_args!("{} has no stream to keep its loudness", track.file));
            continue;
        };
        let own = Loudness::of(std::iter::once(meter));
        let mut extra = extra.clone();
        for (name, value) in [
            ("ld:loudness", own.loudness),
            ("ld:gain", own.gain()),
            ("ld:lra", own.range),
            ("ld:albumGain", whole.gain()),
            ("ld:albumRange", whole.range),
        ] {
            extra.set(name, format!("{value:.2}"));
        }
        for (name, value) in [("ld:peak", own.peak), ("ld:albumPeak", whole.peak)] {
            extra.set(name, format!("{value:.6}"));
        }
        transaction
            .prepare_cached("UPDATE media_streams SET extra_data = ?2 WHERE id = ?1")?
            .execute(params![stream, extra.to_json()])?;
        mark(&transaction, track.item)?;
    }
    if let Some(item) = album.item.filter(|_| meters.len() == album.tracks.len()) {
        mark(&transaction, item)?;
    }
    transaction.commit()
}

fn mark(library: &Connection, item: i64) -> rusqlite::Result<()> {
    let extra: Option<String> = library
        .prepare_cached("SELECT extra_data FROM metadata_items WHERE id = ?1")?
        .query_row([item], |row| row.get(0))?;
    let mut extra = Extra::parse(extra.as_deref());
    if extra.get(MARK.0) == Some(MARK.1) {
        return Ok(());
    }
    extra.set(MARK.0, MARK.1);
    library
        .prepare_cached("UPDATE metadata_items SET extra_data = ?2, changed_at = ?3 WHERE id = ?1")?
        .execute(params![item, extra.to_json(), counter::next(library)?])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(amplitude: f64) -> EbuR128 {
        let mut meter = EbuR128::new(1, 48_000, Mode::I | Mode::LRA | Mode::SAMPLE_PEAK | Mode::HISTOGRAM).unwrap();
        let turn = std::f64::consts::TAU * 1000.0 / 48_000.0;
        let tone: Vec<f32> = (0..48_000 * 4)
            .map(|at| (amplitude * (turn * f64::from(at)).sin()) as f32)
            .collect();
        meter.add_frames_f32(&tone).unwrap();
        meter
    }

    #[test]
    fn half_the_amplitude_is_six_decibels_less() {
        let (full, half) = (meter(0.8), meter(0.4));
        let [one, other] = [&full, &half].map(|meter| Loudness::of(std::iter::once(meter)));
        assert!(
            (one.loudness - other.loudness - 6.02).abs() < 0.15,
            "{} {}",
            one.loudness,
            other.loudness
        );
        assert!((one.peak - 0.8).abs() < 1e-3);
        let both = Loudness::of([&full, &half].into_iter());
        assert!((other.loudness..one.loudness).contains(&both.loudness));
    }

    #[test]
    fn silence_has_numbers_too() {
        let silent = Loudness::of(std::iter::once(&meter(0.0)));
        assert_eq!((silent.loudness, silent.range, silent.peak), (SILENCE, 0.0, 0.0));
        assert!(silent.gain().is_finite());
    }
}
