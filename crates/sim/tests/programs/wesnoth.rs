//! Recordings that people made, instead of music that nobody did.

use std::os::unix::fs::symlink;

use super::*;

/// Music of a real game, as Debian installs it.
const MUSIC: &str = "/usr/share/games/wesnoth/1.16/data/core/music";
/// How many of its pieces are listened to.
const FILES: usize = 4;

/// Real recordings, in Ogg Vorbis: all have their facts, their loudness and a vector unlike the others'.
#[test]
fn real_music_has_vectors_that_differ() {
    // Short ones: listening takes its time in a build for debugging. Those of one title would be one track.
    let names = ["victory.ogg", "defeat.ogg", "elf-land.ogg", "revelation.ogg"];
    let present: Vec<&str> = names
        .into_iter()
        .filter(|name| Path::new(MUSIC).join(name).is_file())
        .collect();
    if present.len() < FILES {
        println!("SKIPPED real_music_has_vectors_that_differ: the music of wesnoth is not installed in {MUSIC}");
        return;
    }
    let world = World::with_library();
    for name in &present {
        symlink(Path::new(MUSIC).join(name), world.media().join(name)).unwrap();
    }
    world.scan();
    world.analyse();
    let vectors = world.vectors();
    assert_eq!(vectors.len(), FILES);
    let distance = |one: &str, other: &str| -> f64 {
        vectors[one]
            .iter()
            .zip(&vectors[other])
            .map(|(one, other)| (one - other).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    for one in &present {
        for other in present.iter().filter(|other| *other != one) {
            assert!(distance(one, other) > 0.05, "{one} {other}");
        }
    }
    let output = world
        .program("Plex Media Scanner")
        .args(["--analyze", "--analyze-loudness", "--section", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let facts =
        "SELECT count(*) FROM media_items WHERE container = 'ogg' AND audio_codec = 'vorbis' AND duration > 1000";
    assert_eq!(world.number(facts), i64::try_from(FILES).unwrap());
    let loudness = "SELECT count(*) FROM media_streams
         WHERE CAST(json_extract(extra_data, '$.\"ld:loudness\"') AS REAL) BETWEEN -40 AND -5";
    assert_eq!(world.number(loudness), i64::try_from(FILES).unwrap());
}
