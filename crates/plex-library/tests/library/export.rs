use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use plex_library::snapshot::{MANIFEST, Manifest, Options, Way};
use plex_library::{Databases, Kind, Progress, Which, archive, export};

use crate::support::{self, names, tree};

/// A data directory with everything that Plex keeps, as far as an archive could meet it.
fn data_dir(root: &Path) -> Databases {
    let home = support::pair(&root.join("Plug-in Support/Databases"), 1024, 2000);
    for (path, content) in [
        (
            "Plug-in Support/Databases/com.plexapp.plugins.library.db-2026-01-02",
            "backup",
        ),
        (
            "Plug-in Support/Databases/com.plexapp.plugins.library.db.restore",
            "junk",
        ),
        ("Plug-in Support/Databases/tv.plex.providers.epg.cloud.db", "guide"),
        ("Preferences.xml", "identity"),
        (".LocalAdminToken", "identity"),
        ("Cache/x", "cache"),
        ("Metadata/Movies/1/ab.bundle/Contents/poster", "picture"),
        ("Media/localhost/2/cd.bundle/Contents/Thumbnails/thumb1.jpg", "thumb"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink("poster", root.join("Metadata/Movies/1/ab.bundle/Contents/link")).unwrap();
    // More than is read at once.
    fs::write(root.join("Media/localhost/big.bif"), vec![7; 9_000_000]).unwrap();
    home
}

fn entries(archive: &Path) -> Vec<String> {
    let bytes = zstd::decode_all(fs::File::open(archive).unwrap()).unwrap();
    let mut tar = tar::Archive::new(bytes.as_slice());
    let mut names: Vec<String> = tar
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    names.sort();
    names
}

const PAIR: [&str; 3] = [
    "Plug-in Support/Databases/com.plexapp.plugins.library.blobs.db",
    "Plug-in Support/Databases/com.plexapp.plugins.library.db",
    "plexburst/manifest.json",
];

#[test]
fn an_archive_holds_the_pair_its_manifest_and_nothing_else() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("Plex Media Server");
    let home = data_dir(&root);
    let before = tree(&root);
    for way in [Way::OnePass, Way::Plain] {
        let file = tmp.path().join("out.tar.zst");
        let options = Options {
            way,
            ..Options::default()
        };
        let exported = export::write(&home, None, &file, &options, &()).unwrap();
        assert_eq!(tree(&root), before);
        assert_eq!(entries(&file), PAIR);
        let bytes = fs::read(&file).unwrap();
        assert_eq!(exported.object.bytes, bytes.len() as u64);
        assert_eq!(exported.object.blake3, blake3::hash(&bytes).to_hex().as_str());
        let unpacked = archive::unpack(&file, &tmp.path().join("unpacked")).unwrap();
        assert_eq!(Manifest::read(&unpacked.notes()).unwrap(), exported.manifest);
        for which in Which::BOTH {
            let copy = fs::read(unpacked.databases().path(which)).unwrap();
            let said = &exported.manifest.database(which).unwrap().whole;
            assert_eq!(said.blake3, blake3::hash(&copy).to_hex().as_str());
            if way == Way::OnePass {
                assert!(copy == fs::read(home.path(which)).unwrap());
            }
        }
        assert_eq!(exported.manifest.counts["metadata_items"], 2000);
        assert_eq!(names(tmp.path()), ["Plex Media Server", "out.tar.zst", "unpacked"]);
        fs::remove_file(&file).unwrap();
        fs::remove_dir_all(tmp.path().join("unpacked")).unwrap();
    }
}

#[test]
fn with_bundles_both_trees_are_in_it() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("Plex Media Server");
    let home = data_dir(&root);
    let file = tmp.path().join("out.tar.zst");
    let exported = export::write(&home, Some(&root), &file, &Options::default(), &()).unwrap();
    assert_eq!((exported.bundle_files, exported.bundle_bytes), (4, 9_000_012));
    let bundles: Vec<String> = entries(&file)
        .into_iter()
        .filter(|name| !PAIR.contains(&name.as_str()))
        .collect();
    assert_eq!(
        bundles,
        [
            "Media/localhost/2/cd.bundle/Contents/Thumbnails/thumb1.jpg",
            "Media/localhost/big.bif",
            "Metadata/Movies/1/ab.bundle/Contents/link",
            "Metadata/Movies/1/ab.bundle/Contents/poster",
        ]
    );
    let unpacked = archive::unpack(&file, &tmp.path().join("unpacked")).unwrap();
    let big = fs::read(unpacked.data_dir().join("Media/localhost/big.bif")).unwrap();
    assert!(big == vec![7; 9_000_000]);
    assert_eq!(Manifest::read(&unpacked.notes()).unwrap(), exported.manifest);
    assert!(unpacked.notes().join(MANIFEST).is_file());
}

#[test]
fn one_that_fails_or_is_cancelled_leaves_what_had_its_name() {
    struct AtOnce;
    impl Progress for AtOnce {
        fn advance(&self, _: &str, _: u64, _: u64) {}
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let tmp = tempfile::tempdir().unwrap();
    let home = support::pair(&tmp.path().join("home"), 1024, 50);
    let file = tmp.path().join("out.tar.zst");
    fs::write(&file, "an older archive").unwrap();
    let error = export::write(&home, None, &file, &Options::default(), &AtOnce).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    fs::remove_file(home.blobs()).unwrap();
    let error = export::write(&home, None, &file, &Options::default(), &()).unwrap_err();
    assert_eq!(error.kind(), Kind::NotALibrary);
    assert_eq!(fs::read(&file).unwrap(), b"an older archive");
    assert_eq!(names(tmp.path()), ["home", "out.tar.zst"]);
}
