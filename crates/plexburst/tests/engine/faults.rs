//! What goes wrong with a server in a container, each told as what it is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plexburst::clock::{Clock, ManualClock};
use plexburst::plex::client::{Client, Kind, Pass, Token};
use plexburst::plex::preferences::{self, Preferences};
use plexburst::plex::ready::{self, Limits};
use plexburst::plex::runtime::docker::{Docker, Error, Image, Spec};
use plexburst::plex::runtime::{Bind, Exit, Runtime, State, Why};
use sim::plextv::PlexTv;

use crate::common::{PROGRAM, skip, wait_until};
use crate::daemon::Daemon;

/// Generous: the machine may be busy.
const LONG: Duration = Duration::from_secs(180);

/// A container that can be started, with what the simulator is to do.
pub(crate) struct Case {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) server: Docker,
}

fn spec(daemon: &Daemon, dir: &Path, image: &str, memory_mib: u64) -> Spec {
    std::fs::create_dir_all(dir.join("plextv")).unwrap();
    std::fs::create_dir_all(dir.join("media")).unwrap();
    let plextv = dir.join("plextv").canonicalize().unwrap();
    Spec {
        socket: daemon.socket(),
        image: Image::named(image),
        name: format!("plexburst-fault-{}", dir.file_name().unwrap().display()),
        support: dir.join("support"),
        work: dir.join("work"),
        env: vec![("PLEX_SIM_PLEXTV".into(), plextv.display().to_string())],
        writable: vec![plextv],
        roots: vec![Bind {
            root: "/Media/Music".into(),
            media: dir.join("media"),
        }],
        time_zone: None,
        memory: memory_mib << 20,
        cpus: 1.0,
        program: PROGRAM.into(),
    }
}

impl Case {
    pub(crate) async fn new(daemon: &Daemon, image: &str, tempo: &str, memory_mib: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("pbf-").tempdir().unwrap();
        let spec = spec(daemon, dir.path(), image, memory_mib);
        let data = spec.support.join("Plex Media Server");
        let server = Docker::prepare(spec, &mut |_| ()).await.unwrap();
        let mut own = Preferences::of_worker("00000000-0000-4000-8000-000000000001", "fault");
        let host = server.seen_from().await.unwrap().unwrap();
        own.set("allowedNetworks", &format!("{host}/255.255.255.255"));
        own.write(&data).unwrap();
        std::fs::write(data.join("sim.json"), tempo).unwrap();
        Self { dir, server }
    }

    pub(crate) fn client(&self) -> Client {
        let token = preferences::local_token(self.server.data_dir());
        Client::new("worker", &self.server.address(), token.as_ref()).unwrap()
    }

    fn database(&self) -> PathBuf {
        let databases = self.server.data_dir().join("Plug-in Support/Databases");
        databases.join("com.plexapp.plugins.library.db")
    }

    /// Waits until it is up, by `clock`.
    pub(crate) async fn ready(&self, clock: &dyn Clock, limit: u64) -> Result<ready::Ready, ready::Error> {
        let state = || self.server.state();
        let process = ready::Process {
            state: &state,
            data_dir: self.server.data_dir(),
        };
        let limits = Limits::of_total(Duration::from_secs(limit));
        ready::wait_for_process(clock, &limits, || Ok(self.client()), Some(process), &mut |_| ()).await
    }

