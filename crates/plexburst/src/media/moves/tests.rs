//! Restructurings by hand and by chance: everything that can be told is found, and nothing is ever led astray.

use super::*;
use crate::media::sample::Random;

/// Files of a library, and where each of them lies now (none: it is gone).
#[derive(Default)]
struct World {
    files: Vec<(String, u64, Option<String>)>,
    /// Files that the library does not know.
    others: Vec<(String, u64)>,
    roots: Vec<String>,
}

impl World {
    fn new(root: &str) -> Self {
        Self {
            roots: vec![root.to_owned()],
            ..Self::default()
        }
    }

    fn add(&mut self, path: &str, size: u64, now: Option<&str>) {
        self.files.push((path.to_owned(), size, now.map(str::to_owned)));
    }

    fn find(&self) -> Moves {
        let file = |path: &str, size: u64| File {
            path: path.to_owned(),
            size: Some(size),
        };
        let is_there = |(path, _, now): &&(String, u64, Option<String>)| now.as_ref() == Some(path);
        let missing: Vec<File> = self
            .files
            .iter()
            .filter(|known| !is_there(known))
            .map(|(path, size, _)| file(path, *size))
            .collect();
        let there = self.files.iter().filter(|known| !is_there(known));
        let mut unknown: Vec<File> = there
            .filter_map(|(_, size, now)| Some(file(now.as_ref()?, *size)))
            .chain(self.others.iter().map(|(path, size)| file(path, *size)))
            .collect();
        unknown.sort();
        let near = unknown.iter().map(|file| parent(&file.path).to_owned()).collect();
        let present = Present::new(self.files.iter().filter(is_there).map(|(path, ..)| path.clone()), &near);
        let moves = find(&Ground {
            roots: &self.roots,
            missing: &missing,
            unknown: &unknown,
            present: &present,
        });
        self.nothing_astray(&moves);
        moves
    }

    /// Every file under an offered mapping comes to where it lies, or to where nothing lies (it was lost before).
    fn nothing_astray(&self, moves: &Moves) {
        let rules: Rules = moves
            .offers
            .iter()
            .map(|offer| (offer.from.clone(), offer.to.clone()))
            .collect();
        let lies = |place: &String| {
            let moved_there = self.files.iter().any(|(_, _, now)| now.as_ref() == Some(place));
            moved_there || self.others.iter().any(|(other, _)| other == place)
        };
        let mut explained = 0;
        for (path, _, now) in &self.files {
            let Some((from, to)) = longest(&rules, path) else {
                continue;
            };
            assert_ne!(now.as_ref(), Some(path), "{path} is where it was, and {from} → {to}");
            let target = moved(path, from, to);
            if now.as_ref() == Some(&target) {
                explained += 1;
            } else {
                assert!(!lies(&target), "{path} by {from} → {to}, and it lies in {now:?}");
            }
        }
        assert_eq!(moves.explained(), explained);
    }
}

fn offers(moves: &Moves) -> Vec<(&str, &str, u64)> {
    moves
        .offers
        .iter()
        .map(|offer| (offer.from.as_str(), offer.to.as_str(), offer.files))
        .collect()
}

#[test]
fn seasons_that_were_books() {
    let mut world = World::new("/tv");
    for (book, season) in [("Livre I", "Season 1"), ("Livre II", "Season 2")] {
        for episode in 1..=5 {
            let name = format!("S{season}E{episode}.mkv");
            let size = 1000 + episode * 7 + season.len() as u64;
            world.add(
                &format!("/tv/Avatar/{book}/{name}"),
                size,
                Some(&format!("/tv/Avatar/{season}/{name}")),
            );
        }
    }
    world.add("/tv/Other/1.mkv", 9, Some("/tv/Other/1.mkv"));
    assert_eq!(
        offers(&world.find()),
        [
            ("/tv/Avatar/Livre I", "/tv/Avatar/Season 1", 5),
            ("/tv/Avatar/Livre II", "/tv/Avatar/Season 2", 5)
        ]
    );
}

#[test]
fn a_root_that_was_renamed_is_one_mapping_but_for_what_went_elsewhere() {
    let mut world = World::new("/m/TVShows");
    for show in 0..10 {
        for episode in 0..4 {
            let rest = format!("Show {show}/Season 1/E{episode}.mkv");
            let to = if show == 3 { "/m/Archive" } else { "/m/TV" };
            world.add(
                &format!("/m/TVShows/{rest}"),
                100 + show * 10 + episode,
                Some(&format!("{to}/{rest}")),
            );
        }
    }
    world.add("/m/TVShows/Show 5/gone.mkv", 5, None);
    let moves = world.find();
    assert_eq!(
        offers(&moves),
        [
            ("/m/TVShows", "/m/TV", 36),
            ("/m/TVShows/Show 3", "/m/Archive/Show 3", 4)
        ]
    );
    assert_eq!((moves.missing, moves.explained()), (41, 40));
}

