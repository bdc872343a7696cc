//! Damage of every kind, and who finds it: `verify` without a manifest, SQLite's own check, and the manifest.
//!
//! `PLEXBURST_DAMAGE_FLIPS=N` flips N bytes in each library instead of a share.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use plex_library::snapshot::{self, Manifest};
use plex_library::verify::{self, Finding, Level};
use plex_library::{Databases, Which};
use rusqlite::{Connection, OpenFlags};
use sim::fixture::Builder;
use sim::schema::Version;

use crate::support::{self, rows};

/// A sealed copy of a library that may be damaged.
struct Sealed {
    _tmp: tempfile::TempDir,
    databases: Databases,
    manifest: Manifest,
}

impl Sealed {
    fn of(home: &Databases) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("sealed");
        let manifest = snapshot::take(home, &dir, &()).unwrap();
        Self {
            _tmp: tmp,
            databases: Databases::at(dir),
            manifest,
        }
    }

    fn path(&self) -> PathBuf {
        self.databases.library()
    }

    /// Whether the manifest tells that the copy was changed.
    fn is_found_by_manifest(&self) -> bool {
        !verify::against(&self.databases, &self.manifest.sealed(), Some(self.databases.dir()))
            .unwrap()
            .is_empty()
    }

    fn bare(&self) -> verify::Verification {
        verify::verify(self.databases.dir(), Level::Full).unwrap()
    }
}

fn fixture(version: Version, page_size: u32) -> Sealed {
    let tmp = tempfile::tempdir().unwrap();
    let home = Databases::at(tmp.path().join("home"));
    Builder::new(home.dir())
        .version(version)
        .page_size(page_size)
        .music("Music", "/Media/Music", 8, 4, 8)
        .movies("Films", "/Media/Films", 40)
        .shows("Series", "/Media/Series", 3, 2, 8)
        .household(300, 60, 5)
        .sonic(0.3)
        .build()
        .unwrap();
    // Deleting leaves pages on the freelist, and gaps in others.
    Connection::open(home.library())
        .unwrap()
        .execute_batch("PRAGMA foreign_keys=OFF; DELETE FROM taggings WHERE id % 5 = 0; DELETE FROM metadata_item_views WHERE id < 150")
        .unwrap();
    Sealed::of(&home)
}

/// What each byte of a database belongs to.
struct Classes {
    page_size: usize,
    /// Class and end of what is used of the beginning, start of what is used at the end.
    pages: Vec<(&'static str, usize, usize)>,
}

impl Classes {
    fn of(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let page_size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut pages = vec![("free pages", page_size, page_size); bytes.len() / page_size];
        let mut statement = db
            .prepare(
                "SELECT d.pageno, d.name, d.pagetype, coalesce(s.type, 'table') FROM dbstat d
                 LEFT JOIN sqlite_schema s ON s.name = d.name",
            )
            .unwrap();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let (number, name, kind, of): (u32, String, String, String) = (
                row.get(0).unwrap(),
                row.get(1).unwrap(),
                row.get(2).unwrap(),
                row.get(3).unwrap(),
            );
            let number = number as usize;
            let class = match (name.as_str(), kind.as_str(), of.as_str()) {
                ("sqlite_schema", ..) => "schema",
                (_, "overflow", _) => "overflow pages",
                (name, ..) if name.starts_with("fts4_") => "search tables",
                (_, "internal", "table") => "tables, inner pages",
                (_, "internal", _) => "indices, inner pages",
                (_, _, "table") => "tables, leaves",
                _ => "indices, leaves",
            };
            let page = &bytes[(number - 1) * page_size..number * page_size];
            let head = if number == 1 { 100 } else { 0 };
            let (used, content) = if class == "overflow pages" {
                (page_size, page_size)
            } else {
                let word = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
                let array = head + if page[head] <= 5 { 12 } else { 8 };
                (array + 2 * word(head + 3), word(head + 5))
            };
            pages[number - 1] = (class, used, content);
        }
        Self { page_size, pages }
    }

    fn of_byte(&self, at: usize) -> &'static str {
        let (class, used, content) = self.pages[at / self.page_size];
        match at % self.page_size {
            _ if at < 100 => "header",
            within if (used..content).contains(&within) => "unused bytes",
            _ => class,
        }
    }
}

