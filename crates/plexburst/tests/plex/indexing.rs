//! The worker's side of Plex from its first start to its clean stop, with the simulator in the part of Plex.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plex_library::Databases;
use plexburst::clock::SystemClock;
use plexburst::config::PreferencesMode;
use plexburst::plex::client::{Client, ItemKind, NewSection, Pass, Token};
use plexburst::plex::index::{
    DatabaseCounters, Indexer, Kind, Limits, Moment, Outcome, Progress, SectionReport, Step, Wish,
};
use plexburst::plex::listen::Listener;
use plexburst::plex::preferences::{self, Preferences};
use plexburst::plex::ready::{self, Awaited, Process, Ready, Waiting};
use plexburst::plex::runtime::{Bind, Confinement, Native, Runtime, Spec};

use crate::eta;
use crate::support::{PROGRAM, free_port, skip};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct Worker {
    dir: tempfile::TempDir,
    pub(crate) server: Native,
    root: PathBuf,
}

impl Worker {
    /// A server over three synthesised tracks; in a cell with home's path where that can be had.
    pub(crate) fn new(test: &str) -> Self {
        Self::with(test, 3)
    }

    pub(crate) fn with(test: &str, tracks: usize) -> Self {
        let dir = tempfile::Builder::new().prefix("plexburst-test-").tempdir().unwrap();
        let media = dir.path().join("media/Music");
        let spec = sim::music::Spec {
            artists: 1,
            albums: 1,
            tracks,
            seconds: 2.0,
            seed: 7,
            ..Default::default()
        };
        sim::music::synthesise(&media, &spec).unwrap();
        let (support, port) = (dir.path().join("support"), free_port());
        Preferences::of_worker("11111111-2222-4333-8444-555555555555", "worker")
            .write(&support.join("Plex Media Server"))
            .unwrap();
        let spec = |root: &Path, confinement| Spec {
            server: sim::install(&dir.path().join("pms"), Path::new(PROGRAM)).unwrap(),
            support: support.clone(),
            work: dir.path().join("work"),
            roots: vec![Bind {
                root: root.to_owned(),
                media: media.clone(),
            }],
            env: vec![
                ("PLEX_SIM_PORT".into(), port.to_string().into()),
                ("PLEX_SIM_PLEXTV".into(), support.join("plextv").into()),
            ],
            port,
            program: PROGRAM.into(),
            confinement,
            internet: false,
            writable: Vec::new(),
        };
        let root = PathBuf::from("/plexburst-test-root/Music");
        let (root, server) = match Native::prepare(spec(&root, Confinement::Cell)) {
            Ok(server) => (root, server),
            Err(error) => {
                skip(test, &format!("in a cell: {error}"));
                let server = Native::prepare(spec(&media, Confinement::Plain)).unwrap();
                (media.clone(), server)
            }
        };
        Self { dir, server, root }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("support/Plex Media Server").join(name)
    }

    pub(crate) fn client(&self) -> Client {
        let token = preferences::local_token(self.server.data_dir());
        Client::new("worker", &self.server.address(), token.as_ref()).unwrap()
    }

    pub(crate) async fn start(&mut self) -> (Ready, Vec<Waiting>) {
        self.server.start().await.unwrap();
        let mut seen = Vec::new();
        let state = || self.server.state();
        let process = Process {
            state: &state,
            data_dir: self.server.data_dir(),
        };
        let mut progress = |waiting: &Waiting| seen.push(waiting.clone());
        let limits = ready::Limits {
            interval: Duration::from_millis(50),
            ..ready::Limits::of_total(LIMIT)
        };
        let make = || Ok(self.client());
        let ready = ready::wait_for_process(&SystemClock, &limits, make, Some(process), &mut progress).await;
        (ready.unwrap(), seen)
    }

    pub(crate) async fn create_section(&self) -> i64 {
        let new = NewSection {
            title: "Music".into(),
            kind: "artist".into(),
            agent: "tv.plex.agents.music".into(),
            scanner: "Plex Music".into(),
            language: "en-US".into(),
            locations: vec![self.root.display().to_string()],
        };
        self.client().create_section(&new).await.unwrap()
    }

