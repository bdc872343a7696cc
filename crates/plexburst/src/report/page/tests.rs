//! The page of a burst in which everything happened.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use serde_json::json;

use super::*;
use crate::burst::spec::Sample;
use crate::report::PhaseTime;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn report() -> Report {
    let section = |tracks, sonic| json!({"sections": [{"id": 1, "name": "Music & <b>more</b>", "counts": {"tracks": tracks, "artists": 2}, "sonic_analysed": sonic}]});
    Report {
        worked: None,
        burst: "01M8AD0Y1YVGBZEX7HABHM154Z".into(),
        outcome: Outcome::Committed,
        before: section(8, 0),
        after: section(16, 14),
        bytes_up: 1 << 20,
        bytes_down: 1 << 15,
        home_downtime_ms: 1900,
        merge: json!({
            "carried": {"metadata_item_views": {"inserted": 2, "updated": 1, "deleted": 0}},
            "same_files": [1, 2],
            "placed_by_plex": 4,
            "kept_aside": [{"table": "metadata_items", "id": 5, "what": "playlist \"Mine\"", "why": "no order", "remedy": "it is made again"}],
        }),
        warnings: vec!["<script>alert(1)</script> could not be read".into()],
        failed_tracks: (0..25).map(|n| format!("/Media/Music/{n}.flac")).collect(),
        bytes_saved_up: 0,
        bytes_saved_down: 1 << 30,
        cost: Some("EUR 0.20".into()),
        samples: (0..60)
            .map(|n| Sample {
                at: at(n * 60),
                section: 1,
                step: "Sonic analysis".into(),
                analysed: u64::try_from(n).unwrap(),
                sonic: u64::try_from(n / 2).unwrap(),
                cpu: Some(90.0),
                throughput: None,
                answer_ms: 12,
            })
            .collect(),
        post_mortem: super::super::PostMortem::default(),
        phases: vec![
            PhaseTime {
                phase: "snapshot".into(),
                begun: Some(at(0)),
                seconds: 60.0,
            },
            PhaseTime {
                phase: "work".into(),
                begun: Some(at(60)),
                seconds: 3540.0,
            },
        ],
        error: None,
    }
}

#[test]
fn everything_is_on_the_page_and_nothing_is_loaded_from_elsewhere() {
    let page = report().to_html();
    for part in [
        "committed",
        "went up",
        "EUR 0.20",
        "metadata_item_views",
        "playlist &quot;Mine&quot;: no order: it is made again",
        "2 files were found by home as well",
        "left:1.67%;width:98.33%",
        "4 rows stand among the titles where home's Plex SQLite says",
        "Tracks with Sonic data",
        "Not analysed",
        "5 more",
        "+8",
    ] {
        assert!(page.contains(part), "{part} is not in: {page}");
    }
    // No plot of what nothing told.
    assert!(!page.contains("Read through the mount"));
    for foreign in ["http://", "https://", "<script", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn names_cannot_become_markup() {
    let page = report().to_html();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; could not be read"));
    assert!(page.contains("Music &amp; &lt;b&gt;more&lt;/b&gt;"));
}

#[test]
fn a_burst_that_failed_early_has_a_page_too() {
    let report = Report {
        outcome: Outcome::Failed,
        before: Value::Null,
        after: Value::Null,
        merge: Value::Null,
        samples: vec![],
        post_mortem: super::super::PostMortem::default(),
        phases: vec![],
        warnings: vec![],
        failed_tracks: vec![],
        cost: None,
        error: Some("prepare: home does not answer".into()),
        ..report()
    };
    let page = report.to_html();
    assert!(page.contains("failed, home is what it was") && page.contains("home does not answer"));
    assert!(!page.contains("NaN"), "{page}");
}
