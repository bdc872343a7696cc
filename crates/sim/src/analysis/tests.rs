//! Analyses of made music in a scanned library, with the rows they leave.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Backlog, Outcome, basic, loudness, sonic};
use crate::music::{self, Format, Spec};
use crate::scanner::tests::World;
use crate::store::extra::Extra;

/// One album, scanned.
fn album(tracks: usize) -> (World, Vec<PathBuf>) {
    let world = World::music();
    let spec = Spec {
        artists: 1,
        albums: 1,
        tracks,
        seconds: 1.0,
        seed: 5,
        format: Format::Flac,
    };
    let files = music::synthesise(&world.media, &spec).unwrap();
    assert_eq!(world.scan().added, tracks);
    (world, files)
}

fn sonic(world: &World) -> Outcome {
    sonic::run(&mut world.process()).unwrap()
}

fn outcome(done: usize, skipped: usize) -> Outcome {
    Outcome { done, skipped }
}

fn vectors(world: &World) -> Vec<(i64, Vec<f64>)> {
    let blobs = world.process().db.blobs;
    let mut statement = blobs
        .prepare("SELECT linked_id, blob FROM blobs WHERE blob_type = 7 AND linked_type = 'metadata_item' ORDER BY 1")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
        .unwrap();
    rows.map(|row| {
        let (id, blob) = row.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(blob.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        (id, text.split(',').map(|number| number.parse().unwrap()).collect())
    })
    .collect()
}

fn marked(world: &World, kind: i64) -> i64 {
    world.number(&format!(
        "SELECT count(*) FROM metadata_items WHERE metadata_type = {kind}
         AND json_extract(extra_data, '$.\"ms:musicAnalysisVersion\"') = '1'
         AND json_extract(extra_data, '$.url') LIKE '%ms%3AmusicAnalysisVersion=1%'"
    ))
}

#[test]
fn every_track_has_a_vector_of_its_own_and_once_is_enough() {
    let (world, _) = album(3);
    assert_eq!(sonic(&world), outcome(3, 0));
    let first = vectors(&world);
    assert!(
        first
            .iter()
            .all(|(_, vector)| vector.len() == 50 && vector.iter().all(|number| number.is_finite()))
    );
    let different: HashSet<String> = first.iter().map(|(_, vector)| format!("{vector:?}")).collect();
    assert_eq!(different.len(), 3);
    assert_eq!([10, 9, 8].map(|kind| marked(&world, kind)), [3, 1, 1]);
    assert_eq!(sonic(&world), outcome(0, 0));
    let (again, _) = album(3);
    sonic(&again);
    let values = |all: Vec<(i64, Vec<f64>)>| all.into_iter().map(|(_, vector)| vector).collect::<Vec<_>>();
    assert_eq!(
        values(vectors(&again)),
        values(first),
        "the same music on another server"
    );
}

#[test]
fn what_lacks_its_vector_or_its_mark_is_done_again() {
    let (world, _) = album(3);
    sonic(&world);
    let before = vectors(&world);
    let db = world.process().db;
    db.blobs
        .execute("DELETE FROM blobs WHERE linked_id = ?1", [before[0].0])
        .unwrap();
    let unmark = "UPDATE metadata_items SET extra_data = '{\"url\":\"\"}' WHERE id = ?1";
    db.library.execute(unmark, [before[1].0]).unwrap();
    assert_eq!(sonic(&world), outcome(2, 0));
    assert_eq!(vectors(&world), before);
    assert_eq!(marked(&world, 10), 3);
}

#[test]
fn what_cannot_be_heard_is_skipped_and_stays() {
    let (world, files) = album(4);
    fs::write(&files[1], vec![3; 30_000]).unwrap();
    fs::remove_file(&files[2]).unwrap();
    assert_eq!(sonic(&world), outcome(2, 2));
    assert_eq!([10, 9, 8].map(|kind| marked(&world, kind)), [2, 0, 0]);
    assert_eq!(
        world.number("SELECT count(*) FROM media_parts WHERE deleted_at IS NOT NULL"),
        0
    );
    assert_eq!(sonic(&world), outcome(0, 2), "tried again each time");
}

#[test]
fn trash_and_sections_that_do_not_want_it_are_left_alone() {
    let (world, files) = album(2);
    world.keep_trash();
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(world.scan().missing, 1);
    let library = world.library();
    let set = "UPDATE library_sections SET user_fields = ?1";
    library
        .execute(set, [r#"{"pr:musicAnalysis":"0","url":"pr%3AmusicAnalysis=0"}"#])
        .unwrap();
    assert_eq!(sonic(&world), outcome(0, 0));
    library.execute(set, [r#"{"url":""}"#]).unwrap();
    assert_eq!(sonic(&world), outcome(1, 0));
    assert_eq!(marked(&world, 9), 1, "what is in the trash does not count");
}

#[test]
fn a_cancelled_run_does_nothing_more_and_a_slow_one_ends_early() {
    let (world, _) = album(3);
    let mut process = world.process();
    process.cancel.cancel();
    assert_eq!(sonic::run(&mut process).unwrap(), outcome(0, 0));
    let tempo = world.support.join("Plex Media Server/sim.json");
    fs::write(tempo, r#"{"analysis_delay_ms":60000}"#).unwrap();
    let mut process = world.process();
    let cancel = process.cancel.clone();
    let since = Instant::now();
    let running = std::thread::spawn(move || sonic::run(&mut process).unwrap());
    while vectors(&world).is_empty() {
        assert!(since.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    cancel.cancel();
    assert_eq!(running.join().unwrap(), outcome(1, 0));
    assert_eq!((vectors(&world).len(), marked(&world, 10)), (1, 1));
}

fn loudness(world: &World) -> Outcome {
    loudness::run(&mut world.process(), &Backlog::Section(world.section), false).unwrap()
}

fn levels(world: &World) -> Vec<Extra> {
    let texts = world.texts("SELECT extra_data FROM media_streams WHERE stream_type_id = 2 ORDER BY id");
    texts.iter().map(|text| Extra::parse(Some(text))).collect()
}

#[test]
fn loudness_of_tracks_and_of_their_album() {
    let (world, _) = album(3);
    assert_eq!(loudness(&world), outcome(3, 0));
    let all = levels(&world);
    let numbers = |name: &str| -> Vec<f64> {
        all.iter()
            .map(|extra| extra.get(name).unwrap().parse().unwrap())
            .collect()
    };
    for (loudness, gain) in numbers("ld:loudness").into_iter().zip(numbers("ld:gain")) {
        assert!((-60.0..0.0).contains(&loudness), "{loudness}");
        assert!((loudness + gain + 18.0).abs() < 0.02);
    }
    assert!(numbers("ld:peak").iter().all(|peak| (0.001..=1.0).contains(peak)));
    let loudest = numbers("ld:peak").into_iter().fold(0.0, f64::max);
    assert!(
        numbers("ld:albumPeak")
            .iter()
            .all(|peak| (*peak - loudest).abs() < 1e-9)
    );
    let gains = numbers("ld:albumGain");
    assert!(gains.iter().all(|gain| *gain == gains[0]));
    let of_tracks = numbers("ld:gain");
    let (least, most) = (
        of_tracks.iter().copied().fold(99.0, f64::min),
        of_tracks.iter().copied().fold(-99.0, f64::max),
    );
    assert!((least..=most).contains(&gains[0]), "{least} {} {most}", gains[0]);
    let marks = "SELECT count(*) FROM metadata_items WHERE extra_data LIKE '%ln:loudnessAnalysisVersion%'";
    assert_eq!(world.number(marks), 4);
    assert_eq!(loudness(&world), outcome(0, 0));
}

#[test]
fn an_album_with_one_new_track_is_measured_as_a_whole() {
    let (world, _) = album(3);
    loudness(&world);
    let first = world.number("SELECT min(id) FROM media_streams");
    let library = world.library();
    library
        .execute(
            "UPDATE media_streams SET extra_data = '{\"url\":\"\"}' WHERE id = ?1",
            [first],
        )
        .unwrap();
    assert_eq!(loudness(&world), outcome(3, 0));
    assert!(levels(&world).iter().all(|extra| extra.get("ld:albumGain").is_some()));
}

fn basic(world: &World, backlog: &Backlog) -> Outcome {
    basic::run(&mut world.process(), backlog, false).unwrap()
}

#[test]
fn media_analysis_makes_the_streams_anew() {
    let (world, _) = album(2);
    let section = Backlog::Section(world.section);
    let part = world.number("SELECT min(id) FROM media_parts");
    let library = world.library();
    let beside = "INSERT INTO media_streams (stream_type_id, media_part_id, url) VALUES (4, ?1, 'file:///a.lrc')";
    library.execute(beside, [part]).unwrap();
    let before = world.texts("SELECT CAST(id AS TEXT) FROM media_streams WHERE stream_type_id = 2");
    assert_eq!(basic(&world, &section), outcome(2, 0));
    let after = world.texts("SELECT CAST(id AS TEXT) FROM media_streams WHERE stream_type_id = 2");
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|id| !after.contains(id)));
    assert_eq!(
        world.number("SELECT count(*) FROM media_streams WHERE url = 'file:///a.lrc'"),
        1
    );
    let row = "SELECT container || audio_codec || audio_channels || ' ' || duration || ' ' || media_analysis_version
               || ' ' || (bitrate = size * 8000 / duration) FROM media_items";
    assert_eq!(world.texts(row), ["flacflac2 1000 6 1", "flacflac2 1000 6 1"]);
    let stream = Extra::parse(Some(
        &world.texts("SELECT extra_data FROM media_streams WHERE stream_type_id = 2")[0],
    ));
    assert_eq!(stream.get("ma:samplingRate"), Some("44100"));
    assert_eq!(stream.get("ma:audioChannelLayout"), Some("stereo"));
    let part = Extra::parse(Some(&world.texts("SELECT extra_data FROM media_parts")[0]));
    assert_eq!(part.get("ma:container"), Some("flac"));
    assert_eq!(basic(&world, &section), outcome(0, 0));
    assert_eq!(basic(&world, &Backlog::All), outcome(0, 0));
    let artist = world.number("SELECT id FROM metadata_items WHERE metadata_type = 8");
    assert_eq!(
        basic(&world, &Backlog::Items(vec![artist])),
        outcome(2, 0),
        "an artist is all of its tracks"
    );
    let track = world.number("SELECT min(id) FROM metadata_items WHERE metadata_type = 10");
    assert_eq!(basic(&world, &Backlog::Items(vec![track])), outcome(1, 0));
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_rows() {
    let (world, files) = album(2);
    fs::remove_file(&files[0]).unwrap();
    let before = world.texts("SELECT CAST(id AS TEXT) FROM media_streams ORDER BY id");
    assert_eq!(basic(&world, &Backlog::Section(world.section)), outcome(1, 1));
    let after = world.texts("SELECT CAST(id AS TEXT) FROM media_streams ORDER BY id");
    assert_eq!(before.iter().filter(|id| after.contains(id)).count(), 1);
    assert_eq!(
        world.number("SELECT count(*) FROM media_items WHERE media_analysis_version = 0"),
        1
    );
}
