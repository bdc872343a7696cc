//! What the server tells by itself, beside what it is asked.

use super::*;

/// A message about the scan, that far.
fn told(event: &str, progress: u64) -> String {
    format!(
        r#"{{"NotificationContainer":{{"type":"activity","size":1,"ActivityNotification":[{{"event":"{event}","uuid":"a",
        "Activity":{{"uuid":"a","type":"library.update.section","title":"Scanning Music","progress":{progress}}}}}]}}}}"#
    )
}

#[tokio::test]
async fn what_is_heard_to_move_is_no_stall() {
    let script = Script {
        activities: |_, second| if second < 300 { SCANNING } else { "" },
        // Once in forty seconds, where a stall is a minute.
        heard: |_, second| told("updated", second / 40),
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    let step = &run.result.unwrap().steps[0];
    assert_eq!(step.outcome, Outcome::Done);
    assert!(run.passed >= Duration::from_secs(300), "{:?}", run.passed);
    let words = |words: &str| run.seen.iter().any(|look| look.evidence.contains(words));
    assert!(
        words("1 notification heard, the last of Scanning Music 2 %"),
        "{:?}",
        run.seen.last()
    );
    assert!(words("no websocket yet"), "silence is said as what it is");
}

#[tokio::test]
async fn the_same_told_again_and_again_is_one() {
    let script = Script {
        activities: |_, _| SCANNING,
        heard: |_, _| told("updated", 7),
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    let outcome = run.result.unwrap().steps[0].outcome.clone();
    assert!(matches!(outcome, Outcome::Stalled { seconds: 60, .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_activity_that_is_heard_before_it_is_listed_is_waited_for() {
    let script = Script {
        activities: |_, second| if (30..40).contains(&second) { SCANNING } else { "" },
        heard: |_, second| match second {
            0..40 => told("updated", second),
            _ => told("ended", 100),
        },
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    assert_eq!(run.result.unwrap().steps[0].outcome, Outcome::Done);
    let took = run.passed.as_secs();
    // Not before it was listed; and its end is known as soon as without a websocket.
    assert!((40..48).contains(&took), "{took} s");
}

#[tokio::test]
async fn an_end_that_was_not_heard_holds_up_nothing() {
    let script = Script {
        activities: |_, second| if second < 20 { SCANNING } else { "" },
        heard: |_, second| told("updated", second.min(20)),
        ..QUIET
    };
    let run = run(script, Wish::default(), None).await;
    assert_eq!(run.result.unwrap().steps[0].outcome, Outcome::Done);
    assert!(run.passed.as_secs() < 30, "{:?}", run.passed);
}
