//! Power cuts: what a disk holds at some instant of an import or a rollback, when everything that was not flushed is gone.
//!
//! The whole world lies on an ext4 in an image file, and the image on a btrfs, where it can be cloned in one instant while
//! the command runs, as often as something was written to it. A clone holds what the kernel had handed to the disk by then, and nothing of what it still had in
//! memory: what a machine finds after a power cut. Each is mounted again at the same place and on the same device (so that
//! ext4's own recovery runs, and files keep their numbers), home is started as at a boot, and the next command has to end in
//! the old library or in the new one, whole.
//!
//! Two ways of mounting: metadata is written back all five minutes (so that nothing is there that was not flushed), and
//! every second and before the data that it speaks of (so that names are there without their content).
//!
//! The usual run tries one image of an import whose files are moved one by one; each n-th image of all commands goes with
//! `PLEXBURST_SOAK=n`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Mounted, Scene, World, common};
use common::skip;

const DIR: &str = "PLEXBURST_TEST_POWER";
/// Most images of one command.
const MOST: usize = 4000;
/// How long the camera waits before it looks again whether something was written.
const BETWEEN: Duration = Duration::from_micros(200);

/// A command, and a disk, on which power fails.
struct Way {
    name: &'static str,
    /// Whether the folder cannot be exchanged, so that its files are moved one by one.
    is_mounted: bool,
    /// Whether an import is undone, instead of being made.
    is_rollback: bool,
    /// How the disk is mounted.
    options: &'static str,
}

const NOTHING_UNFLUSHED: &str = "commit=300";
const NAMES_BEFORE_DATA: &str = "commit=1,data=writeback";

impl Way {
    const fn new(name: &'static str, is_mounted: bool, is_rollback: bool, options: &'static str) -> Self {
        Self {
            name,
            is_mounted,
            is_rollback,
            options,
        }
    }
}

/// The first is the one of the usual run.
const WAYS: [Way; 8] = [
    Way::new("import by files, names before data", true, false, NAMES_BEFORE_DATA),
    Way::new("import by files, nothing unflushed", true, false, NOTHING_UNFLUSHED),
    Way::new("import by exchange, nothing unflushed", false, false, NOTHING_UNFLUSHED),
    Way::new("import by exchange, names before data", false, false, NAMES_BEFORE_DATA),
    Way::new("rollback by files, nothing unflushed", true, true, NOTHING_UNFLUSHED),
    Way::new("rollback by files, names before data", true, true, NAMES_BEFORE_DATA),
    Way::new(
        "rollback by exchange, nothing unflushed",
        false,
        true,
        NOTHING_UNFLUSHED,
    ),
    Way::new(
        "rollback by exchange, names before data",
        false,
        true,
        NAMES_BEFORE_DATA,
    ),
];

