use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use plex_library::Kind;
use plex_library::bundle::{self, Index, Manifest};

use crate::support::{self, names, tree};

fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

const POSTER: &str = "Metadata/Movies/0/abc.bundle/Contents/agent/posters/p1";
const THUMB: &str = "Media/localhost/3/def.bundle/Contents/Thumbnails/thumb1.jpg";

fn worker(root: &Path) -> std::path::PathBuf {
    let worker = root.join("worker");
    write(&worker, POSTER, b"poster");
    write(&worker, THUMB, &[7; 100_000]);
    let link = worker.join("Metadata/Movies/0/abc.bundle/Contents/_combined/posters/p1");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("../../agent/posters/p1", link).unwrap();
    write(&worker, "Plug-in Support/Databases/x", b"not a bundle");
    write(&worker, "Preferences.xml", b"identity");
    worker
}

#[test]
fn what_is_new_is_added_and_what_home_has_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let (worker, home, packs) = (worker(tmp.path()), tmp.path().join("home"), tmp.path().join("packs"));
    write(&home, POSTER, b"the household's own");
    write(&home, "Metadata/Movies/0/abc.bundle/Uploads/posters/u", b"upload");
    let manifest = bundle::pack(&worker, &Index::default(), &packs, &()).unwrap();
    assert_eq!((manifest.files, manifest.packs.len()), (3, 1));
    assert!(manifest.bytes() < 2000, "it is compressed");

    let added = bundle::add(&packs, &home, &()).unwrap();
    assert_eq!((added.added, added.same, added.kept_count), (2, 0, 1));
    assert_eq!(added.kept, [POSTER]);
    assert_eq!(fs::read(home.join(POSTER)).unwrap(), b"the household's own");
    assert_eq!(fs::read(home.join(THUMB)).unwrap(), [7; 100_000]);
    assert_eq!(
        fs::metadata(home.join(THUMB)).unwrap().modified().unwrap(),
        fs::metadata(worker.join(THUMB)).unwrap().modified().unwrap()
    );
    let link = home.join("Metadata/Movies/0/abc.bundle/Contents/_combined/posters/p1");
    assert_eq!(fs::read(link).unwrap(), b"the household's own");
    assert_eq!(names(&home), ["Media", "Metadata"]);
    assert_eq!(names(&home.join("Metadata")), ["Movies"]);

    let before = tree(&home);
    let again = bundle::add(&packs, &home, &()).unwrap();
    assert_eq!((again.added, again.same, again.kept_count), (0, 2, 1));
    assert_eq!(tree(&home), before);
}

#[test]
fn only_what_changed_since_travels() {
    let tmp = tempfile::tempdir().unwrap();
    let worker = worker(tmp.path());
    let since = Index::of(&worker).unwrap();
    assert_eq!(since.len(), 3);
    write(
        &worker,
        "Media/localhost/4/new.bundle/Contents/Indexes/index-sd.bif",
        b"bif",
    );
    write(&worker, POSTER, b"another poster");
    let packs = tmp.path().join("packs");
    let manifest = bundle::pack(&worker, &since, &packs, &()).unwrap();
    assert_eq!(manifest.files, 2);
    assert_eq!(Manifest::read(&packs).unwrap(), manifest);
    let none = bundle::pack(&worker, &Index::of(&worker).unwrap(), &tmp.path().join("none"), &()).unwrap();
    assert_eq!((none.files, none.packs.len()), (0, 0));
    assert_eq!(bundle::add(&tmp.path().join("none"), &worker, &()).unwrap().added, 0);
}

