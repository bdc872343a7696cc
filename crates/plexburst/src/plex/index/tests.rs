//! A Plex that plays a part: what it answers depends on how much (virtual) time has passed since the step began.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::counters::CountError;
use super::*;
mod wishes;

use crate::clock::ManualClock;
use crate::plex::canned::{Answer, Canned};
use crate::plex::client::{Address, Client};
use crate::plex::listen::Heard;
use crate::plex::runtime::{Exit, Process, State};

mod heard;

/// What the part is: by the number of the act (1 the scan, 2 what comes after) and the seconds since it began.
/// Before the first act everything is quiet.
type Part<T> = fn(u64, u64) -> T;

#[derive(Clone, Copy)]
struct Script {
    /// JSON of the activities.
    activities: Part<&'static str>,
    refreshing: Part<bool>,
    scanners: Part<usize>,
    /// Files; none is a database that cannot be read.
    files: Part<Option<u64>>,
    state: Part<State>,
    /// (tracks with Sonic data, tracks).
    sonic: Part<(u64, u64)>,
    /// Files that are analysed by their versions, but have no streams.
    silent: Part<u64>,
    /// Items that Plex answers with besides those of the library.
    more: Part<u64>,
    /// What the websocket tells.
    heard: Part<String>,
}

const QUIET: Script = Script {
    activities: |_, _| "",
    refreshing: |_, _| false,
    scanners: |_, _| 0,
    files: |_, _| Some(10),
    state: |_, _| State::Running,
    sonic: |_, _| (10, 10),
    silent: |_, _| 0,
    more: |_, _| 0,
    heard: |_, _| String::new(),
};

struct Plex {
    script: Script,
    heard: Heard,
    clock: Arc<ManualClock>,
    /// The act and when it began.
    act: Mutex<(u64, Duration)>,
}

impl Plex {
    fn new(script: Script, clock: Arc<ManualClock>) -> Self {
        Self {
            script,
            heard: Heard::default(),
            clock,
            act: Mutex::default(),
        }
    }

    fn begin_act(&self) {
        let mut act = self.act.lock().unwrap();
        *act = (act.0 + 1, self.clock.passed());
    }

    fn now<T>(&self, part: Part<T>, quiet: Part<T>) -> T {
        match *self.act.lock().unwrap() {
            (0, _) => quiet(0, 0),
            (act, began) => part(act, (self.clock.passed() - began).as_secs()),
        }
    }
}

impl Observed for Plex {
    fn state(&self) -> State {
        self.now(self.script.state, QUIET.state)
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        self.heard.hear(&self.now(self.script.heard, QUIET.heard));
        let scanner = Process {
            pid: 7,
            parent: 1,
            name: "Plex Media Scanner".into(),
            verb: "--scan".into(),
            ticks: 0,
        };
        Ok(vec![scanner; self.now(self.script.scanners, QUIET.scanners)])
    }
}

impl Counters for Plex {
    fn section(&self, _id: i64) -> Result<Counts, CountError> {
        let files = self.now(self.script.files, QUIET.files).ok_or("database is locked")?;
        let sonic = self.now(self.script.sonic, QUIET.sonic).0;
        Ok(Counts {
            items: files,
            files,
            analysed: files,
            loudness: files,
            sonic,
            ..Counts::default()
        })
    }

    /// The marks agree with the counts, but for those of tracks, of which this library has none.
    fn marks(&self, id: i64) -> Result<Marks, CountError> {
        Ok(Marks {
            streams: self.section(id)?.files - self.now(self.script.silent, QUIET.silent),
            ..Marks::default()
        })
    }

    fn sonic(&self) -> Result<Sonic, CountError> {
        let (done, all) = self.now(self.script.sonic, QUIET.sonic);
        Ok(Sonic { done, all })
    }

    fn without_sonic(&self, _section: i64, _limit: u64) -> Result<Vec<String>, CountError> {
        let left = self.sonic()?.left();
        Ok((0..left).map(|number| format!("/m/{number}.flac")).collect())
    }

    /// The files are numbered: those are there of which there are as many.
    fn lacking(&self, section: i64, files: &[String]) -> Result<Vec<String>, CountError> {
        let there = self.section(section)?.files;
        let is_there = |file: &String| file.parse::<u64>().is_ok_and(|number| number <= there);
        Ok(files.iter().filter(|file| !is_there(file)).cloned().collect())
    }
}

