//! The whole Sonic path on real audio, whichever way the server is run: how wrong the time to go was at each third, and how
//! soon the end was known.

#![allow(clippy::print_stdout, reason = "how wrong it was is what is measured")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plex_library::Databases;
use plexburst::clock::SystemClock;
use plexburst::plex::client::Client;
use plexburst::plex::index::{DatabaseCounters, Indexer, Limits, Moment, Observed, Progress, Step, Wish};
use plexburst::plex::listen::Listener;

/// Tracks of the section.
pub(crate) const TRACKS: u64 = 18;
const LIMIT: Duration = Duration::from_secs(1800);

/// Whether minutes are to be spent, so that the thirds are looks apart.
fn is_soak() -> bool {
    std::env::var_os("PLEXBURST_SOAK").is_some()
}

/// Between two looks.
fn interval() -> Duration {
    Duration::from_millis(if is_soak() { 1000 } else { 200 })
}

/// Indexes `section`, which has [`TRACKS`] tracks and none analysed; `data` is the server's folder.
pub(crate) async fn measure(client: &Client, server: &dyn Observed, data: &Path, section: i64) {
    let delay = if is_soak() { 12_000 } else { 400 };
    let slow = data.join("sim.json");
    let mut looks: Vec<Progress> = Vec::new();
    let mut seen = |progress: &Progress| {
        if progress.step == Step::Loudness && looks.iter().all(|look| look.step != Step::Loudness) {
            // Read by the next analyser that is begun: Sonic's.
            std::fs::write(&slow, format!(r#"{{"analysis_delay_ms": {delay}}}"#)).unwrap();
        }
        looks.push(progress.clone());
    };
    let counters = DatabaseCounters::new(Databases::at(data.join("Plug-in Support/Databases")));
    let limits = Limits {
        grace: Duration::from_millis(1500),
        scan: LIMIT,
        analyse: LIMIT,
        sonic: LIMIT,
        ..Limits::local().looking(interval(), 100_000)
    };
    let listener = Listener::begin(client, Arc::new(SystemClock));
    let indexer = Indexer {
        client,
        server,
        counters: &counters,
        heard: listener.heard(),
        clock: &SystemClock,
        limits: &limits,
    };
    let wish = Wish {
        analyse: true,
        sonic: true,
        ..Wish::default()
    };
    let guard = async |_: Moment| Ok(());
    let report = indexer.section(section, &wish, guard, &mut seen).await.unwrap();
    assert_eq!(report.after().sonic, TRACKS, "{report:?}");
    looks.retain(|look| look.step == Step::Sonic);
    let done = |look: &Progress| look.share.map_or(0, |(done, _)| done);
    let ended = looks.iter().position(|look| done(look) == TRACKS);
    // The last look is the one that ends the step, and is told nobody; it may be the one that saw the last track.
    let over = ended.map_or(report.steps.last().unwrap().millis, |at| {
        u64::try_from(looks[at].elapsed.as_millis()).unwrap()
    });
    for third in 1..=2 {
        let look = looks.iter().find(|look| done(look) >= TRACKS * third / 3);
        let told = look.and_then(|look| Some((look.elapsed, look.remaining()?)));
        let Some((elapsed, (soonest, latest))) = told.filter(|(elapsed, _)| elapsed.as_millis() < u128::from(over))
        else {
            println!("at {third}/3: over before it was counted, or nothing could be told");
            continue;
        };
        assert!(soonest <= latest);
        let left = Duration::from_millis(over).saturating_sub(elapsed).as_secs_f64();
        let told = (soonest + latest).as_secs_f64() / 2.0;
        let error = (told - left).abs() / left.max(interval().as_secs_f64());
        println!(
            "at {third}/3: {:.1} to {:.1} s to go, {left:.1} s were left: {:.0} % wrong in the middle",
            soonest.as_secs_f64(),
            latest.as_secs_f64(),
            error * 100.0
        );
        // What was counted may be a fiftieth of the time old, and a loaded machine changes its pace; nonsense is more.
        assert!(error < 3.0 || left < 10.0, "{told} told, {left} left");
    }
    // Two looks in a row at which nobody is at work end the step, and the second of them is told nobody.
    let settling = ended.map_or(0, |at| looks.len() - at);
    let late = report.steps.last().unwrap().millis.saturating_sub(over);
    println!("{settling} looks after the last track until the end was known, {late} ms");
    // How long a process that has done its last track lives on is the machine's affair, unless it does nothing else.
    assert!(settling <= 2 || !is_soak(), "the end was known {settling} looks late");
}
