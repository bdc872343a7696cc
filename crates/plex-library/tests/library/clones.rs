//! The room that an import takes beside home's library: two copies, or where the file system can share blocks what differs.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use plex_library::{Databases, Which, delta, layered, publish, snapshot};

use crate::support;

const MOUNTED: &str = "PLEXBURST_TEST_DISK";

#[test]
#[ignore = "run by another test, in a mount namespace of its own"]
fn on_a_disk_of_its_own() {
    let dir = std::env::var(MOUNTED).unwrap();
    let dir = Path::new(&dir);
    let shares = publish::can_share_blocks(dir).unwrap();
    let home = support::pair(&dir.join("home"), 4096, 60_000);
    let size = fs::metadata(home.library()).unwrap().len() + fs::metadata(home.blobs()).unwrap().len();
    let at = |name: &str| Databases::at(dir.join(name));
    let (base, staged, mine, worker) = (at("base"), at("staged"), at("mine"), at("worker"));
    // The server goes on all the while, with something in its log.
    let server = Which::BOTH.map(|which| support::open(&home.path(which), 4096));
    server[0]
        .execute_batch("UPDATE metadata_items SET title = 'before' WHERE id = 7")
        .unwrap();

    let used = || {
        let file = File::open(dir).unwrap();
        rustix::fs::syncfs(&file).unwrap();
        let stat = rustix::fs::fstatvfs(&file).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    };
    let begun = used();
    let more = || used().saturating_sub(begun);
    let mut peak = 0;
    let mut say = |what: &str| {
        let more = more();
        peak = peak.max(more);
        println!("{} more after {what}", more);
        more
    };
    snapshot::take(&home, base.dir(), &()).unwrap();
    let one = say("the snapshot");

    // What the worker did, elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    snapshot::take(&base, worker.dir(), &()).unwrap();
    support::open(&worker.library(), 4096)
        .execute_batch("UPDATE metadata_items SET title = 'changed' WHERE id % 6000 = 1")
        .unwrap();
    support::open(&worker.blobs(), 4096)
        .execute_batch("UPDATE blobs SET blob = randomblob(300) WHERE id % 6000 = 1")
        .unwrap();
    let changes = elsewhere.path().join("delta");
    delta::make(base.dir(), &worker, &changes, &()).unwrap();
    let result = Which::BOTH.map(|which| blake3::hash(&fs::read(worker.path(which)).unwrap()));
    fs::remove_dir_all(worker.dir()).unwrap();

    server[0]
        .execute_batch("UPDATE metadata_items SET title = 'meanwhile' WHERE id % 3000 = 2")
        .unwrap();
    delta::apply(base.dir(), &changes, staged.dir(), &()).unwrap();
    let two = say("staging the result");
    layered::take(&home, &base, mine.dir(), &()).unwrap();
    let most = say("home over the base");
    fs::remove_dir_all(base.dir()).unwrap();
    layered::fold(&mine).unwrap();
    say("home in place of the base");
    drop(server);

    println!("{size} bytes: {peak} more at most, blocks shared: {shares}");
    for which in Which::BOTH {
        assert_eq!(
            blake3::hash(&fs::read(staged.path(which)).unwrap()),
            result[usize::from(which == Which::BOTH[1])]
        );
        let now = snapshot::take(&home, &dir.join("now"), &()).unwrap();
        assert_eq!(
            blake3::hash(&fs::read(mine.path(which)).unwrap()).to_hex().as_str(),
            now.databases[&which].whole.blake3
        );
        fs::remove_dir_all(dir.join("now")).unwrap();
    }
    if shares {
        assert!(one < size / 4 && peak < size / 2, "{one}, {peak} of {size} bytes");
    } else {
        assert!(
            two > size * 19 / 10 && most < two + size / 8 && peak < size * 9 / 4,
            "{two}, {most}, {peak} of {size} bytes"
        );
    }
}

/// Runs it on a file system of its own, in a mount namespace of its own.
fn on(test: &str, make: &str) {
    let tmp = tempfile::tempdir().unwrap();
    let image = tmp.path().join("image");
    File::create(&image).unwrap().set_len(256 << 20).unwrap();
    fs::create_dir(tmp.path().join("disk")).unwrap();
    let script = format!(
        "{make} \"$0/image\" && mount -o loop \"$0/image\" \"$0/disk\" || exit 77
         \"$1\" --exact clones::on_a_disk_of_its_own --ignored --nocapture"
    );
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .arg(tmp.path())
        .arg(std::env::current_exe().unwrap())
        .env(MOUNTED, tmp.path().join("disk"))
        .stdin(Stdio::null())
        .output();
    let Some(output) = output
        .ok()
        .filter(|output| !matches!(output.status.code(), Some(77 | 1)))
    else {
        println!("SKIPPED {test}: no such file system can be made and mounted here ({make}, as root)");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in text.lines().filter(|line| line.contains(" more ")) {
        println!("{line}");
    }
}

#[test]
fn copies_share_their_blocks_where_that_can_be() {
    on("copies_share_their_blocks_where_that_can_be", "mkfs.btrfs -q");
}

#[test]
fn two_copies_and_no_more_elsewhere() {
    on("two_copies_and_no_more_elsewhere", "mkfs.ext4 -q -F");
}