#[test]
fn a_tree_on_another_disk_is_reached_through_its_link() {
    let tmp = tempfile::tempdir().unwrap();
    let (worker, home, packs) = (worker(tmp.path()), tmp.path().join("home"), tmp.path().join("packs"));
    fs::create_dir_all(tmp.path().join("disk")).unwrap();
    fs::create_dir(&home).unwrap();
    symlink(tmp.path().join("disk"), home.join("Media")).unwrap();
    bundle::pack(&worker, &Index::default(), &packs, &()).unwrap();
    bundle::add(&packs, &home, &()).unwrap();
    assert!(
        tmp.path()
            .join("disk/localhost/3/def.bundle/Contents/Thumbnails/thumb1.jpg")
            .is_file()
    );
    assert_eq!(Index::of(&home).unwrap().len(), 3);
}

#[test]
fn nothing_is_written_through_a_link_below_a_tree() {
    let tmp = tempfile::tempdir().unwrap();
    let (worker, home, packs) = (worker(tmp.path()), tmp.path().join("home"), tmp.path().join("packs"));
    fs::create_dir_all(home.join("Media")).unwrap();
    fs::create_dir(tmp.path().join("outside")).unwrap();
    symlink(tmp.path().join("outside"), home.join("Media/localhost")).unwrap();
    bundle::pack(&worker, &Index::default(), &packs, &()).unwrap();
    assert!(bundle::add(&packs, &home, &()).is_err());
    assert!(names(&tmp.path().join("outside")).is_empty());
}

#[test]
fn a_pack_that_is_not_what_was_packed_adds_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let (worker, home, packs) = (worker(tmp.path()), tmp.path().join("home"), tmp.path().join("packs"));
    bundle::pack(&worker, &Index::default(), &packs, &()).unwrap();
    fs::create_dir(&home).unwrap();
    let pack = packs.join("0000.bundles");
    let whole = fs::read(&pack).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&pack, bytes).unwrap();
        assert_eq!(bundle::add(&packs, &home, &()).unwrap_err().kind(), Kind::Damaged);
    }
    // A hash that fits a forged content does not help either: the content itself is judged.
    for forged in [
        &b"no zstd"[..],
        &zstd::encode_all(&b"\x07"[..], 1).unwrap(),
        &forge(b"../../evil"),
        &forge(b"Media/../evil"),
    ] {
        fs::write(&pack, forged).unwrap();
        let mut manifest = Manifest::read(&packs).unwrap();
        manifest.packs[0].blake3 = blake3::hash(forged).to_hex().to_string();
        fs::write(packs.join(bundle::MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
        assert_eq!(bundle::add(&packs, &home, &()).unwrap_err().kind(), Kind::Damaged);
    }
    assert!(names(&home).is_empty());
    assert_eq!(names(tmp.path()), ["home", "packs", "worker"]);
}

/// A well-formed pack with one file of that path.
fn forge(path: &[u8]) -> Vec<u8> {
    let mut raw = vec![1];
    raw.extend((path.len() as u64).to_le_bytes());
    raw.extend(path);
    for number in [0o644_u64, 0, 0, 4] {
        raw.extend(number.to_le_bytes());
    }
    raw.extend(b"evil");
    raw.extend(blake3::hash(b"evil").as_bytes());
    raw.push(0);
    zstd::encode_all(raw.as_slice(), 1).unwrap()
}

#[test]
fn the_real_bundles_go_round() {
    let Some(real) = support::real("the_real_bundles_go_round") else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let (home, packs) = (tmp.path().join("home"), tmp.path().join("packs"));
    fs::create_dir(&home).unwrap();
    let manifest = bundle::pack(&real, &Index::default(), &packs, &()).unwrap();
    let added = bundle::add(&packs, &home, &()).unwrap();
    assert_eq!(added.added, manifest.files);
    for tree_name in bundle::TREES {
        let of = |root: &Path| -> Vec<_> {
            tree(&root.join(tree_name))
                .into_iter()
                .filter(|(path, _)| path.is_file())
                .map(|(path, (_, hash))| (path.strip_prefix(root).unwrap().to_owned(), hash))
                .collect()
        };
        assert_eq!(of(&real), of(&home));
    }
}