    /// A claim with a Plex Pass.
    pub(crate) async fn claim(&self) {
        let client = self.client();
        let plextv = sim::plextv::PlexTv::at(&self.dir.path().join("support/plextv"));
        let claim = plextv.issue_claim(true).unwrap();
        client.claim(&Token::new(&claim.to_string())).await.unwrap();
        let limits = ready::Limits::of_total(LIMIT);
        ready::wait_claimed(&SystemClock, &limits, &client, None, &mut |_| ())
            .await
            .unwrap();
        let pass = ready::wait_pass(&SystemClock, &limits, &client, None, &mut |_| ())
            .await
            .unwrap();
        assert_eq!(pass, Pass::Active);
    }

    pub(crate) async fn index(&self, section: i64, sonic: bool) -> SectionReport {
        let wish = Wish {
            analyse: true,
            sonic,
            ..Wish::default()
        };
        self.wished(section, &wish, &mut |_| ()).await
    }

    async fn wished(&self, section: i64, wish: &Wish, progress: &mut dyn FnMut(&Progress)) -> SectionReport {
        let client = self.client();
        let counters = DatabaseCounters::new(Databases::at(self.file("Plug-in Support/Databases")));
        let limits = Limits {
            grace: Duration::from_millis(1500),
            scan: LIMIT,
            refresh: LIMIT,
            analyse: LIMIT,
            sonic: LIMIT,
            ..Limits::local().looking(INTERVAL, 100_000)
        };
        let listener = Listener::begin(&client, Arc::new(SystemClock));
        let indexer = Indexer {
            client: &client,
            server: &self.server,
            counters: &counters,
            heard: listener.heard(),
            clock: &SystemClock,
            limits: &limits,
        };
        let guard = async |_: Moment| Ok(());
        indexer.section(section, wish, guard, progress).await.unwrap()
    }
}

fn outcomes(report: &SectionReport) -> Vec<(Step, &Outcome)> {
    report.steps.iter().map(|step| (step.step, &step.outcome)).collect()
}

/// Takes the marks of the analyses from one track, beside the running server. The triggers need what only Plex has: they are
/// off meanwhile.
fn unmark(library: &Path) {
    let mut db = rusqlite::Connection::open(library).unwrap();
    db.busy_timeout(LIMIT).unwrap();
    let change = db
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    let triggers: Vec<(String, String)> = change
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'metadata_items'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, _) in &triggers {
        change.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    let sql = "UPDATE metadata_items SET extra_data = NULL
               WHERE id = (SELECT min(id) FROM metadata_items WHERE metadata_type = 10)";
    assert_eq!(change.execute(sql, []).unwrap(), 1);
    for (_, sql) in &triggers {
        change.execute_batch(sql).unwrap();
    }
    change.commit().unwrap();
}

