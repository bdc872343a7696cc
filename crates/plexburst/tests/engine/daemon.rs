//! A Docker engine of the tests' own: socket, data and process are theirs alone, and all of it goes with the last test.
//!
//! The one that may run on the machine already is never used: its images and containers are somebody's.

#![allow(dead_code, reason = "each test binary uses another part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::common::{PROGRAM, has, wait_until};

/// The image's name; its tag is the simulator's version.
pub(crate) const IMAGE: &str = "plexburst-test/plex";

/// A running engine.
pub(crate) struct Daemon {
    dir: tempfile::TempDir,
    process: Child,
    /// Two engines on one machine give their containers the same addresses on the same bridge: one at a time.
    _alone: std::fs::File,
}

impl Daemon {
    /// Starts one, or says why none can be had.
    pub(crate) fn start() -> Result<Self, String> {
        for program in ["dockerd", "docker", "containerd", "tar", "ldd"] {
            if !has(program) && !Path::new("/usr/sbin").join(program).is_file() {
                return Err(format!("{program} is not installed"));
            }
        }
        if !rustix::process::getuid().is_root() {
            return Err("a Docker engine can only be started by root".to_owned());
        }
        let alone = std::fs::File::create("/tmp/plexburst-test-engine.lock").map_err(|e| e.to_string())?;
        alone.lock().map_err(|e| e.to_string())?;
        if Path::new("/var/run/docker.sock").exists() {
            return Err(
                "this machine has a Docker engine already, whose containers would get the same addresses".to_owned(),
            );
        }
        // Its sockets need short paths.
        let dir = tempfile::Builder::new()
            .prefix("pbd-")
            .tempdir_in("/tmp")
            .map_err(|e| e.to_string())?;
        let process = spawn(dir.path()).map_err(|e| e.to_string())?;
        let mut daemon = Self {
            dir,
            process,
            _alone: alone,
        };
        let since = std::time::Instant::now();
        while !daemon.docker(&["version"]).status.success() {
            let ended = daemon.process.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || since.elapsed() > Duration::from_secs(120) {
                let log = std::fs::read_to_string(daemon.dir.path().join("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(format!("no Docker engine can be run here: {last}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }

    /// Kills the engine and what it has started, as a crash of the machine's services would; the container called `name`
    /// lives on until this is dropped.
    pub(crate) fn kill(&mut self, name: &str) -> Orphan {
        let root = self.ask(&["inspect", "-f", "{{.State.Pid}}", name]).parse().unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let pid = std::fs::read_to_string(self.dir.path().join("exec/containerd/containerd.pid")).unwrap();
        crate::common::kill(pid.trim().parse().unwrap());
        let all = plexburst::plex::runtime::processes::below(root).unwrap();
        let shim = all
            .iter()
            .find(|process| process.pid == root)
            .map(|process| process.parent);
        Orphan(shim.into_iter().chain(all.iter().map(|process| process.pid)).collect())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub(crate) fn docker(&self, args: &[&str]) -> Output {
        Command::new("docker")
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What `docker` prints; it must succeed.
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert!(
            output.status.success(),
            "docker {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes the simulator's image, tagged with the version that it says it is.
    pub(crate) fn image(&self) -> String {
        let root = self.dir.path().join("image");
        sim::image::lay_out(&root, Path::new(PROGRAM)).unwrap();
        let name = format!("{IMAGE}:{}", sim::server::VERSION);
        let mut tar = Command::new("tar")
            .args(["-C", root.to_str().unwrap(), "-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let imported = Command::new("docker")
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .args([
                "import",
                "--change",
                "ENTRYPOINT [\"/init\"]",
                "--change",
                "EXPOSE 32400",
                "-",
                &name,
            ])
            .stdin(tar.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(
            tar.wait().unwrap().success() && imported.status.success(),
            "{imported:?}"
        );
        std::fs::remove_dir_all(&root).unwrap();
        name
    }

    /// Names of all containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let text = self.ask(&["ps", "-a", "--format", "{{.Names}}"]);
        text.lines().map(str::to_owned).collect()
    }

    /// Stops the engine as `systemctl stop docker` does.
    pub(crate) fn stop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let process = &mut self.process;
        wait_until("the end of the Docker engine", Duration::from_secs(120), || {
            process.try_wait().unwrap().is_some()
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for name in self.containers_or_none() {
            let _ = self.docker(&["rm", "-f", "-v", &name]);
        }
        self.stop();
        // An engine that was killed leaves its containers' file systems mounted.
        let own = self.dir.path().display().to_string();
        let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for point in table.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if point.starts_with(&own) {
                let _ = Command::new("umount").args(["-l", point]).status();
            }
        }
    }
}

/// A container without an engine; ended when it is dropped.
pub(crate) struct Orphan(Vec<i32>);

impl Drop for Orphan {
    fn drop(&mut self) {
        for pid in &self.0 {
            crate::common::kill(*pid);
        }
    }
}

fn spawn(dir: &Path) -> std::io::Result<Child> {
    let path = |name: &str| dir.join(name);
    let log = std::fs::File::options().create(true).append(true).open(path("log"))?;
    Command::new("dockerd")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .arg(format!("--host=unix://{}", path("s").display()))
        .arg(format!("--data-root={}", path("data").display()))
        .arg(format!("--exec-root={}", path("exec").display()))
        .arg(format!("--pidfile={}", path("pid").display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

impl Daemon {
    fn containers_or_none(&self) -> Vec<String> {
        let output = self.docker(&["ps", "-a", "-q"]);
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
