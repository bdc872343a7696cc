//! Archives as people have them: links, holes, several libraries, one half, and files that are something else.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use plex_library::archive::{self, Lone, Why};
use plex_library::snapshot::Options;
use plex_library::{BLOBS_DB, Kind, LIBRARY_DB, export, inspect};
use tar::{Builder, EntryType, Header};

const DATABASES: &str = "Plug-in Support/Databases";
const BUNDLE: &str = "Metadata/Movies/1/x.bundle/Contents";

/// An archive that is made entry by entry.
struct Made {
    tar: Builder<File>,
    path: PathBuf,
}

impl Made {
    fn new(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        Self {
            tar: Builder::new(File::create(&path).unwrap()),
            path,
        }
    }

    fn file(mut self, name: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        self.tar.append_data(&mut header, name, content).unwrap();
        self
    }

    fn pair(self, root: &str) -> Self {
        self.file(&format!("{root}{DATABASES}/{LIBRARY_DB}"), b"library")
            .file(&format!("{root}{DATABASES}/{BLOBS_DB}"), b"blobs")
    }

    fn link(mut self, kind: EntryType, name: &str, to: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(kind);
        self.tar.append_link(&mut header, name, to).unwrap();
        self
    }

    fn done(self) -> PathBuf {
        self.tar.into_inner().unwrap().sync_all().unwrap();
        self.path
    }
}

#[test]
fn links_of_bundles_come_along_and_none_leads_out() {
    let tmp = tempfile::tempdir().unwrap();
    let file = Made::new(tmp.path(), "a.tar")
        .link(
            EntryType::Symlink,
            &format!("{BUNDLE}/_combined/posters/p"),
            "../../agent/posters/p",
        )
        .pair("")
        .file(&format!("{BUNDLE}/agent/posters/p"), b"poster")
        .link(
            EntryType::Link,
            &format!("{BUNDLE}/again"),
            &format!("{BUNDLE}/agent/posters/p"),
        )
        .link(EntryType::Symlink, &format!("{BUNDLE}/out"), "/etc/passwd")
        .link(EntryType::Symlink, &format!("{BUNDLE}/up"), "../../../../../../up")
        // Within the tree by its name, and out of it below another link.
        .link(EntryType::Symlink, &format!("{BUNDLE}/top"), "../../../..")
        .link(EntryType::Symlink, &format!("{BUNDLE}/top/out"), "../../../../../x")
        .done();
    let out = tmp.path().join("out");
    let unpacked = archive::unpack(&file, &out).unwrap();
    let bundle = out.join(BUNDLE);
    assert_eq!(fs::read(bundle.join("_combined/posters/p")).unwrap(), b"poster");
    assert!(bundle.join("_combined/posters/p").is_symlink());
    assert_eq!(fs::read(bundle.join("again")).unwrap(), b"poster");
    for name in ["out", "up"] {
        assert!(fs::symlink_metadata(bundle.join(name)).is_err(), "{name}");
    }
    assert!(fs::symlink_metadata(out.join("Metadata/out")).is_err());
    assert_eq!(unpacked.left_out[&Why::NotLibrary].len(), 3, "{:?}", unpacked.left_out);
}

#[test]
fn an_export_of_bundles_with_links_is_read_as_it_was() {
    let tmp = tempfile::tempdir().unwrap();
    let home = tmp.path().join("home");
    sim::fixture::Builder::new(home.join(DATABASES))
        .movies("Films", "/films", 3)
        .build()
        .unwrap();
    let posters = home.join(BUNDLE).join("posters");
    fs::create_dir_all(&posters).unwrap();
    fs::write(posters.join("p"), b"poster").unwrap();
    std::os::unix::fs::symlink("posters/p", home.join(BUNDLE).join("chosen")).unwrap();
    let file = tmp.path().join("a.tar.zst");
    let databases = plex_library::Databases::at(home.join(DATABASES));
    export::write(&databases, Some(&home), &file, &Options::default(), &()).unwrap();
    let out = tmp.path().join("out");
    archive::unpack(&file, &out).unwrap();
    let chosen = out.join(BUNDLE).join("chosen");
    assert_eq!(fs::read_link(&chosen).unwrap(), Path::new("posters/p"));
    assert_eq!(fs::read(chosen).unwrap(), b"poster");
}