#[test]
fn what_cannot_be_told_is_not_offered() {
    let mut world = World::new("/m");
    // Two copies, alike in every file.
    for track in 0..3 {
        world.add(
            &format!("/m/A/{track}.mp3"),
            10 + track,
            Some(&format!("/m/B/{track}.mp3")),
        );
        world.others.push((format!("/m/C/{track}.mp3"), 10 + track));
    }
    // Only half of a folder was moved.
    world.add("/m/D/1.mp3", 50, Some("/m/D/1.mp3"));
    world.add("/m/D/2.mp3", 51, Some("/m/E/2.mp3"));
    // One of many may be a coincidence.
    for track in 0..8 {
        world.add(
            &format!("/m/F/{track}.mp3"),
            70 + track,
            (track == 0).then_some("/m/G/0.mp3"),
        );
    }
    // Two folders that would meet.
    world.add("/m/H/x.mp3", 90, Some("/m/J/x.mp3"));
    world.add("/m/I/x.mp3", 90, None);
    let moves = world.find();
    assert_eq!(offers(&moves), []);
    let doubts: Vec<&str> = moves.doubts.iter().map(|doubt| doubt.folder.as_str()).collect();
    assert_eq!(doubts, ["/m/A", "/m/D", "/m/F", "/m/H", "/m/I"]);
    assert!(moves.doubts[0].why.contains("/m/B") && moves.doubts[0].why.contains("/m/C"));
}

#[test]
fn neighbours_decide_between_copies() {
    let mut world = World::new("/m");
    for track in 0..6 {
        world.add(
            &format!("/m/A/{track}.mp3"),
            10 + track,
            Some(&format!("/m/B/{track}.mp3")),
        );
    }
    // A best-of has some of the same files.
    world.others.push(("/m/Best of/2.mp3".to_owned(), 12));
    world.others.push(("/m/Best of/4.mp3".to_owned(), 14));
    assert_eq!(offers(&world.find()), [("/m/A", "/m/B", 6)]);
}

/// 717 of 847 stale paths is what one restructuring of a real library left (facts: plex §8.1).
#[test]
fn a_restructuring_of_717_of_847_files() {
    let mut world = World::new("/Media/TVShows");
    let mut random = Random::new(717);
    let (mut made, mut show) = (0, 0);
    while made < 847 {
        show += 1;
        let seasons = 1 + random.below(4);
        for season in 1..=seasons {
            for episode in 1..=13 {
                if made == 847 {
                    break;
                }
                let name = format!("Show {show} - S{season:02}E{episode:02}.mkv");
                let old = format!("/Media/TVShows/Show {show}/Livre {season}/{name}");
                let new = if made < 717 {
                    format!("/Media/TVShows/Show {show}/Season {season}/{name}")
                } else {
                    old.clone()
                };
                // Constant bit rates: many files of one size.
                world.add(&old, 350_000_000 + random.below(40) * 1_000_000, Some(&new));
                made += 1;
            }
        }
    }
    for number in 0..200 {
        world.others.push((
            format!("/Media/TVShows/New {}/E{number}.mkv", number / 10),
            350_000_000 + random.below(40) * 1_000_000,
        ));
    }
    let moves = world.find();
    assert_eq!((moves.missing, moves.explained(), moves.doubts.len()), (717, 717, 0));
    // A mapping for each folder, with what it explains; file by file where the restructuring stopped in the middle of one.
    let is_file = |offer: &&Offer| offer.from.ends_with(".mkv");
    let (files, folders): (Vec<_>, Vec<_>) = moves.offers.iter().partition(is_file);
    assert!(
        folders
            .iter()
            .all(|offer| offer.files == 13 && offer.from.contains("/Livre ")),
        "{folders:?}"
    );
    assert_eq!(files.len() as u64, 717 % 13);
    let stopped = parent(&files[0].from);
    assert!(
        files
            .iter()
            .all(|offer| offer.files == 1 && parent(&offer.from) == stopped),
        "{files:?}"
    );
    assert!(
        world
            .files
            .iter()
            .any(|(path, _, now)| parent(path) == stopped && now.as_ref() == Some(path))
    );
}