#[tokio::test]
async fn from_the_first_start_to_sonic_and_a_clean_stop() {
    let mut worker = Worker::new("from_the_first_start_to_sonic_and_a_clean_stop");
    let (ready, _) = worker.start().await;
    assert!(ready.sections.is_empty() && !ready.identity.claimed);
    let client = worker.client();

    preferences::forbid_deleting(&client).await.unwrap();
    let quieted = preferences::quiet(&client, 12).await.unwrap();
    assert_eq!(quieted.kept, []);
    // Unclaimed, Plex does not know the preferences that need Plex Pass.
    assert!(
        quieted.unknown.contains(&"MusicAnalysisBehavior".to_owned()),
        "{quieted:?}"
    );

    assert_eq!(client.pass().await.unwrap(), Pass::Unclaimed);
    worker.claim().await;
    let quieted = preferences::quiet(&client, 12).await.unwrap();
    assert!(
        !quieted.unknown.contains(&"MusicAnalysisBehavior".to_owned()),
        "{quieted:?}"
    );

    let section = worker.create_section().await;
    let report = worker.index(section, true).await;
    assert!(report.unfinished().is_none(), "{report:?}");
    assert_eq!(outcomes(&report).last().unwrap(), &(Step::Sonic, &Outcome::Done));
    let after = report.after();
    assert_eq!((after.items, after.files, after.trashed, after.sonic), (3, 3, 0, 3));
    assert!(report.failed.is_empty());
    assert_eq!(client.count(section, ItemKind::Track).await.unwrap(), 3);
    let page = client.items(section, ItemKind::Track, 0, 10).await.unwrap();
    assert!(
        page.items.iter().all(|item| item.music_analysis_version.is_some()),
        "{page:?}"
    );
    assert!(
        page.items[0]
            .parts()
            .next()
            .unwrap()
            .file
            .starts_with(worker.root.to_str().unwrap())
    );

    let again = worker.index(section, true).await;
    assert_eq!(
        outcomes(&again)[1..]
            .iter()
            .filter(|(_, outcome)| **outcome == Outcome::Done)
            .count(),
        0,
        "{again:?}"
    );

    // One track loses its marks, and keeps its loudness and its vector: who was asked alone would call it complete.
    let library = Databases::at(worker.file("Plug-in Support/Databases")).library();
    unmark(&library);
    let disputed = worker.index(section, true).await;
    let said: Vec<&str> = disputed.decisions.iter().map(String::as_str).collect();
    assert_eq!(
        said,
        [
            "loudness: not complete, its witnesses differ: audio streams 3 of 3, marks of the tracks 2 of 3; it is done again",
            "Sonic: not complete, its witnesses differ: blobs 3 of 3, marks of the tracks 2 of 3; it is done again",
        ]
    );
    let ended = outcomes(&disputed);
    for step in [Step::Loudness, Step::Sonic] {
        assert!(ended.contains(&(step, &Outcome::Done)), "{ended:?}");
    }
    // This Plex marks the vector's track again and measures no loudness twice: what stays disputed is told to the end.
    let left: Vec<Kind> = disputed
        .kinds
        .iter()
        .filter(|one| one.is_disputed())
        .map(|one| one.kind)
        .collect();
    assert_eq!(left, [Kind::Loudness], "{:?}", disputed.kinds);

    let stopped = worker.server.stop(Duration::from_secs(30)).await.unwrap();
    assert!(stopped.clean && stopped.logs_left.is_empty(), "{stopped:?}");
    assert!(!Path::new("/plexburst-test-root").exists());
}

/// See [`eta`]; with `PLEXBURST_SOAK` the analysis takes minutes.
#[tokio::test]
async fn the_time_to_go_and_the_end() {
    let tracks = usize::try_from(eta::TRACKS).unwrap();
    let mut worker = Worker::with("the_time_to_go_and_the_end", tracks);
    worker.start().await;
    worker.claim().await;
    let client = worker.client();
    preferences::forbid_deleting(&client).await.unwrap();
    preferences::quiet(&client, 12).await.unwrap();
    let section = worker.create_section().await;
    eta::measure(&client, &worker.server, worker.server.data_dir(), section).await;
    assert!(worker.server.stop(LIMIT).await.unwrap().clean);
}

/// With everything let on what is no music gets its previews, by the butler's tasks that a server without a pass has; the refresh
/// comes before it, and all is quiet again afterwards.
#[tokio::test]
async fn refreshed_then_everything_then_quiet() {
    let mut worker = Worker::new("refreshed_then_everything_then_quiet");
    let film = worker.dir.path().join("media/Music/A Film (2001)/A Film (2001).mkv");
    fs::create_dir_all(film.parent().unwrap()).unwrap();
    fs::write(&film, "a film").unwrap();
    worker.start().await;
    let client = worker.client();
    preferences::forbid_deleting(&client).await.unwrap();
    preferences::quiet(&client, 12).await.unwrap();
    let new = NewSection {
        title: "Films".into(),
        kind: "movie".into(),
        agent: "tv.plex.agents.movie".into(),
        scanner: "Plex Movie".into(),
        language: "en-US".into(),
        locations: vec![worker.root.display().to_string()],
    };
    let section = client.create_section(&new).await.unwrap();
    let wish = Wish {
        refresh: true,
        analyse: true,
        allow: PreferencesMode::Everything,
        ..Wish::default()
    };
    let mut seen = Vec::new();
    let report = worker
        .wished(section, &wish, &mut |progress| seen.push(progress.step))
        .await;
    assert!(report.unfinished().is_none(), "{report:?}");
    let names = ["GenerateChapterThumbBehavior", "GenerateBIFBehavior"];
    assert_eq!(report.allowed, names);
    let steps: Vec<Step> = report.steps.iter().map(|step| step.step).collect();
    let expected = [Step::Scan, Step::Refresh, Step::Analyse, Step::Extras, Step::Extras];
    assert_eq!(steps, expected, "{report:?}");
    assert!(seen.contains(&Step::Refresh), "{seen:?}");
    for name in names {
        assert!(client.preference(name).await.unwrap().unwrap().is("never"), "{name}");
    }
    let log = fs::read_to_string(worker.file("Logs/Plex Media Server.log")).unwrap();
    assert_eq!(
        log.matches("Scanner\" --scan --refresh --force --section").count(),
        1,
        "{log}"
    );
    assert!(worker.server.stop(LIMIT).await.unwrap().clean);
}

