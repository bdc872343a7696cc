//! Places to put a depot at. Each is a real server over a folder of the test's own, so that a test can look at what is
//! kept, and damage it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plexburst::config;
use plexburst::depot::{Depot, Object};
use plexburst::term::Printer;

/// Keys as long as those of real stores.
pub(crate) const KEY_ID: &str = "SCWAAAAAAAAAAAAAAAAA";
pub(crate) const SECRET: &str = "0123456789abcdefghijABCDEFGHIJ0123456789";

pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain(["/usr/sbin".into()])
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) fn open(config: &config::Depot) -> Depot {
    Depot::of(config, "B", &Printer::new(true)).unwrap()
}

/// `bytes` that do not compress and are the same every time.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    let mut reader = blake3::Hasher::new().update(b"noise").finalize_xof();
    reader.fill(&mut out);
    out
}

pub(crate) fn file(dir: &Path, content: &[u8]) -> PathBuf {
    let path = dir.join("content");
    std::fs::write(&path, content).unwrap();
    path
}

/// A child that is killed when a test ends.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A place of one kind.
pub(crate) struct Place {
    pub(crate) kind: &'static str,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: config::Depot,
    /// Where the server listens; 0 for a folder.
    pub(crate) port: u16,
    server: Option<Killed>,
}

impl Place {
    /// One of each kind that this machine can have; the others are skipped by name.
    pub(crate) fn all(test: &str) -> Vec<Self> {
        let mut places = vec![Self::directory()];
        places.extend(Self::s3(test, true));
        places.extend(Self::s3(test, false));
        places.extend(Self::sftp(test));
        places
    }