#[test]
fn holes_and_sizes_that_stand_elsewhere_are_read() {
    let tmp = tempfile::tempdir().unwrap();
    // As GNU tar writes a file with a hole: a header with the map of its parts, and its real size.
    let mut made = Made::new(tmp.path(), "sparse.tar").file(&format!("{DATABASES}/{LIBRARY_DB}"), b"library");
    let mut header = Header::new_gnu();
    header.set_path(format!("{DATABASES}/{BLOBS_DB}")).unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(512);
    {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(1536);
        gnu.sparse[0].set_offset(1024);
        gnu.sparse[0].set_length(512);
    }
    header.set_cksum();
    made.tar.append(&header, [7; 512].as_slice()).unwrap();
    let out = tmp.path().join("out");
    archive::unpack(&made.done(), &out).unwrap();
    let blobs = fs::read(out.join(DATABASES).join(BLOBS_DB)).unwrap();
    assert_eq!(blobs, [[0; 512], [0; 512], [7; 512]].concat());

    // As pax writes a file of more than 8 GiB: its size stands before it.
    let mut made = Made::new(tmp.path(), "pax.tar").pair("");
    made.tar.append_pax_extensions([("size", b"5".as_slice())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_path(format!("{BUNDLE}/large")).unwrap();
    header.set_size(0);
    header.set_cksum();
    let file = made.tar.get_mut();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(b"large").unwrap();
    file.write_all(&[0; 507]).unwrap();
    let out = tmp.path().join("pax");
    archive::unpack(&made.done(), &out).unwrap();
    assert_eq!(fs::read(out.join(BUNDLE).join("large")).unwrap(), b"large");
}

#[test]
fn what_is_for_a_person_to_decide_is_refused_with_names() {
    let tmp = tempfile::tempdir().unwrap();
    let two = Made::new(tmp.path(), "two.tar")
        .pair("")
        .pair("Plex Media Server/")
        .done();
    let error = archive::unpack(&two, &tmp.path().join("two")).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("at its very top"), "{error}");
    assert!(error.to_string().contains("in Plex Media Server"), "{error}");

    // The same root in two ways of writing it, and a copy that somebody put beside, are no second library.
    let one = Made::new(tmp.path(), "one.tar")
        .file(&format!("./{DATABASES}/{LIBRARY_DB}"), b"library")
        .file(&format!("./{DATABASES}/{BLOBS_DB}"), b"blobs")
        .file(&format!("./old/{LIBRARY_DB}"), b"old")
        .file(&format!("./{DATABASES}/restore/{LIBRARY_DB}"), b"old")
        .done();
    archive::unpack(&one, &tmp.path().join("one")).unwrap();

    let linked = Made::new(tmp.path(), "linked.tar")
        .link(
            EntryType::Symlink,
            &format!("{DATABASES}/{LIBRARY_DB}"),
            "/data/library.db",
        )
        .file(&format!("{DATABASES}/{BLOBS_DB}"), b"blobs")
        .done();
    let error = archive::unpack(&linked, &tmp.path().join("linked")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotALibrary);
    assert!(error.to_string().contains("/data/library.db"), "{error}");

    let half = Made::new(tmp.path(), "half.tar")
        .file(&format!("{DATABASES}/{LIBRARY_DB}"), b"library")
        .done();
    let out = tmp.path().join("half");
    let unpacked = archive::unpack_with(&half, &out, Lone::Half).unwrap();
    assert!(unpacked.is_lone && !unpacked.databases().blobs().exists());
}

#[test]
fn a_size_that_no_disk_has_is_refused_before_it_is_written() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("huge.tar");
    let mut header = Header::new_gnu();
    header.set_path(format!("{DATABASES}/{LIBRARY_DB}")).unwrap();
    header.set_size(1 << 60);
    header.set_cksum();
    fs::write(&path, header.as_bytes()).unwrap();
    let out = tmp.path().join("out");
    let error = archive::unpack(&path, &out).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace);
    assert!(!out.join(DATABASES).join(LIBRARY_DB).exists());
}

#[test]
fn files_that_are_something_else_are_called_what_they_are() {
    let tmp = tempfile::tempdir().unwrap();
    let mut xz = b"\xfd7zXZ\0".to_vec();
    xz.extend([0; 600]);
    for (name, content, word) in [
        ("a.zip", b"PK\x03\x04rest".to_vec(), "zip"),
        ("a.tar.xz", xz, "xz"),
        ("a.tar.gz", Vec::new(), "empty"),
        ("a.txt", b"no archive".to_vec(), "neither"),
    ] {
        let path = tmp.path().join(name);
        fs::write(&path, content).unwrap();
        let error = archive::unpack(&path, &tmp.path().join("out")).unwrap_err();
        assert_eq!(error.kind(), Kind::NotALibrary, "{name}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
    // What is compressed and no tar is not shown byte by byte.
    let path = tmp.path().join("b.tar.zst");
    let text = b"\x1b[31mtext that is no archive at all".repeat(100);
    fs::write(&path, zstd::encode_all(text.as_slice(), 3).unwrap()).unwrap();
    let error = archive::unpack(&path, &tmp.path().join("out")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotALibrary);
    assert!(!error.to_string().contains('\x1b'), "{error:?}");
}

#[test]
fn an_archive_that_was_changed_says_so_and_not_more() {
    let tmp = tempfile::tempdir().unwrap();
    let file = Made::new(tmp.path(), "a.tar").pair("").done();
    let mut bytes = Vec::new();
    File::open(&file).unwrap().read_to_end(&mut bytes).unwrap();
    // The second header: the first was read.
    bytes[1024] ^= 0x1b;
    fs::write(&file, bytes).unwrap();
    let error = archive::unpack(&file, &tmp.path().join("out")).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(
        error.hint().unwrap().contains("copy it once more"),
        "{:?}",
        error.hint()
    );
    assert!(inspect::inspect(&tmp.path().join("out")).is_err());
}