#[tokio::test]
async fn a_file_that_is_gone_is_in_the_trash_and_not_deleted() {
    let mut worker = Worker::new("a_file_that_is_gone_is_in_the_trash_and_not_deleted");
    worker.start().await;
    let section = worker.create_section().await;
    let report = worker.index(section, false).await;
    assert_eq!(report.after().items, 3, "{report:?}");
    let page = worker.client().items(section, ItemKind::Track, 0, 10).await.unwrap();
    let lost = Path::new(&page.items[0].parts().next().unwrap().file)
        .strip_prefix(&worker.root)
        .unwrap()
        .to_owned();
    fs::remove_file(worker.dir.path().join("media/Music").join(lost)).unwrap();
    let report = worker.index(section, false).await;
    let after = report.after();
    assert_eq!((after.items, after.trashed), (2, 1), "{report:?}");
    assert!(worker.server.stop(Duration::from_secs(30)).await.unwrap().clean);
}

#[tokio::test]
async fn a_server_that_starts_slowly_is_waited_for() {
    let mut worker = Worker::new("a_server_that_starts_slowly_is_waited_for");
    fs::write(worker.file("sim.json"), r#"{"starting_seconds": 1.0}"#).unwrap();
    let (ready, seen) = worker.start().await;
    assert!(ready.took >= Duration::from_millis(900), "{:?}", ready.took);
    let starting = |waiting: &Waiting| matches!(waiting.awaited, Awaited::Identity | Awaited::Migration(_));
    assert!(seen.iter().any(starting), "{seen:?}");
}

#[tokio::test]
async fn the_households_calls_reach_the_server() {
    let mut worker = Worker::new("the_households_calls_reach_the_server");
    worker.start().await;
    let section = worker.create_section().await;
    worker.index(section, false).await;
    let client = worker.client();
    let tracks = client.items(section, ItemKind::Track, 0, 10).await.unwrap().items;
    client.scrobble(tracks[0].id).await.unwrap();
    client.rate(tracks[1].id, 8.0).await.unwrap();
    let seen = client.item(tracks[0].id).await.unwrap().unwrap();
    assert_eq!(seen.view_count, Some(1));
    assert!(seen.last_viewed_at.is_some());
    assert_eq!(client.item(tracks[1].id).await.unwrap().unwrap().user_rating, Some(8.0));
    client.unscrobble(tracks[0].id).await.unwrap();
    assert_eq!(
        client
            .item(tracks[0].id)
            .await
            .unwrap()
            .unwrap()
            .view_count
            .unwrap_or(0),
        0
    );
    let made = client
        .create_playlist("Evening", &[tracks[0].id, tracks[2].id])
        .await
        .unwrap();
    assert_eq!(made.title, "Evening");
    assert!(
        client
            .playlists()
            .await
            .unwrap()
            .iter()
            .any(|playlist| playlist.id == made.id)
    );
    assert_eq!(client.item(999_999).await.unwrap(), None);
    assert!(client.accounts().await.unwrap().iter().any(|account| account.id == 1));
    assert!(client.sessions().await.unwrap().is_empty());
    let info = client.server_info().await.unwrap();
    assert_eq!(
        info.machine_identifier,
        client.identity().await.unwrap().machine_identifier
    );
}