struct Run {
    result: Result<SectionReport, Error>,
    /// The calls that change something, and the guard's moments, in order.
    calls: Vec<String>,
    passed: Duration,
    seen: Vec<Progress>,
}

fn limits() -> Limits {
    let most = Duration::from_secs(600);
    Limits {
        scan: most,
        analyse: most,
        sonic: most,
        ..Limits::local().looking(Duration::from_secs(1), 60)
    }
}

async fn run(script: Script, wish: Wish, refuses: Option<Moment>) -> Run {
    let clock = Arc::new(ManualClock::new());
    let plex = Arc::new(Plex::new(script, clock.clone()));
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let (log, inner) = (calls.clone(), plex.clone());
    let server = Canned::start(move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/activities") => {
                let list = inner.now(inner.script.activities, QUIET.activities);
                Answer::json(format!(r#"{{"MediaContainer":{{"Activity":[{list}]}}}}"#))
            }
            ("GET", "/library/sections") => {
                let refreshing = inner.now(inner.script.refreshing, QUIET.refreshing);
                Answer::json(format!(
                    r#"{{"MediaContainer":{{"Directory":[{{"key":"3","type":"artist","title":"Music","refreshing":{refreshing}}}]}}}}"#
                ))
            }
            ("GET", "/library/sections/3/all") => {
                let items = inner.section(3).map_or(0, |counts| counts.items) + inner.now(inner.script.more, QUIET.more);
                Answer::json(format!(r#"{{"MediaContainer":{{"size":0,"totalSize":{items}}}}}"#))
            }
            ("GET", "/:/prefs/get") => {
                let name = request.target.rsplit('=').next().unwrap_or_default();
                Answer::json(format!(r#"{{"MediaContainer":{{"Setting":[{{"id":"{name}","type":"bool","value":false}}]}}}}"#))
            }
            (method, _) => {
                log.lock().unwrap().push(format!("{method} {}", request.target));
                if method == "GET" || method == "POST" {
                    inner.begin_act();
                }
                Answer::new(200, "")
            }
        }
    })
    .await;
    let client = Client::new("worker", &Address::Http(server.base()), None).unwrap();
    let (limits, mut seen) = (limits(), Vec::new());
    let indexer = Indexer {
        client: &client,
        server: &*plex,
        counters: &*plex,
        heard: &plex.heard,
        clock: &*clock,
        limits: &limits,
    };
    let guard = async |moment: Moment| {
        calls.lock().unwrap().push(format!("guard {moment:?}"));
        if refuses == Some(moment) {
            Err("the mount is dead".into())
        } else {
            Ok(())
        }
    };
    let result = indexer
        .section(3, &wish, guard, &mut |progress| seen.push(progress.clone()))
        .await;
    let calls = calls.lock().unwrap().clone();
    Run {
        result,
        calls,
        passed: clock.passed(),
        seen,
    }
}

const SCAN: &str = "GET /library/sections/3/refresh";
const SCANNING: &str = r#"{"uuid":"a","type":"library.update.section","title":"Scanning Music","progress":-1}"#;

#[tokio::test]
async fn an_activity_that_shows_up_late_is_waited_for() {
    let script = Script {
        activities: |_, second| {
            if (3..40).contains(&second) { SCANNING } else { "" }
        },
        files: |_, second| Some(10 + second.min(38) / 10),
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    let report = run.result.unwrap();
    assert_eq!(report.steps.len(), 1);
    assert_eq!(report.steps[0].outcome, Outcome::Done);
    assert_eq!((report.steps[0].before.files, report.steps[0].after.files), (10, 13));
    assert_eq!(run.calls, ["guard Before", SCAN, "guard After"]);
    assert!(run.passed < Duration::from_secs(50), "{:?}", run.passed);
    assert!(
        run.seen
            .iter()
            .any(|progress| progress.to_string().contains("waiting for Plex: Scanning Music"))
    );
}

#[tokio::test]
async fn a_scanner_that_hangs_is_a_stall_and_is_asked_to_stop() {
    let script = Script {
        activities: |_, _| SCANNING,
        scanners: |_, _| 1,
        refreshing: |_, _| true,
        ..QUIET
    };
    let run = run(
        script,
        Wish {
            analyse: true,
            sonic: true,
            deep: true,
            ..Wish::default()
        },
        None,
    )
    .await;
    let report = run.result.unwrap();
    let Outcome::Stalled { busy, seconds } = &report.unfinished().unwrap().outcome else {
        panic!("{report:?}")
    };
    assert!(
        busy.contains("Music being scanned") && busy.contains("1 scanner process"),
        "{busy}"
    );
    assert_eq!((*seconds, report.steps.len()), (60, 1));
    assert_eq!(run.calls.last().unwrap(), "DELETE /library/sections/3/refresh");
    assert!(run.calls.contains(&format!("{SCAN}?force=1")));
}

#[tokio::test]
async fn what_still_moves_is_no_stall_but_has_a_limit() {
    let script = Script {
        activities: |_, _| SCANNING,
        files: |_, second| Some(10 + second / 50),
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    let outcome = run.result.unwrap().steps[0].outcome.clone();
    assert!(matches!(outcome, Outcome::TimedOut { seconds: 600, .. }), "{outcome:?}");
    assert!(
        run.calls.iter().filter(|call| *call == "guard During").count() >= 8,
        "{:?}",
        run.calls
    );
}

#[tokio::test]
async fn an_error_while_counting_is_not_a_zero() {
    let now_and_then = Script {
        activities: |_, second| if second < 20 { SCANNING } else { "" },
        files: |_, second| (second % 5 != 0).then_some(10),
        ..QUIET
    };
    assert!(
        run(now_and_then, Wish::default(), None)
            .await
            .result
            .is_ok_and(|report| report.unfinished().is_none())
    );
    let never = Script {
        files: |_, _| None,
        ..QUIET
    };
    let run = run(never, Wish::default(), None).await;
    assert!(matches!(run.result, Err(Error::Counters { .. })), "{:?}", run.result);
}

#[tokio::test]
async fn a_server_that_dies_is_noticed_at_once() {
    let script = Script {
        activities: |_, _| SCANNING,
        state: |_, second| {
            if second < 10 {
                State::Running
            } else {
                State::Crashed(Exit::of(139))
            }
        },
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    let error = run.result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker's Plex ended by signal 11 while Music was being indexed"
    );
    assert!(run.passed < Duration::from_secs(15));
}

#[tokio::test]
async fn a_guard_that_refuses_stops_the_scan() {
    let script = Script {
        activities: |_, _| SCANNING,
        files: |_, second| Some(second),
        ..QUIET
    };
    let during = run(script, Wish::default(), Some(Moment::During)).await;
    assert!(matches!(during.result, Err(Error::Guard { .. })));
    assert_eq!(
        during.calls[during.calls.len() - 2..],
        ["guard During", "DELETE /library/sections/3/refresh"]
    );
    let before = run(QUIET, Wish::default(), Some(Moment::Before)).await;
    assert!(matches!(before.result, Err(Error::Guard { .. })));
    assert_eq!(before.calls, ["guard Before"]);
}

#[tokio::test]
async fn music_with_a_pass_goes_through_the_butler_and_failed_tracks_have_names() {
    // Three of ten tracks to go: two succeed, one never does.
    let script = Script {
        activities: |_, second| {
            if (1..30).contains(&second) {
                r#"{"uuid":"b","type":"media.generate.music.analysis","title":"Sonic","progress":5}"#
            } else {
                ""
            }
        },
        sonic: |_, second| (7 + second.min(20) / 10, 10),
        ..QUIET
    };
    let run = run(
        script,
        Wish {
            analyse: true,
            sonic: true,
            ..Wish::default()
        },
        None,
    )
    .await;
    let report = run.result.unwrap();
    let steps: Vec<_> = report
        .steps
        .iter()
        .map(|step| (step.step, step.outcome.is_done()))
        .collect();
    assert_eq!(
        steps,
        [
            (Step::Scan, true),
            (Step::Analyse, true),
            (Step::Loudness, true),
            (Step::Sonic, true)
        ]
    );
    assert_eq!(report.steps[2].outcome, Outcome::Complete { of: 10 });
    assert_eq!(report.failed, ["/m/0.flac"]);
    let changing: Vec<_> = run.calls.iter().filter(|call| !call.starts_with("guard")).collect();
    assert_eq!(
        changing,
        [
            SCAN,
            "PUT /:/prefs?MusicAnalysisBehavior=asap",
            "POST /butler/MusicAnalysis",
            "PUT /:/prefs?MusicAnalysisBehavior=never"
        ]
    );
    assert!(run.seen.iter().any(|progress| progress.share == Some((8, 10))));
}

#[tokio::test]
async fn sonic_is_over_when_no_track_is_left_whatever_lingers() {
    let script = Script {
        activities: |act, _| {
            if act == 2 {
                r#"{"uuid":"b","type":"media.generate.music.analysis","progress":99}"#
            } else {
                ""
            }
        },
        sonic: |act, second| (if act == 2 { second.min(10) } else { 0 }, 10),
        ..QUIET
    };
    let wish = Wish {
        analyse: true,
        sonic: true,
        ..Wish::default()
    };
    let run = run(script, wish, None).await;
    let report = run.result.unwrap();
    let step = report.steps.last().unwrap();
    assert_eq!(
        (step.step, &step.outcome, step.after.sonic),
        (Step::Sonic, &Outcome::Done, 10)
    );
    assert!(report.failed.is_empty());
    assert!(step.millis < 20_000, "{step:?}");
}

#[tokio::test]
async fn a_section_that_does_not_exist() {
    let server = Canned::start(|_| Answer::json(r#"{"MediaContainer":{}}"#)).await;
    let client = Client::new("worker", &Address::Http(server.base()), None).unwrap();
    let clock = Arc::new(ManualClock::new());
    let (plex, limits) = (Plex::new(QUIET, clock.clone()), limits());
    let indexer = Indexer {
        client: &client,
        server: &plex,
        counters: &plex,
        heard: &plex.heard,
        clock: &*clock,
        limits: &limits,
    };
    let result = indexer
        .section(3, &Wish::default(), async |_| Ok(()), &mut |_| ())
        .await;
    assert!(matches!(result, Err(Error::NoSection(3))));
}

/// Each fault, and how the section ends.
#[tokio::test]
async fn every_fault_ends_as_it_should() {
    const BUSY: &str = r#"{"uuid":"o","type":"general.db.optimize","title":"Optimizing Database","progress":-1}"#;
    const SONIC: &str = r#"{"uuid":"b","type":"media.generate.music.analysis","title":"Sonic","progress":5}"#;
    let sonic = Wish {
        analyse: true,
        sonic: true,
        ..Wish::default()
    };
    struct Fault {
        name: &'static str,
        script: Script,
        wish: Wish,
        /// The last step and a part of what is said of its outcome, or of the error.
        ends: &'static str,
        /// Seconds that it may take at most.
        within: u64,
    }
    let faults = [
        Fault {
            name: "the butler is busy with something else, and comes to Sonic after it",
            script: Script {
                activities: |act, second| match (act, second) {
                    (2, 0..50) => BUSY,
                    (2, 50..80) => SONIC,
                    _ => "",
                },
                sonic: |act, second| (if act == 2 { second.saturating_sub(50).min(10) } else { 0 }, 10),
                ..QUIET
            },
            wish: sonic.clone(),
            ends: "Sonic analysis: done",
            within: 90,
        },
        Fault {
            name: "the butler is busy with something else for good",
            script: Script {
                activities: |act, _| if act == 2 { BUSY } else { "" },
                sonic: |_, _| (0, 10),
                ..QUIET
            },
            wish: sonic.clone(),
            ends: "Sonic analysis: stalled: nothing moved for 1 min (Optimizing Database)",
            within: 80,
        },
        Fault {
            name: "the butler never begins",
            script: Script {
                sonic: |_, _| (0, 10),
                ..QUIET
            },
            wish: sonic.clone(),
            ends: "Sonic analysis: done",
            within: 20,
        },
        Fault {
            name: "an activity shows up a second late",
            script: Script {
                activities: |_, second| if (1..9).contains(&second) { SCANNING } else { "" },
                ..QUIET
            },
            wish: Wish::default(),
            ends: "scanning: done",
            within: 15,
        },
        Fault {
            name: "the scanner hangs without an activity",
            script: Script {
                scanners: |_, _| 1,
                ..QUIET
            },
            wish: Wish::default(),
            ends: "scanning: stalled: nothing moved for 1 min (1 scanner process)",
            within: 80,
        },
        Fault {
            name: "the database is locked for four looks",
            script: Script {
                activities: |_, second| if second < 20 { SCANNING } else { "" },
                files: |_, second| (!(5..9).contains(&second)).then_some(10),
                ..QUIET
            },
            wish: Wish::default(),
            ends: "scanning: done",
            within: 30,
        },
        Fault {
            name: "the database stays locked",
            script: Script {
                activities: |_, _| SCANNING,
                files: |_, second| (second < 5).then_some(10),
                ..QUIET
            },
            wish: Wish::default(),
            ends: "cannot count what is in Music",
            // Counting is not done at every look: it is not to become the work.
            within: 120,
        },
        Fault {
            name: "Plex is killed",
            script: Script {
                activities: |_, _| SCANNING,
                state: |_, second| {
                    if second < 5 {
                        State::Running
                    } else {
                        State::Crashed(Exit::of(137))
                    }
                },
                ..QUIET
            },
            wish: Wish::default(),
            ends: "the worker's Plex ended by signal 9",
            within: 10,
        },
    ];
    for fault in faults {
        let run = run(fault.script, fault.wish, None).await;
        let ended = match &run.result {
            Ok(report) => report
                .steps
                .last()
                .map(|step| format!("{}: {}", step.step, step.outcome))
                .unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        assert!(ended.contains(fault.ends), "{}: {ended}", fault.name);
        assert!(
            run.passed <= Duration::from_secs(fault.within),
            "{}: {:?}",
            fault.name,
            run.passed
        );
        if let Ok(report) = &run.result {
            assert!(
                report.steps.iter().all(|step| !step.evidence.is_empty()),
                "{}",
                fault.name
            );
        }
    }
}

/// A machine that slept for hours has not seen Plex stand still for hours.
#[tokio::test]
async fn a_clock_that_jumps_makes_no_stall() {
    let clock = Arc::new(ManualClock::new());
    let script = Script {
        activities: |_, second| if second < 7300 { SCANNING } else { "" },
        ..QUIET
    };
    let plex = Arc::new(Plex::new(script, clock.clone()));
    let inner = plex.clone();
    let server = Canned::start(
        move |request| match request.target.split('?').next().unwrap_or_default() {
            "/activities" => {
                let list = inner.now(inner.script.activities, QUIET.activities);
                Answer::json(format!(r#"{{"MediaContainer":{{"Activity":[{list}]}}}}"#))
            }
            "/library/sections" => Answer::json(
                r#"{"MediaContainer":{"Directory":[{"key":"3","type":"artist","title":"Music","refreshing":false}]}}"#,
            ),
            "/:/prefs/get" => {
                let name = request.target.rsplit('=').next().unwrap_or_default();
                Answer::json(format!(
                    r#"{{"MediaContainer":{{"Setting":[{{"id":"{name}","type":"bool","value":false}}]}}}}"#
                ))
            }
            _ => {
                inner.begin_act();
                Answer::new(200, "")
            }
        },
    )
    .await;
    let client = Client::new("worker", &Address::Http(server.base()), None).unwrap();
    let limits = Limits {
        scan: Duration::from_secs(4 * 3600),
        ..limits()
    };
    let indexer = Indexer {
        client: &client,
        server: &*plex,
        counters: &*plex,
        heard: &plex.heard,
        clock: &*clock,
        limits: &limits,
    };
    let mut jumped = false;
    let result = indexer
        .section(3, &Wish::default(), async |_| Ok(()), &mut |progress| {
            if progress.step == Step::Scan && !jumped {
                jumped = true;
                clock.advance(Duration::from_secs(2 * 3600));
            }
        })
        .await;
    let report = result.unwrap();
    // Two hours of sleep are no stall of a minute; a minute that is seen is.
    let outcome = &report.steps[0].outcome;
    assert!(matches!(outcome, Outcome::Stalled { seconds: 60, .. }), "{outcome:?}");
    assert!(clock.passed() >= Duration::from_secs(2 * 3600 + 60));
}
