//! What is asked of Plex for each wish, and in which order.

use super::*;
use crate::config::PreferencesMode;

const FORCE: &str = "GET /library/sections/3/refresh?force=1";
const BEFORE: &str = "guard Before";

fn changing(run: &Run) -> Vec<&str> {
    run.calls.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn metadata_are_refreshed_between_the_scan_and_the_analysis() {
    let script = Script {
        activities: |act, second| if act < 3 && second < 20 { SCANNING } else { "" },
        sonic: |act, second| (if act == 3 { 9 + second.min(5) / 5 } else { 9 }, 10),
        ..QUIET
    };
    let wish = Wish {
        refresh: true,
        analyse: true,
        sonic: true,
        ..Wish::default()
    };
    let run = run(script, wish, None).await;
    let report = run.result.as_ref().unwrap();
    let steps: Vec<Step> = report.steps.iter().map(|step| step.step).collect();
    let expected = [Step::Scan, Step::Refresh, Step::Analyse, Step::Loudness, Step::Sonic];
    assert_eq!(steps, expected);
    assert_eq!(
        changing(&run)[..6],
        [BEFORE, SCAN, "guard After", BEFORE, FORCE, "guard Refreshed"]
    );
    // Each settles before the next begins.
    assert!(report.steps[..2].iter().all(|step| step.millis >= 20_000), "{report:?}");
    let shown = run.seen.iter().find(|progress| progress.step == Step::Refresh).unwrap();
    assert!(
        shown.to_string().starts_with("Music: refreshing all metadata, "),
        "{shown}"
    );
}

#[tokio::test]
async fn a_deep_scan_refreshes_and_is_not_followed_by_it() {
    let wish = Wish {
        deep: true,
        refresh: true,
        ..Wish::default()
    };
    let run = run(QUIET, wish, None).await;
    assert_eq!(run.result.as_ref().unwrap().steps.len(), 1);
    assert_eq!(changing(&run), [BEFORE, FORCE, "guard After"]);
}

#[tokio::test]
async fn a_refresh_that_stalls_is_the_last_step_and_not_noted_as_done() {
    let script = Script {
        activities: |act, _| if act == 2 { SCANNING } else { "" },
        ..QUIET
    };
    let wish = Wish {
        refresh: true,
        analyse: true,
        ..Wish::default()
    };
    let run = run(script, wish, None).await;
    let step = run.result.as_ref().unwrap().unfinished().unwrap();
    assert!(
        step.step == Step::Refresh && matches!(step.outcome, Outcome::Stalled { .. }),
        "{step:?}"
    );
    assert!(!run.calls.iter().any(|call| call == "guard Refreshed"));
    assert_eq!(run.calls.last().unwrap(), "DELETE /library/sections/3/refresh");
}

/// What is set while a section of music is analysed, by mode.
#[tokio::test]
async fn a_mode_is_on_from_the_scan_to_the_end_and_no_longer() {
    let script = Script {
        sonic: |act, _| (if act == 2 { 10 } else { 9 }, 10),
        ..QUIET
    };
    for mode in [PreferencesMode::Music, PreferencesMode::Everything] {
        let wish = Wish {
            analyse: true,
            sonic: true,
            allow: mode,
            ..Wish::default()
        };
        let run = run(script, wish, None).await;
        let report = run.result.as_ref().unwrap();
        assert!(report.unfinished().is_none(), "{report:?}");
        assert_eq!(report.allowed, ["LoudnessAnalysisBehavior", "MusicAnalysisBehavior"]);
        assert_eq!(
            changing(&run),
            [
                BEFORE,
                SCAN,
                "guard After",
                "PUT /:/prefs?LoudnessAnalysisBehavior=asap",
                "PUT /:/prefs?MusicAnalysisBehavior=asap",
                "POST /butler/MusicAnalysis",
                "PUT /:/prefs?LoudnessAnalysisBehavior=never",
                "PUT /:/prefs?MusicAnalysisBehavior=never",
            ]
        );
    }
}

/// Also when the analysis does not end well.
#[tokio::test]
async fn a_mode_is_taken_back_after_a_stall() {
    let script = Script {
        activities: |act, _| if act == 2 { SCANNING } else { "" },
        sonic: |_, _| (9, 10),
        ..QUIET
    };
    let wish = Wish {
        analyse: true,
        sonic: true,
        allow: PreferencesMode::Music,
        ..Wish::default()
    };
    let run = run(script, wish, None).await;
    assert!(run.result.as_ref().unwrap().unfinished().is_some());
    let last: Vec<&str> = changing(&run).into_iter().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "PUT /:/prefs?MusicAnalysisBehavior=never",
            "PUT /:/prefs?LoudnessAnalysisBehavior=never",
            "DELETE /butler/MusicAnalysis",
        ]
    );
}
