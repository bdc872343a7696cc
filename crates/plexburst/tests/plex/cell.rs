//! A server in a cell: home's paths and port for itself, no trace on the host, dead with the worker.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use plexburst::plex::client::{Client, Kind};
use plexburst::plex::runtime::processes::below;
use plexburst::plex::runtime::{Bind, Confinement, Error, Exit, Native, Runtime, Spec, State};

use crate::support::{Killed, PROGRAM, free_port, is_alive, play, role, skip, wait_until};

/// A root that no machine has.
const ROOT: &str = "/plexburst-test-root/Music";
const SOON: Duration = Duration::from_secs(20);

struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    /// `script` is what the server does in sh; none is one that answers HTTP.
    fn new(script: Option<&str>) -> Self {
        let dir = tempfile::Builder::new().prefix("plexburst-test-").tempdir().unwrap();
        fs::create_dir_all(dir.path().join("media/Artist")).unwrap();
        fs::write(dir.path().join("media/Artist/1.flac"), "sound").unwrap();
        let port = free_port();
        let me = std::env::current_exe().unwrap();
        let serve = format!(
            "PLEXBURST_TEST_ROLE=server PLEXBURST_TEST_ARGS={port}:{ROOT}:{} exec '{}' --exact cell::stand_in --nocapture",
            dir.path().display(),
            me.display()
        );
        let server = dir.path().join("Plex Media Server");
        fs::write(&server, format!("#!/bin/sh\n{}\n", script.unwrap_or(&serve))).unwrap();
        fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, port }
    }

    fn spec(&self, confinement: Confinement) -> Spec {
        spec(self.dir.path(), self.port, confinement)
    }

    fn report(&self) -> String {
        fs::read_to_string(self.dir.path().join("work/tmp/report")).unwrap_or_default()
    }
}

fn spec(dir: &Path, port: u16, confinement: Confinement) -> Spec {
    let media = if confinement == Confinement::Plain {
        ROOT.into()
    } else {
        dir.join("media")
    };
    let roots = vec![Bind {
        root: ROOT.into(),
        media,
    }];
    Spec {
        writable: Vec::new(),
        server: dir.join("Plex Media Server"),
        support: dir.join("support"),
        work: dir.join("work"),
        roots: if confinement == Confinement::Plain {
            Vec::new()
        } else {
            roots
        },
        env: Vec::new(),
        port,
        program: PROGRAM.into(),
        confinement,
        internet: false,
    }
}