/// The image that lies at the loop device, and where it is mounted.
struct Disk {
    device: String,
    point: PathBuf,
    options: &'static str,
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Disk {
    fn new(image: &Path, point: &Path, options: &'static str) -> Self {
        File::create(image).unwrap().set_len(192 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
        fs::create_dir_all(point).unwrap();
        let device = run("losetup", &["-f", "--show", image.to_str().unwrap()]);
        let disk = Self {
            device,
            point: point.to_owned(),
            options,
        };
        disk.mount();
        disk
    }

    fn mount(&self) {
        run(
            "mount",
            &[
                "-t",
                "ext4",
                "-o",
                self.options,
                &self.device,
                self.point.to_str().unwrap(),
            ],
        );
    }

    /// How much was written to it, in the kernel's words.
    fn written(&self) -> String {
        let name = self.device.trim_start_matches("/dev/");
        fs::read_to_string(format!("/sys/block/{name}/stat"))
            .unwrap()
            .split_whitespace()
            .skip(4)
            .take(3)
            .collect()
    }

    /// Another image in place of the one that is there.
    fn exchange(&self, image: &Path) {
        run("umount", &[self.point.to_str().unwrap()]);
        run("losetup", &["-d", &self.device]);
        run("losetup", &[&self.device, image.to_str().unwrap()]);
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(&self.point).status();
        _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

fn clone(image: &Path, to: &Path) {
    let (from, to) = (File::open(image).unwrap(), File::create(to).unwrap());
    rustix::fs::ioctl_ficlone(&to, &from).unwrap();
}

/// Runs the command and clones the image whenever something was written to it meanwhile.
fn photographed(scene: &Scene, args: &[&str], disk: &Disk, image: &Path, shots: &Path) -> usize {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let camera = scope.spawn(|| {
            let (mut taken, mut seen) = (0, disk.written());
            while !is_done.load(Ordering::Relaxed) && taken < MOST {
                let now = disk.written();
                if now == seen {
                    std::thread::sleep(BETWEEN);
                    continue;
                }
                seen = now;
                clone(image, &shots.join(taken.to_string()));
                taken += 1;
            }
            taken
        });
        let report = scene.world.json(args);
        is_done.store(true, Ordering::Relaxed);
        assert!(
            ["committed", "rolled-back"].contains(&report["outcome"].as_str().unwrap()),
            "{report}"
        );
        camera.join().unwrap()
    })
}

/// Each `step`-th instant; one of them without a step.
async fn cut(dir: &Path, number: usize, way: &Way, step: Option<usize>) {
    let name = way.name;
    let (image, shots) = (dir.join(format!("{number}.img")), dir.join(number.to_string()));
    fs::create_dir(&shots).unwrap();
    let disk = Disk::new(&image, &dir.join(format!("{number}-disk")), way.options);
    {
        let mut scene = Scene::of(World::new_in(&disk.point), way.is_mounted).await.unwrap();
        scene.reset("before");
        let result = scene.result.display().to_string();
        let import = ["import", "-y", "--json", &result];
        let (args, known) = if way.is_rollback {
            assert_eq!(scene.world.json(&import)["outcome"], "committed");
            // The burst that is looked for afterwards is the rollback's.
            scene.keep("after");
            scene.reset("after");
            (&["rollback", "-y", "--json"][..], [5, 3])
        } else {
            (&import[..], [3, 5])
        };
        // What was there before the command was there for long.
        run("sync", &["-f", disk.point.to_str().unwrap()]);
        let taken = photographed(&scene, args, &disk, &image, &shots);
        scene.world.stop_home();
        let step = step.unwrap_or(taken).clamp(1, taken);
        let mut tried = 0;
        for shot in (0..taken).skip(step / 2).step_by(step) {
            let what = format!("power cut, {name}, image {shot} of {taken}");
            let databases = scene.world.databases();
            // A mount lies on the disk that goes.
            drop(scene.mounted.take());
            disk.exchange(&shots.join(shot.to_string()));
            scene.mounted = way.is_mounted.then(|| Mounted::at(&databases).unwrap());
            if !databases.join("com.plexapp.plugins.library.db-journal").is_dir() {
                scene.world.start_home();
            }
            scene.goes_on("", args, known, &what).await;
            scene.world.stop_home();
            tried += 1;
            if tried % super::REPORTED == 0 {
                println!("{name}: {tried} power cuts");
            }
        }
        println!("{name}: {taken} images, {tried} power cuts: each ended in the old library or the new one, whole");
        // The world's folder is on the image that is there now.
    }
    drop(disk);
    fs::remove_dir_all(&shots).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, in a mount namespace of its own"]
async fn on_a_disk_of_its_own() {
    let dir = PathBuf::from(std::env::var(DIR).unwrap());
    let step = std::env::var("PLEXBURST_SOAK")
        .ok()
        .map(|text| text.parse::<usize>().unwrap());
    let ways = if step.is_some() { &WAYS[..] } else { &WAYS[..1] };
    for (number, way) in ways.iter().enumerate() {
        cut(&dir, number, way, step).await;
    }
}

#[test]
fn a_power_cut_leaves_the_old_library_or_the_new_one() {
    let test = "a_power_cut_leaves_the_old_library_or_the_new_one";
    let tmp = tempfile::tempdir().unwrap();
    File::create(tmp.path().join("image"))
        .unwrap()
        .set_len(4 << 30)
        .unwrap();
    fs::create_dir(tmp.path().join("clones")).unwrap();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg(
            "mkfs.btrfs -q \"$0/image\" && mount -o loop \"$0/image\" \"$0/clones\" && command -v losetup mkfs.ext4 || exit 77
             \"$1\" --exact power::on_a_disk_of_its_own --ignored --nocapture",
        )
        .arg(tmp.path())
        .arg(std::env::current_exe().unwrap())
        .env(DIR, tmp.path().join("clones"))
        .stdin(Stdio::null())
        .output();
    let Some(output) = output
        .ok()
        .filter(|output| !matches!(output.status.code(), Some(77 | 1)))
    else {
        return skip(
            test,
            "no btrfs and no ext4 can be made and mounted here (btrfs-progs, e2fsprogs, and root)",
        );
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in text.lines().filter(|line| line.contains("power cuts")) {
        println!("{line}");
    }
}
