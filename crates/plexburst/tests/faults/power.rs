//! Power cuts: what a disk holds at some instant of an import, when everything that was not flushed is gone.
//!
//! The whole world lies on an ext4 in an image file, and the image on a btrfs, where it can be cloned in one instant while
//! the import runs. A clone holds what the kernel had handed to the disk by then, and nothing of what it still had in
//! memory: what a machine finds after a power cut. Each is mounted again at the same place and on the same device (so that
//! ext4's own recovery runs, and files keep their numbers), home is started as at a boot, and the next command has to end in
//! the old library or in the new one, whole.
//!
//! Two ways of mounting: metadata is written back all five minutes (so that nothing is there that was not flushed), and
//! every second and before the data that it speaks of (so that names are there without their content).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Scene, World, common};
use common::skip;

const DIR: &str = "PLEXBURST_TEST_POWER";
/// Most images of one import.
const MOST: usize = 400;

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

/// Runs the import and clones the image as often as that can be done meanwhile.
fn photographed(scene: &Scene, args: &[&str], image: &Path, shots: &Path) -> usize {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let camera = scope.spawn(|| {
            let mut taken = 0;
            while !is_done.load(Ordering::Relaxed) && taken < MOST {
                clone(image, &shots.join(taken.to_string()));
                taken += 1;
            }
            taken
        });
        let report = scene.world.json(args);
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(report["outcome"], "committed");
        camera.join().unwrap()
    })
}

async fn cut(dir: &Path, name: &str, options: &'static str) {
    let (image, shots) = (dir.join(format!("{name}.img")), dir.join(name));
    fs::create_dir(&shots).unwrap();
    let disk = Disk::new(&image, &dir.join(format!("{name}-disk")), options);
    {
        let scene = Scene::of(World::new_in(&disk.point), false).await.unwrap();
        scene.reset("before");
        // What was there before the import was there for long.
        run("sync", &["-f", disk.point.to_str().unwrap()]);
        let import = ["import", "-y", "--json", scene.result.to_str().unwrap()];
        let taken = photographed(&scene, &import, &image, &shots);
        scene.world.stop_home();
        let step = std::env::var("PLEXBURST_SOAK")
            .ok()
            .and_then(|text| text.parse::<usize>().ok());
        let step = step.unwrap_or(1).clamp(1, taken);
        let mut tried = 0;
        for shot in (0..taken).skip(step / 2).step_by(step) {
            let what = format!("power cut, {name}, image {shot} of {taken}");
            disk.exchange(&shots.join(shot.to_string()));
            if !scene
                .world
                .databases()
                .join("com.plexapp.plugins.library.db-journal")
                .is_dir()
            {
                scene.world.start_home();
            }
            scene.goes_on("", &import, [3, 5], &what).await;
            scene.world.stop_home();
            tried += 1;
            if tried % super::REPORTED == 0 {
                println!("{name}: {tried} power cuts");
            }
        }
        println!(
            "{name}: {taken} images of one import, {tried} power cuts: each ended in the old library or the new one, whole"
        );
        // The world's folder is on the image that is there now.
    }
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, in a mount namespace of its own"]
async fn on_a_disk_of_its_own() {
    let dir = PathBuf::from(std::env::var(DIR).unwrap());
    cut(&dir, "nothing-unflushed", "commit=300").await;
    cut(&dir, "names-before-data", "commit=1,data=writeback").await;
}

#[test]
fn a_power_cut_leaves_the_old_library_or_the_new_one() {
    let test = "a_power_cut_leaves_the_old_library_or_the_new_one";
    if std::env::var_os("PLEXBURST_SOAK").is_none() {
        return skip(
            test,
            "it takes minutes; PLEXBURST_SOAK=100 runs a share of it, PLEXBURST_SOAK=1 all",
        );
    }
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