/// Not a test: a server that looks around, writes down what it saw, and answers.
#[test]
fn stand_in() {
    let Some(args) = role("server") else { return };
    let [port, root, dir] = &args[..] else {
        panic!("{args:?}")
    };
    let temp = PathBuf::from(std::env::var_os("TMPDIR").unwrap());
    let support = PathBuf::from(std::env::var_os("PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR").unwrap());
    let root = Path::new(root);
    let mut report = format!("pid {}\n", std::process::id());
    let seen = fs::read_to_string(root.join("Artist/1.flac")).unwrap_or_default();
    report += &format!("media {seen}\n");
    let outside = Path::new(dir).join("outside");
    for path in [
        root.join("new"),
        outside,
        "/etc/plexburst-test".into(),
        support.join("own"),
        temp.join("own"),
    ] {
        report += &format!("write {}: {}\n", path.display(), fs::write(&path, "x").is_ok());
    }
    report += &format!("secret {}\n", std::env::var_os("SCW_SECRET_KEY").is_some());
    let listener = TcpListener::bind(("127.0.0.1", port.to_str().unwrap().parse::<u16>().unwrap()));
    report += &format!("port {}\n", listener.is_ok());
    fs::write(temp.join("report"), report).unwrap();
    let body = r#"{"MediaContainer":{"machineIdentifier":"ab","version":"1"}}"#;
    for stream in listener.unwrap().incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

/// Not a test: a worker that starts a server and waits to be killed.
#[tokio::test]
async fn worker() {
    let Some(args) = role("worker") else { return };
    let [dir, port, how] = &args[..] else {
        panic!("{args:?}")
    };
    let confinement = if how == "plain" {
        Confinement::Plain
    } else {
        Confinement::Cell
    };
    let port = port.to_str().unwrap().parse().unwrap();
    let mut server = Native::prepare(spec(Path::new(dir), port, confinement)).unwrap();
    server.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
}

fn cells(test: &str) -> bool {
    match Native::prepare(Place::new(Some("true")).spec(Confinement::Cell)) {
        Ok(_) => true,
        Err(error) => {
            skip(test, &error.to_string());
            false
        }
    }
}

async fn answers(server: &Native) -> bool {
    let client = Client::new("worker", &server.address(), None).unwrap();
    for _ in 0..400 {
        match client.identity().await {
            Ok(identity) => return identity.machine_identifier == "ab",
            Err(error) => assert!(matches!(error.kind, Kind::Refused), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn homes_paths_and_port_and_no_trace() {
    if !cells("homes_paths_and_port_and_no_trace") {
        return;
    }
    let place = Place::new(None);
    // Home has the port, as on a machine that is home and worker at once.
    let home = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let mut server = Native::prepare(place.spec(Confinement::Auto)).unwrap();
    assert!(server.is_celled());
    server.start().await.unwrap();
    assert!(matches!(server.start().await, Err(Error::Running)));
    assert!(
        answers(&server).await,
        "{}",
        fs::read_to_string(server.output()).unwrap()
    );
    assert_eq!(server.state(), State::Running);
    let report = place.report();
    let dir = place.dir.path().canonicalize().unwrap();
    let wrote = |path: &Path| report.contains(&format!("write {}: true\n", path.display()));
    assert!(
        report.contains("media sound\n") && report.contains("port true\n"),
        "{report}"
    );
    assert!(
        wrote(&dir.join("support/own")) && wrote(&dir.join("work/tmp/own")),
        "{report}"
    );
    assert_eq!(report.matches(": true\n").count(), 2, "{report}");
    assert!(!Path::new("/plexburst-test-root").exists() && !dir.join("outside").exists());
    assert!(TcpStream::connect(("127.0.0.1", place.port)).is_ok());
    let stopped = server.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(server.state(), State::Stopped);
    assert!(stopped.logs_left.is_empty() && stopped.took < Duration::from_secs(10));
    drop(home);
}

#[tokio::test]
async fn killing_the_worker_kills_what_it_started() {
    for how in ["cell", "plain"] {
        if how == "cell" && !cells("killing_the_worker_kills_what_it_started") {
            continue;
        }
        let place = Place::new(None);
        let port = place.port.to_string();
        let args = [place.dir.path(), Path::new(&port), Path::new(how)];
        let mut worker = Killed(play("cell::worker", "worker", &args).spawn().unwrap());
        wait_until("the server's report", SOON, || place.report().contains("port true"));
        // In a cell the server has another number: it is looked for from outside.
        let started = below(i32::try_from(worker.0.id()).unwrap()).unwrap();
        assert!(started.len() >= 3, "{started:?}");
        worker.0.kill().unwrap();
        worker.0.wait().unwrap();
        for process in started {
            wait_until(&format!("{how}: end of {process:?}"), SOON, || !is_alive(process.pid));
        }
    }
}

#[tokio::test]
async fn an_ordinary_user_has_cells_too() {
    const NAME: &str = "an_ordinary_user_has_cells_too";
    if !rustix::process::getuid().is_root() {
        return skip(NAME, "these tests run as an ordinary user anyway");
    }
    let me = std::env::current_exe().unwrap();
    let try_it = format!(
        "test -x '{}' && test -x '{PROGRAM}' && bwrap --unshare-net --ro-bind / / true",
        me.display()
    );
    let able = Command::new("su").args(["tester", "-c", &try_it]).output();
    if !able.is_ok_and(|output| output.status.success()) {
        return skip(
            NAME,
            "no user called tester who can reach the binaries and make namespaces",
        );
    }
    let place = Place::new(None);
    let owned = Command::new("chown")
        .args(["-R", "tester"])
        .arg(place.dir.path())
        .status()
        .unwrap();
    assert!(owned.success());
    let command = format!(
        "PLEXBURST_TEST_ROLE=worker PLEXBURST_TEST_ARGS={}:{}:cell exec '{}' --exact cell::worker",
        place.dir.path().display(),
        place.port,
        me.display()
    );
    let worker = Killed(Command::new("su").args(["tester", "-c", &command]).spawn().unwrap());
    wait_until("the server's report", SOON, || place.report().contains("port true"));
    assert!(place.report().contains("media sound"), "{}", place.report());
    // su does not pass on what ends it.
    for process in below(i32::try_from(worker.0.id()).unwrap()).unwrap().iter().rev() {
        let _ = Command::new("kill").args(["-9", &process.pid.to_string()]).output();
        wait_until(&format!("the end of {process:?}"), SOON, || {
            !is_alive(process.pid) || process.name == "su"
        });
    }
}

#[tokio::test]
async fn a_crash_is_told_from_a_stop() {
    for confinement in [Confinement::Plain, Confinement::Cell] {
        if confinement == Confinement::Cell && !cells("a_crash_is_told_from_a_stop") {
            continue;
        }
        let place = Place::new(Some("echo going down; exit 3"));
        let mut server = Native::prepare(place.spec(confinement)).unwrap();
        server.start().await.unwrap();
        wait_until("the crash", SOON, || server.state() == State::Crashed(Exit::of(3)));
        assert_eq!(fs::read_to_string(server.output()).unwrap(), "going down\n");
        assert!(server.processes().unwrap().is_empty());
        assert!(!server.stop(Duration::from_secs(1)).await.unwrap().clean);
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_wish_to_stop_is_killed() {
    let place = Place::new(Some("trap '' TERM; echo up; while :; do sleep 1; done"));
    let mut server = Native::prepare(place.spec(Confinement::Auto)).unwrap();
    server.start().await.unwrap();
    wait_until("the start", SOON, || {
        fs::read_to_string(server.output()).is_ok_and(|text| text == "up\n")
    });
    let stopped = server.stop(Duration::from_millis(300)).await.unwrap();
    assert!(!stopped.clean && stopped.took < Duration::from_secs(10), "{stopped:?}");
}

#[test]
fn without_a_cell_nothing_may_be_in_the_way() {
    let place = Place::new(Some("true"));
    let mut spec = place.spec(Confinement::Plain);
    spec.roots = vec![Bind {
        root: ROOT.into(),
        media: place.dir.path().join("media"),
    }];
    let error = Native::prepare(spec.clone()).unwrap_err();
    assert!(matches!(error, Error::NotInPlace { .. }) && error.hint().is_some());
    spec.roots = vec![Bind {
        root: place.dir.path().join("media"),
        media: place.dir.path().join("media"),
    }];
    let _taken = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    assert!(matches!(Native::prepare(spec.clone()), Err(Error::PortInUse(_))));
    spec.server = "/no/such/Plex Media Server".into();
    assert!(matches!(Native::prepare(spec), Err(Error::NoServer(_))));
}
