//! The time to go and the end of Sonic analysis in a container, as `tests/plex` has them of a process.

use std::time::Duration;

use plexburst::clock::SystemClock;
use plexburst::plex::client::{NewSection, Pass, Token};
use plexburst::plex::preferences;
use plexburst::plex::ready;
use plexburst::plex::runtime::Runtime;
use sim::plextv::PlexTv;

use crate::common::skip;
use crate::daemon::Daemon;
use crate::eta;
use crate::faults::Case;

/// Generous: the machine may be busy.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_go_and_the_end_in_a_container() {
    const NAME: &str = "the_time_to_go_and_the_end_in_a_container";
    if std::env::var_os("PLEXBURST_SOAK").is_none() {
        return skip(NAME, "it takes minutes; PLEXBURST_SOAK=1 runs it");
    }
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => return skip(NAME, &why),
    };
    let image = daemon.image();
    let mut case = Case::new(&daemon, &image, "{}", 1024).await;
    let spec = sim::music::Spec {
        artists: 1,
        albums: 1,
        tracks: usize::try_from(eta::TRACKS).unwrap(),
        seconds: 2.0,
        seed: 7,
        ..Default::default()
    };
    sim::music::synthesise(&case.dir.path().join("media"), &spec).unwrap();
    case.server.start().await.unwrap();
    case.ready(&SystemClock, 900).await.unwrap();
    let client = case.client();
    let claim = PlexTv::at(&case.dir.path().join("plextv")).issue_claim(true).unwrap();
    client.claim(&Token::new(&claim)).await.unwrap();
    let limits = ready::Limits::of_total(LONG);
    let claimed = ready::wait_claimed(&SystemClock, &limits, &client, None, &mut |_| ()).await;
    assert!(claimed.unwrap().claimed);
    let pass = ready::wait_pass(&SystemClock, &limits, &client, None, &mut |_| ()).await;
    assert_eq!(pass.unwrap(), Pass::Active);
    preferences::forbid_deleting(&client).await.unwrap();
    preferences::quiet(&client, 12).await.unwrap();
    let new = NewSection {
        title: "Music".into(),
        kind: "artist".into(),
        agent: "tv.plex.agents.music".into(),
        scanner: "Plex Music".into(),
        language: "en-US".into(),
        locations: vec!["/Media/Music".into()],
    };
    let section = client.create_section(&new).await.unwrap();
    eta::measure(&client, &case.server, case.server.data_dir(), section).await;
    assert!(case.server.stop(LONG).await.unwrap().clean);
}