    pub(crate) fn directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config::Depot {
            directory: Some(dir.path().join("kept")),
            part_bytes: 64 << 10,
            ..config::Depot::default()
        };
        Self {
            kind: "directory",
            dir,
            config,
            port: 0,
            server: None,
        }
    }

    /// `rclone serve s3`, with keys or without.
    pub(crate) fn s3(test: &str, has_keys: bool) -> Option<Self> {
        if find("rclone").is_none() {
            skip(test, "rclone is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("kept/bucket")).unwrap();
        let port = free_port();
        let mut config = config::Depot {
            remote: Some("s3://bucket/some/where".into()),
            endpoint: Some(format!("http://127.0.0.1:{port}")),
            encryption: Some(config::Encryption::None),
            part_bytes: 64 << 10,
            patience: 60,
            ..config::Depot::default()
        };
        if has_keys {
            let path = dir.path().join("keys");
            std::fs::write(
                &path,
                format!("access_key_id = {KEY_ID}\nsecret_access_key = {SECRET}\n"),
            )
            .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            config.credentials_file = Some(path);
        }
        let mut place = Self {
            kind: if has_keys { "S3 with keys" } else { "S3 without keys" },
            dir,
            config,
            port,
            server: None,
        };
        place.start();
        Some(place)
    }

    /// An sshd of the test's own: its host key, one user key, one port on loopback.
    pub(crate) fn sftp(test: &str) -> Option<Self> {
        let (Some(_), Some(keygen)) = (find("sshd"), find("ssh-keygen")) else {
            skip(test, "sshd is not installed");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["host", "user"] {
            let made = Command::new(&keygen)
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(at(name))
                .status()
                .unwrap();
            assert!(made.success());
        }
        std::fs::copy(at("user.pub"), at("authorized")).unwrap();
        let port = free_port();
        let host = std::fs::read_to_string(at("host.pub")).unwrap();
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        std::fs::write(
            at("sshd_config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nSubsystem sftp internal-sftp\n",
                at("host").display(),
                at("authorized").display()
            ),
        )
        .unwrap();
        // A configuration of ssh's own, so that the tester's has no part in it.
        std::fs::write(at("ssh_config"), "IdentityAgent none\nIdentitiesOnly yes\n").unwrap();
        let checked = Command::new(find("sshd").unwrap())
            .arg("-t")
            .arg("-f")
            .arg(at("sshd_config"))
            .output()
            .unwrap();
        if !checked.status.success() {
            skip(
                test,
                &format!("sshd: {}", String::from_utf8_lossy(&checked.stderr).trim()),
            );
            return None;
        }
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        let config = config::Depot {
            remote: Some(format!(
                "sftp://{}@127.0.0.1:{port}{}",
                user.trim(),
                at("kept/some/where").display()
            )),
            ssh_key: Some(at("user")),
            known_hosts: Some(at("known_hosts")),
            ssh_config: Some(at("ssh_config")),
            encryption: Some(config::Encryption::None),
            part_bytes: 64 << 10,
            patience: 60,
            ..config::Depot::default()
        };
        std::fs::create_dir(at("kept")).unwrap();
        let mut place = Self {
            kind: "SFTP",
            dir,
            config,
            port,
            server: None,
        };
        place.start();
        Some(place)
    }

    fn start(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(at("log"))
            .unwrap();
        let mut command = if self.kind == "SFTP" {
            let mut command = Command::new(find("sshd").unwrap());
            command.args(["-D", "-e", "-f"]).arg(at("sshd_config"));
            command
        } else {
            let mut command = Command::new(find("rclone").unwrap());
            command.args([
                "serve",
                "s3",
                // What a test does behind its back is to be seen.
                "--dir-cache-time",
                "1ms",
                "--addr",
                &format!("127.0.0.1:{}", self.port),
                "--config",
                "",
            ]);
            if self.config.credentials_file.is_some() {
                // The test's own keys, worth nothing anywhere.
                command.args(["--auth-key", &format!("{KEY_ID},{SECRET}")]);
            }
            command.arg(at("kept"));
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(Killed(command.spawn().unwrap()));
        let port = self.port;
        wait_until("the server", Duration::from_secs(30), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// The folder that the burst's objects end up in, whatever is in front of it.
    pub(crate) fn kept(&self) -> PathBuf {
        self.dir.path().join(match self.kind {
            "directory" => "kept/B",
            "SFTP" => "kept/some/where/B",
            _ => "kept/bucket/some/where/B",
        })
    }

    /// The file of one part of an object.
    pub(crate) fn part(&self, object: &Object, number: usize) -> PathBuf {
        let part = &object.parts[number];
        self.kept()
            .join(format!("{}.{number:04}-{:.16}", object.key, part.blake3))
    }

    /// The same place through `proxy`.
    pub(crate) fn through(&self, proxy: &Proxy) -> config::Depot {
        let mut config = self.config.clone();
        if self.kind == "SFTP" {
            let remote = config.remote.unwrap();
            config.remote = Some(remote.replace(&format!(":{}/", self.port), &format!(":{}/", proxy.port)));
            let known = std::fs::read_to_string(config.known_hosts.as_ref().unwrap()).unwrap();
            let here = self.dir.path().join("known_hosts.proxy");
            std::fs::write(&here, known.replace(&self.port.to_string(), &proxy.port.to_string())).unwrap();
            config.known_hosts = Some(here);
        } else {
            config.endpoint = Some(format!("http://127.0.0.1:{}", proxy.port));
        }
        config
    }
}

/// A TCP proxy that counts what goes up and can be cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    up: AtomicU64,
    /// Bytes up after which every connection is cut.
    cut_after: AtomicU64,
    is_cut: AtomicBool,
    /// Connections that were refused while it was cut.
    refused: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let state = Arc::new(State {
            up: AtomicU64::new(0),
            cut_after: AtomicU64::new(u64::MAX),
            is_cut: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::clone(&state),
        };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { continue };
                if state.is_cut.load(Ordering::SeqCst) {
                    state.refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let both = [&client, &server].map(|s| s.try_clone().unwrap());
                state.open.lock().unwrap().extend(both);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let counted = Arc::clone(&state);
                std::thread::spawn(move || counted.pump(from, to, true));
                let counted = Arc::clone(&state);
                std::thread::spawn(move || counted.pump(server, client, false));
            }
        });
        proxy
    }

    /// Cuts everything once `bytes` more went up.
    pub(crate) fn cut_after(&self, bytes: u64) {
        let at = self.state.up.load(Ordering::SeqCst) + bytes;
        self.state.cut_after.store(at, Ordering::SeqCst);
    }

    /// Cuts everything now.
    pub(crate) fn cut(&self) {
        self.state.cut();
    }

    /// Connections that were refused since it was cut first.
    pub(crate) fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.state.is_cut.load(Ordering::SeqCst)
    }

    /// Lets everything through again.
    pub(crate) fn heal(&self) {
        self.state.cut_after.store(u64::MAX, Ordering::SeqCst);
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// Bytes that went up so far.
    pub(crate) fn up(&self) -> u64 {
        self.state.up.load(Ordering::SeqCst)
    }
}

impl State {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, is_up: bool) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if is_up
                && self.up.fetch_add(count as u64, Ordering::SeqCst) + count as u64
                    >= self.cut_after.load(Ordering::SeqCst)
            {
                self.cut();
                return;
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
