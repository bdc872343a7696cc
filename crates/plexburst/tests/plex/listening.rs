//! The websocket of a running server, over the socket into its cell where there is one.

use std::sync::Arc;
use std::time::Duration;

use plexburst::clock::SystemClock;
use plexburst::plex::client::{Client, Token};
use plexburst::plex::listen::{Listener, News};
use plexburst::plex::runtime::Runtime;

use crate::indexing::Worker;

/// Generous: the machine may be busy.
const LONG: Duration = Duration::from_secs(180);

/// All that was heard until it is enough.
async fn until(listener: &Listener, what: &str, mut enough: impl FnMut(&News, u64) -> bool) -> (News, u64) {
    let waiting = async {
        let mut moves = 0;
        loop {
            let news = listener.heard().news();
            moves += news.moves;
            if enough(&news, moves) {
                return (news, moves);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(LONG, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

#[tokio::test]
async fn a_scan_is_heard_and_so_is_one_after_a_restart() {
    let mut worker = Worker::new("a_scan_is_heard_and_so_is_one_after_a_restart");
    worker.start().await;
    let listener = Listener::begin(&worker.client(), Arc::new(SystemClock));
    until(&listener, "the connection", |news, _| news.is_listening).await;
    let section = worker.create_section().await;
    // Its activity begins, moves and ends, and each of the three tracks tells of itself.
    let (_, moves) = until(&listener, "the scan", |_, moves| moves >= 5).await;
    assert!(moves >= 5);
    // What polls and listens itself reports it among its evidence.
    let report = worker.index(section, false).await;
    let evidence: Vec<&str> = report.steps.iter().map(|step| step.evidence.as_str()).collect();
    assert!(evidence.iter().any(|seen| seen.contains("heard")), "{evidence:?}");
    assert!(worker.server.stop(LONG).await.unwrap().clean);
    let (news, _) = until(&listener, "the end", |news, _| {
        !news.is_listening && news.why_not.is_some()
    })
    .await;
    assert!(news.why_not.is_some());
    worker.start().await;
    until(&listener, "the connection after the restart", |news, _| {
        news.is_listening
    })
    .await;
    worker.client().refresh(section, true, None).await.unwrap();
    let (news, _) = until(&listener, "the scan after the restart", |news, moves| {
        moves > 0 && news.last.is_some()
    })
    .await;
    assert!(news.to_string().contains("heard, the last of"), "{news}");
    drop(listener);

    // A claimed server wants a token that it knows.
    worker.claim().await;
    let known = Listener::begin(&worker.client(), Arc::new(SystemClock));
    until(&known, "the owner's connection", |news, _| news.is_listening).await;
    let stranger = Client::new("worker", &worker.server.address(), Some(&Token::new("not-a-token"))).unwrap();
    let stranger = Listener::begin(&stranger, Arc::new(SystemClock));
    let (news, _) = until(&stranger, "the refusal", |news, _| news.why_not.is_some()).await;
    assert!(!news.is_listening && news.to_string().contains("401"), "{news}");
    assert!(worker.server.stop(LONG).await.unwrap().clean);
}