/// What SQLite's own check says, with stand-ins for what only Plex has.
fn integrity(path: &Path) -> Vec<String> {
    let uri = format!("file:{}?immutable=1", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let check = || -> rusqlite::Result<Vec<String>> {
        let db = Connection::open_with_flags(&uri, flags)?;
        sim::store::register(&db)?;
        let mut statement = db.prepare("PRAGMA integrity_check(10000)")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    check().unwrap_or_else(|error| vec![error.to_string()])
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    flips: usize,
    problems: usize,
    told: usize,
    integrity: usize,
    manifest: usize,
}

impl Tally {
    fn found(self) -> usize {
        self.problems + self.told
    }

    fn line(self, name: &str) -> String {
        let share = |count: usize| format!("{:>5.1} %", 100.0 * count as f64 / self.flips.max(1) as f64);
        format!(
            "{name:<22} {:>6}  {}  {}  {}  {}",
            self.flips,
            share(self.problems),
            share(self.found()),
            share(self.integrity),
            share(self.manifest)
        )
    }
}

struct Flipper<'a> {
    sealed: &'a Sealed,
    file: File,
    whole: Vec<u8>,
    drift: Vec<Finding>,
    integrity: Vec<String>,
}

impl<'a> Flipper<'a> {
    fn new(sealed: &'a Sealed) -> Self {
        let path = sealed.path();
        let bare = sealed.bare();
        assert!(bare.ok, "{:#?}", bare.problems);
        Self {
            sealed,
            file: File::options().write(true).open(&path).unwrap(),
            whole: fs::read(&path).unwrap(),
            drift: bare.drift,
            integrity: integrity(&path),
        }
    }

    fn flip(&self, at: usize, mask: u8, tally: &mut Tally) {
        self.file.write_all_at(&[self.whole[at] ^ mask], at as u64).unwrap();
        let bare = self.sealed.bare();
        tally.flips += 1;
        tally.problems += usize::from(!bare.ok);
        tally.told += usize::from(bare.ok && bare.drift != self.drift);
        tally.integrity += usize::from(integrity(&self.sealed.path()) != self.integrity);
        tally.manifest += usize::from(self.sealed.is_found_by_manifest());
        self.file.write_all_at(&self.whole[at..=at], at as u64).unwrap();
    }
}

/// Flips random bytes, then some in every class that was not met often enough. Gives the tally of the random ones.
fn flip_all(name: &str, sealed: &Sealed, share: usize) -> Tally {
    let flips = std::env::var("PLEXBURST_DAMAGE_FLIPS").map_or(share, |text| text.parse().unwrap());
    let classes = Classes::of(&sealed.path());
    let flipper = Flipper::new(sealed);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut by_class: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    let total = flipper.whole.len();
    for _ in 0..flips {
        let (at, mask) = (random.next(total), u8::try_from(1 + random.next(255)).unwrap());
        let mut one = Tally::default();
        flipper.flip(at, mask, &mut one);
        for sum in [&mut all, by_class.entry(classes.of_byte(at)).or_default()] {
            sum.flips += 1;
            sum.problems += one.problems;
            sum.told += one.told;
            sum.integrity += one.integrity;
            sum.manifest += one.manifest;
        }
    }
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for at in 0..total {
        places.entry(classes.of_byte(at)).or_default().push(at);
    }
    for (class, places) in &places {
        let tally = by_class.entry(class).or_default();
        while tally.flips < (flips / 20).max(3).min(places.len()) {
            let (at, mask) = (
                places[random.next(places.len())],
                u8::try_from(1 + random.next(255)).unwrap(),
            );
            flipper.flip(at, mask, tally);
        }
    }
    println!("{name}: {total} bytes");
    println!(
        "{:<22} {:>6}  {:>7}  {:>7}  {:>7}  {:>7}",
        "", "flips", "refused", "told", "SQLite", "sealed"
    );
    for (class, tally) in &by_class {
        println!("{}", tally.line(class));
    }
    println!("{}", all.line("of all bytes"));
    for (class, tally) in by_class {
        assert_eq!(
            tally.manifest, tally.flips,
            "{name}, {class}: the manifest finds every byte"
        );
        if matches!(class, "tables, inner pages" | "indices, leaves") {
            assert!(tally.found() * 100 >= tally.flips * 80, "{name}, {class}: {tally:?}");
        }
    }
    assert!(sealed.bare().ok);
    all
}

#[test]
fn flipped_bytes_of_the_real_library_are_found() {
    let Some(home) = support::real_copy("flipped_bytes_of_the_real_library", &support::keep_dir("damage")) else {
        return;
    };
    let sealed = Sealed::of(&home);
    fs::remove_dir_all(home.dir()).unwrap();
    let all = flip_all("the real library of 2026", &sealed, 40);
    assert!(all.found() > all.integrity, "{all:?}");
}

#[test]
fn flipped_bytes_of_both_schemas_and_all_page_sizes_are_found() {
    for (version, page_size) in [
        (Version::Plex2026, 1024),
        (Version::Plex2020, 4096),
        (Version::Plex2026, 16384),
    ] {
        let all = flip_all(
            &format!("{version:?} in pages of {page_size}"),
            &fixture(version, page_size),
            40,
        );
        assert!(all.found() >= all.integrity, "{all:?}");
    }
}

/// Damages the copy, and puts the files back afterwards.
fn with_damage(sealed: &Sealed, damage: impl FnOnce(&Databases), judge: impl FnOnce(&Sealed)) {
    let kept: Vec<(PathBuf, Vec<u8>)> = Which::BOTH
        .iter()
        .map(|&which| sealed.databases.path(which))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    damage(&sealed.databases);
    judge(sealed);
    for (path, bytes) in kept {
        for log in [plex_library::paths::wal_of(&path), plex_library::paths::shm_of(&path)] {
            _ = fs::remove_file(log);
        }
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn cut_torn_swapped_and_foreign_files_are_found() {
    type Damage<'a> = (&'a str, bool, Box<dyn Fn(&Databases)>);
    let edit = |edit: fn(&mut Vec<u8>, usize)| {
        Box::new(move |home: &Databases| {
            let mut bytes = fs::read(home.library()).unwrap();
            let size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
                1 => 65536,
                size => usize::from(size),
            };
            edit(&mut bytes, size);
            fs::write(home.library(), bytes).unwrap();
        }) as Box<dyn Fn(&Databases)>
    };
    let root_of_files = |home: &Databases| -> usize {
        Connection::open_with_flags(home.library(), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap()
            .query_row(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'media_parts'",
                [],
                |row| row.get::<_, u32>(0),
            )
            .unwrap() as usize
    };
    // What only the manifest can find is marked so.
    let damages: Vec<Damage<'_>> = vec![
        (
            "cut behind a page",
            true,
            edit(|bytes, size| bytes.truncate(bytes.len() / size / 2 * size)),
        ),
        (
            "cut within a page",
            true,
            edit(|bytes, size| bytes.truncate(bytes.len() - size / 2)),
        ),
        ("cut to nothing", true, edit(|bytes, _| bytes.clear())),
        (
            "longer than it was",
            false,
            edit(|bytes, size| bytes.extend(vec![0; size])),
        ),
        (
            "a page of zeros",
            true,
            Box::new(move |home| {
                let at = root_of_files(home);
                let mut bytes = fs::read(home.library()).unwrap();
                let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
                bytes[(at - 1) * size..at * size].fill(0);
                fs::write(home.library(), bytes).unwrap();
            }),
        ),
        (
            "a torn page: half of it from before a change",
            true,
            Box::new(move |home| {
                let before = fs::read(home.library()).unwrap();
                Connection::open(home.library())
                    .unwrap()
                    .execute_batch("DELETE FROM media_parts WHERE id % 2 = 1")
                    .unwrap();
                let mut bytes = fs::read(home.library()).unwrap();
                let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
                let page = (1..bytes.len().min(before.len()) / size)
                    .find(|page| {
                        let half = page * size..page * size + size / 2;
                        before[half.clone()] != bytes[half]
                    })
                    .unwrap();
                bytes[page * size + size / 2..(page + 1) * size]
                    .copy_from_slice(&before[page * size + size / 2..(page + 1) * size]);
                fs::write(home.library(), bytes).unwrap();
            }),
        ),
        (
            "a log that was never brought along",
            false,
            Box::new(|home| {
                // The file as it was before its last changes, which were in the log alone.
                let before = fs::read(home.library()).unwrap();
                Connection::open(home.library())
                    .unwrap()
                    .execute_batch("UPDATE media_parts SET size = size + 1")
                    .unwrap();
                let after = fs::read(home.library()).unwrap();
                assert!(before != after);
                fs::write(home.library(), after).unwrap();
            }),
        ),
        (
            "the log of another library",
            true,
            Box::new(|home| {
                let other = tempfile::tempdir().unwrap();
                let pair = support::plex_pair_of(other.path(), 1024);
                let db = support::open(&pair.library(), 1024);
                db.execute_batch("PRAGMA wal_autocheckpoint=0; INSERT INTO metadata_item_views(guid) VALUES('x')")
                    .unwrap();
                let log = plex_library::paths::wal_of(&pair.library());
                fs::write(plex_library::paths::wal_of(&home.library()), fs::read(log).unwrap()).unwrap();
            }),
        ),
        (
            "a pair that was swapped",
            true,
            Box::new(|home| {
                let (library, blobs) = (fs::read(home.library()).unwrap(), fs::read(home.blobs()).unwrap());
                fs::write(home.library(), blobs).unwrap();
                fs::write(home.blobs(), library).unwrap();
            }),
        ),
        (
            "no blobs",
            true,
            Box::new(|home| fs::remove_file(home.blobs()).unwrap()),
        ),
    ];
    for (version, page_size) in [
        (Version::Plex2026, 1024),
        (Version::Plex2020, 4096),
        (Version::Plex2026, 16384),
    ] {
        let sealed = fixture(version, page_size);
        println!("{version:?} in pages of {page_size}");
        for (name, is_found_bare, damage) in &damages {
            with_damage(&sealed, damage, |sealed| {
                let bare = sealed.bare();
                println!(
                    "{name:<45} {}",
                    if bare.ok { "only by the manifest" } else { "found bare" }
                );
                assert!(sealed.is_found_by_manifest(), "{name}");
                assert!(!bare.ok || !is_found_bare, "{version:?}, {page_size}: {name}");
            });
        }
        assert!(!sealed.is_found_by_manifest());
        assert!(!rows(&sealed.path()).is_empty());
    }
}
