//! A real sshd on loopback with a key, a user and a configuration of its own.

#![allow(dead_code, reason = "each test binary uses another part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plexburst::host::{Target, keys};

use crate::common::{free_port, skip, wait_until};

/// The server; ended when dropped.
pub(crate) struct Sshd {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Child,
}

impl Sshd {
    /// Starts one, or says why `what` cannot be tried.
    pub(crate) async fn start(what: &str) -> Option<Self> {
        let program = "/usr/sbin/sshd";
        if !Path::new(program).is_file() {
            skip(what, "openssh-server is not installed");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("plexburst-sshd-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("user")).unwrap();
        let user = keys::pair(&dir.path().join("user"), "T").await.unwrap();
        std::fs::write(dir.path().join("authorized_keys"), user.public + "\n").unwrap();
        host_key(dir.path());
        // As root, sshd wants its folder for privilege separation.
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = free_port();
        let child = spawn(program, dir.path(), port);
        let sshd = Self { dir, port, child };
        sshd.wait();
        Some(sshd)
    }

    fn wait(&self) {
        wait_until("sshd answers", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn fingerprint(&self) -> String {
        let output = Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(self.path("host_key.pub"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace()
            .find(|w| w.starts_with("SHA256:"))
            .unwrap()
            .to_owned()
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            destination: format!("{}@127.0.0.1", whoami()),
            port: Some(self.port),
            key: Some(self.path("user/id_ed25519")),
            known_hosts: Some(self.path("known_hosts")),
            config: None,
        }
    }

    /// A configuration of ssh in which this server is called `nas`.
    pub(crate) fn config(&self) -> PathBuf {
        let path = self.path("config");
        let text = format!(
            "Host nas\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n",
            self.port,
            whoami(),
            self.path("user/id_ed25519").display(),
            self.path("known_hosts").display(),
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The same address with another machine behind it.
    pub(crate) async fn change_key(&mut self) {
        self.end();
        host_key(self.dir.path());
        self.child = spawn("/usr/sbin/sshd", self.dir.path(), self.port);
        self.wait();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.end();
    }
}

fn whoami() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

fn host_key(dir: &Path) {
    for name in ["host_key", "host_key.pub"] {
        let _ = std::fs::remove_file(dir.join(name));
    }
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(dir.join("host_key"))
        .status()
        .unwrap();
    assert!(made.success());
}

fn spawn(program: &str, dir: &Path, port: u16) -> Child {
    let at = |name: &str| dir.join(name).display().to_string();
    Command::new(program)
        .args(["-D", "-e", "-f", "/dev/null"])
        .args(["-o", &format!("Port={port}"), "-o", "ListenAddress=127.0.0.1"])
        .args(["-o", &format!("HostKey={}", at("host_key"))])
        .args(["-o", &format!("AuthorizedKeysFile={}", at("authorized_keys"))])
        .args(["-o", "PidFile=none", "-o", "UsePAM=no", "-o", "StrictModes=no"])
        .args(["-o", "PasswordAuthentication=no", "-o", "Subsystem=sftp internal-sftp"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