    /// Waits until it has ended, and tells how.
    async fn end(&self) -> Exit {
        let since = std::time::Instant::now();
        loop {
            if let State::Crashed(exit) = self.server.state() {
                return exit;
            }
            assert!(since.elapsed() < LONG, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        plexburst::plex::runtime::tail(self.server.data_dir(), 20).join("\n")
    }
}

/// Time that passes forty times as fast.
fn fast() -> ManualClock {
    ManualClock::with_pause(Duration::from_millis(12))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_ends_as_what_it_is() {
    const NAME: &str = "each_fault_ends_as_what_it_is";
    let mut daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    let image = daemon.image();

    // 503 for minutes while it starts.
    let mut case = Case::new(&daemon, &image, r#"{"starting_seconds": 3}"#, 512).await;
    case.server.start().await.unwrap();
    let clock = fast();
    let ready = case.ready(&clock, 900).await.unwrap();
    // How much of its time passes meanwhile is for the machine; some does, and it was waited for.
    assert!(clock.passed() > Duration::from_secs(5), "{:?}", clock.passed());
    assert_eq!(ready.identity.version, sim::server::VERSION);
    assert!(!ready.identity.claimed);

    // Claimed, and the token is late.
    let plextv = PlexTv::at(&case.dir.path().join("plextv"));
    let claim = Token::new(&plextv.issue_claim(true).unwrap());
    case.client().claim(&claim).await.unwrap();
    // Used already.
    let mut other = Case::new(&daemon, &image, r#"{"claim_delay_seconds": 2}"#, 512).await;
    other.server.start().await.unwrap();
    other.ready(&fast(), 900).await.unwrap();
    let refused = other.client().claim(&claim).await.unwrap_err();
    assert!(matches!(refused.kind, Kind::BadRequest(_)), "{refused}");
    let own = PlexTv::at(&other.dir.path().join("plextv"));
    other
        .client()
        .claim(&Token::new(&own.issue_claim(true).unwrap()))
        .await
        .unwrap();
    let limits = |total| Limits {
        interval: Duration::from_secs(10),
        ..Limits::of_total(Duration::from_secs(total))
    };
    let late = ManualClock::with_pause(Duration::from_millis(250));
    let identity = ready::wait_claimed(&late, &limits(120), &other.client(), None, &mut |_| ())
        .await
        .unwrap();
    assert!(
        identity.claimed && late.passed() >= Duration::from_secs(10),
        "{:?}",
        late.passed()
    );
    let pass = ready::wait_pass(&late, &limits(120), &other.client(), None, &mut |_| ())
        .await
        .unwrap();
    assert_eq!(pass, Pass::Active);

    // Its container is taken away by somebody else.
    let name = format!("plexburst-fault-{}", other.dir.path().file_name().unwrap().display());
    daemon.ask(&["rm", "-f", &name]);
    assert_eq!(other.end().await.why, Why::Removed);
    // A new one is made where the old one was.
    other.server.start().await.unwrap();
    other.ready(&fast(), 900).await.unwrap();
    assert!(other.server.stop(LONG).await.unwrap().clean);

    // Killed.
    let name = format!("plexburst-fault-{}", case.dir.path().file_name().unwrap().display());
    daemon.ask(&["kill", &name]);
    assert_eq!(case.end().await, Exit::of(137));
    assert!(!case.server.stop(LONG).await.unwrap().clean);

    // The library is locked by somebody: it comes up when that one lets go.
    let locker = rusqlite::Connection::open(case.database()).unwrap();
    locker
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    std::fs::write(case.server.data_dir().join("sim.json"), "{}").unwrap();
    case.server.start().await.unwrap();
    let stuck = case.ready(&fast(), 20).await.unwrap_err();
    assert!(
        matches!(stuck, ready::Error::TimedOut { .. } | ready::Error::Died { .. }),
        "{stuck}"
    );
    locker.execute_batch("ROLLBACK").unwrap();
    drop(locker);
    case.server.stop(LONG).await.unwrap();
    case.server.start().await.unwrap();
    case.ready(&fast(), 900).await.unwrap();
    assert!(case.server.stop(LONG).await.unwrap().clean);
    drop(case);

    // Dies again and again.
    let mut case = Case::new(&daemon, &image, r#"{"crash_seconds": 0.5}"#, 512).await;
    case.server.start().await.unwrap();
    let exit = case.end().await;
    assert!(matches!(exit.why, Why::Loop(_)) && exit.hint().is_some(), "{exit}");
    drop(case);

    // More memory than there is.
    let mut case = Case::new(&daemon, &image, r#"{"eats_mib": 600}"#, 128).await;
    case.server.start().await.unwrap();
    match has_swap() {
        true => println!("SKIPPED memory that runs out: this machine swaps, so two GiB more would have to be eaten"),
        false => {
            let exit = case.end().await;
            assert_eq!(exit.why, Why::OutOfMemory, "{exit}\n{}", case.log());
            assert!(exit.to_string().contains("OOM") && exit.hint().unwrap().contains("worker.memory"));
        }
    }
    drop(case);

    // The engine itself goes: it is given a minute.
    let clock = Arc::new(ManualClock::with_pause(Duration::from_millis(20)));
    let case = Case::new(&daemon, &image, "{}", 512).await;
    let mut case = Case {
        server: case.server.by(clock.clone()),
        dir: case.dir,
    };
    case.server.start().await.unwrap();
    let name = format!("plexburst-fault-{}", case.dir.path().file_name().unwrap().display());
    let orphan = daemon.kill(&name);
    let exit = case.end().await;
    assert_eq!(exit.why, Why::EngineGone, "{exit}");
    assert!(clock.passed() > Duration::from_secs(60));
    let error = Docker::prepare(spec(&daemon, case.dir.path(), &image, 512), &mut |_| ())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NoEngine { .. }) && error.hint().is_some(),
        "{error}"
    );
    drop(orphan);
}

pub(crate) fn has_swap() -> bool {
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    swaps.lines().count() > 1
}

/// A registry that has no image at all.
fn empty_registry() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let is_base = String::from_utf8_lossy(&request[..length]).contains(" /v2/ ");
            let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            let (status, body) = if is_base {
                ("200 OK", "{}")
            } else {
                ("404 Not Found", body)
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_an_image_is_said_before_anything_is_begun() {
    const NAME: &str = "a_version_without_an_image_is_said_before_anything_is_begun";
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    let (mut world, _) = crate::round::world(&daemon).await;
    let image = format!("127.0.0.1:{}/plex", empty_registry());
    crate::round::configure(&mut world, &daemon, &image);
    let tagged = format!("{image}:{}", sim::server::VERSION);
    for command in [["plan"].as_slice(), &["doctor"], &["sync"]] {
        let output = world.run(command);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(3), "{command:?}: {said}");
        assert!(
            said.contains(&format!("there is no image {tagged}")),
            "{command:?}: {said}"
        );
        assert!(said.contains("worker.image"), "{said}");
    }
    // The same of a pull.
    let dir = tempfile::tempdir().unwrap();
    let error = Docker::prepare(spec(&daemon, dir.path(), &tagged, 512), &mut |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoImage { .. }), "{error:?}");
    // An engine that is not there.
    world.worker_config = "runtime = \"docker\"\ndocker_socket = \"/no/such/docker.sock\"".to_owned();
    world.configure(&[(&world.media().join("Music").display().to_string(), "Music")]);
    let output = world.run(&["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("the Docker engine does not answer at /no/such/docker.sock"),
        "{said}"
    );
    wait_until("no container is left", LONG, || daemon.containers().is_empty());
}