#[test]
fn where_only_some_were_moved_each_of_them_is_mapped() {
    let partly = |moved: u64, gone: u64, stayed: u64| {
        let mut world = World::new("/m");
        for track in 0..moved + gone + stayed {
            let path = format!("/m/A/{track}.mp3");
            let now = match track {
                track if track < moved => Some(format!("/m/B/{track}.mp3")),
                track if track < moved + gone => None,
                _ => Some(path.clone()),
            };
            world.add(&path, 100 + track, now.as_deref());
        }
        world.find()
    };
    let moves = partly(4, 0, 9);
    assert_eq!((moves.offers.len(), moves.explained()), (4, 4));
    assert_eq!(offers(&moves)[0], ("/m/A/0.mp3", "/m/B/0.mp3", 1));
    let mut world = World::new("/m");
    for name in ["Pilot", "Finale"] {
        world.add(&format!("/m/A/{name}.mkv"), 7, Some(&format!("/m/B/{name}.mkv")));
    }
    world.add("/m/A/Special.mkv", 7, Some("/m/A/Special.mkv"));
    assert_eq!(world.find().explained(), 2);
    world.others.push(("/m/C/Finale.mkv".to_owned(), 9));
    assert_eq!(world.find().explained(), 0);
    // One that is nowhere makes it uncertain, and so many are for a person.
    for doubtful in [partly(4, 1, 9), partly(30, 0, 9)] {
        assert_eq!(offers(&doubtful), []);
        assert!(
            doubtful.doubts[0].why.contains("move the rest"),
            "{:?}",
            doubtful.doubts
        );
    }
}

/// What somebody may do to a tree of folders.
fn restructure(random: &mut Random, world: &mut World) {
    let tops = 1 + random.below(3);
    // Files of different content have the same number of bytes once in a million, as real ones do.
    let sizes = [1_000_000, 4_000_000_000][usize::try_from(random.below(2)).unwrap()];
    for top in 0..tops {
        let root = format!("/r{top}");
        world.roots.push(root.clone());
        let root_to = [
            root.clone(),
            format!("/r{top}"),
            format!("/moved{top}"),
            format!("/all/{top}"),
        ][usize::try_from(random.below(4)).unwrap()]
        .clone();
        for show in 0..2 + random.below(6) {
            let show_to = match random.below(5) {
                0 => format!("{root_to}/Renamed {show}"),
                1 => format!("/elsewhere/Show {show}"),
                _ => format!("{root_to}/Show {show}"),
            };
            for season in 0..1 + random.below(3) {
                let season_to = match random.below(4) {
                    0 => format!("{show_to}/S{season}"),
                    1 => show_to.clone(),
                    _ => format!("{show_to}/Book {season}"),
                };
                let how = random.below(8);
                for episode in 0..1 + random.below(9) {
                    // Names repeat over shows and seasons, so sizes and neighbours have to decide.
                    let name = format!("E{episode}.mkv");
                    let path = format!("{root}/Show {show}/Book {season}/{name}");
                    let size = 1 + random.below(sizes);
                    let now = match (how, random.below(10)) {
                        (0, 0..5) | (_, 0) => None,
                        (1, 0..4) => Some(path.clone()),
                        (2, 1) => Some(format!("/split/{root}/{show}-{season}/{name}")),
                        _ => Some(format!("{season_to}/{name}")),
                    };
                    // One place holds one file.
                    let is_taken =
                        |place: &String| world.files.iter().any(|(_, _, other)| other.as_ref() == Some(place));
                    let now = now.filter(|place| !is_taken(place));
                    world.files.push((path, size, now));
                }
            }
        }
    }
    for number in 0..random.below(30) {
        let path = format!("/r0/Other {}/E{}.mkv", random.below(4), number % 9);
        let is_taken = world.files.iter().any(|(_, _, other)| other.as_ref() == Some(&path));
        if !is_taken && !world.others.iter().any(|(other, _)| *other == path) {
            world.others.push((path, 1 + random.below(sizes)));
        }
    }
}

#[test]
fn random_restructurings_lead_nothing_astray() {
    let cases = std::env::var("PLEXBURST_PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(300);
    let (mut moved, mut explained) = (0, 0);
    for seed in 0..cases {
        let mut world = World::default();
        restructure(&mut Random::new(seed), &mut world);
        // What is led astray fails inside.
        let moves = world.find();
        let there = |(path, _, now): &&(String, u64, Option<String>)| now.as_ref().is_some_and(|now| now != path);
        moved += world.files.iter().filter(there).count() as u64;
        explained += moves.explained();
    }
    // Split and merged folders are left alone; most of the rest is found.
    assert!(explained * 10 > moved * 6, "{explained} of {moved}");
}
