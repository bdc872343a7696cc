//! Where the file system can share blocks, a staged copy costs what differs from its base.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use plex_library::{delta, publish, snapshot};

use crate::support;

const MOUNTED: &str = "PLEXBURST_TEST_BTRFS";

#[test]
#[ignore = "run by another test, in a mount namespace of its own"]
fn on_btrfs() {
    let dir = std::env::var(MOUNTED).unwrap();
    let dir = Path::new(&dir);
    assert!(publish::can_share_blocks(dir).unwrap());
    let home = support::pair(&dir.join("home"), 4096, 60_000);
    let size = fs::metadata(home.library()).unwrap().len() + fs::metadata(home.blobs()).unwrap().len();
    let (base, changes, staged) = (dir.join("base"), dir.join("delta"), dir.join("staged"));
    snapshot::take(&home, &base, &()).unwrap();
    support::open(&home.library(), 4096)
        .execute_batch("UPDATE metadata_items SET title = 'changed' WHERE id % 6000 = 1")
        .unwrap();
    support::open(&home.blobs(), 4096)
        .execute_batch("UPDATE blobs SET blob = randomblob(300) WHERE id % 6000 = 1")
        .unwrap();
    delta::make(&base, &home, &changes, &()).unwrap();
    let used = || {
        let file = File::open(dir).unwrap();
        rustix::fs::syncfs(&file).unwrap();
        let stat = rustix::fs::fstatvfs(&file).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    };
    let before = used();
    delta::apply(&base, &changes, &staged, &()).unwrap();
    let cost = used().saturating_sub(before);
    println!("{size} bytes staged for {cost}");
    for which in plex_library::Which::BOTH {
        let name = which.file_name();
        assert!(fs::read(staged.join(name)).unwrap() == fs::read(home.dir().join(name)).unwrap());
    }
    assert!(cost < size / 2, "{cost} of {size} bytes");
}

#[test]
fn a_staged_copy_shares_its_blocks_with_the_base() {
    let test = "a_staged_copy_shares_its_blocks_with_the_base";
    let tmp = tempfile::tempdir().unwrap();
    let image = tmp.path().join("image");
    File::create(&image).unwrap().set_len(256 << 20).unwrap();
    fs::create_dir(tmp.path().join("disk")).unwrap();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg("mkfs.btrfs -q \"$0/image\" && mount -o loop \"$0/image\" \"$0/disk\" || exit 77; \"$1\" --exact clones::on_btrfs --ignored --nocapture")
        .arg(tmp.path())
        .arg(std::env::current_exe().unwrap())
        .env(MOUNTED, tmp.path().join("disk"))
        .stdin(Stdio::null())
        .output();
    let Some(output) = output
        .ok()
        .filter(|output| !matches!(output.status.code(), Some(77 | 1)))
    else {
        println!("SKIPPED {test}: no btrfs can be made and mounted here (package btrfs-progs, and root)");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!(
        "{}",
        text.lines()
            .filter(|line| line.contains("staged for"))
            .collect::<String>()
    );
}
