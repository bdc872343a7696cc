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

const FOLDERS: [&str; 2] = ["/m/A & B/Übung", "/m/100 %"];

fn folders(new: u64) -> Wish {
    Wish {
        folders: FOLDERS.map(str::to_owned).to_vec(),
        new: (1..=new).map(|number| number.to_string()).collect(),
        ..Wish::default()
    }
}

#[tokio::test]
async fn new_folders_are_enough_when_every_new_file_was_found() {
    let script = Script {
        activities: |_, second| if second < 20 { SCANNING } else { "" },
        files: |act, second| Some(if act == 2 && second > 10 { 13 } else { 10 }),
        ..QUIET
    };
    let run = run(script, folders(13), None).await;
    let report = run.result.as_ref().unwrap();
    let steps: Vec<(Step, u64)> = report.steps.iter().map(|step| (step.step, step.after.files)).collect();
    assert_eq!(steps, [(Step::Folders, 13)]);
    assert_eq!(
        changing(&run),
        [
            BEFORE,
            "GET /library/sections/3/refresh?path=%2Fm%2FA%20%26%20B%2F%C3%9Cbung",
            "GET /library/sections/3/refresh?path=%2Fm%2F100%20%25",
            "guard After",
        ]
    );
    assert!(
        report.decisions[0].starts_with("all 13 new files were found"),
        "{report:?}"
    );
    assert!(
        run.seen
            .iter()
            .any(|progress| progress.to_string().starts_with("Music: scanning new folders, "))
    );
}

#[tokio::test]
async fn the_whole_section_is_scanned_when_a_new_file_was_not_found() {
    let run = run(QUIET, folders(12), None).await;
    let report = run.result.as_ref().unwrap();
    let steps: Vec<Step> = report.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [Step::Folders, Step::Scan]);
    let calls = changing(&run);
    // Nobody believes the first of the two scans.
    assert_eq!(calls[calls.len() - 3..], [BEFORE, SCAN, "guard After"]);
    assert_eq!(calls.iter().filter(|call| **call == "guard After").count(), 1);
    assert!(
        report.decisions[0].starts_with("2 of 12 new files were not found"),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_deep_scan_is_always_of_the_whole_section() {
    let wish = Wish {
        deep: true,
        ..folders(1)
    };
    let run = run(QUIET, wish, None).await;
    assert_eq!(changing(&run), [BEFORE, FORCE, "guard After"]);
}

#[tokio::test]
async fn what_one_witness_denies_is_done_again_and_told() {
    let script = Script {
        silent: |act, _| if act == 1 { 3 } else { 0 },
        ..QUIET
    };
    // The analysis is asked for by a call that begins no act here: the files stay without streams.
    let wish = Wish {
        analyse: true,
        ..Wish::default()
    };
    let run = run(script, wish, None).await;
    let report = run.result.as_ref().unwrap();
    let analysed = report.steps.iter().find(|step| step.step == Step::Analyse).unwrap();
    assert_eq!(analysed.outcome, Outcome::Done);
    assert!(run.calls.contains(&"PUT /library/sections/3/analyze".to_owned()));
    let said =
        "analysed: not complete, its witnesses differ: versions of the analysis 10 of 10, files with streams 7 of 10";
    assert_eq!(report.decisions, [format!("{said}; it is done again")]);
    let kind = report.kinds.iter().find(|one| one.kind == Kind::Analysed).unwrap();
    assert_eq!(kind.to_string(), said);
    // What all agree on is not begun.
    let loudness = report.steps.iter().find(|step| step.step == Step::Loudness).unwrap();
    assert_eq!(loudness.outcome, Outcome::Complete { of: 10 });
}

#[tokio::test]
async fn a_plex_that_answers_with_other_items_than_its_library_has_is_told() {
    let script = Script {
        more: |_, _| 2,
        ..QUIET
    };
    let report = run(script, Wish::default(), None).await.result.unwrap();
    let scanned = &report.kinds[0];
    assert!(scanned.kind == Kind::Scanned && scanned.is_disputed(), "{scanned}");
    let report = run(QUIET, Wish::default(), None).await.result.unwrap();
    assert!(report.kinds[0].is_complete(), "{}", report.kinds[0]);
}
