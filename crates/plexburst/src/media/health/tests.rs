//! The judge, told of looks at times of our own making.

use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::media::proof::{Outcome, Probed, Proof};

const LIMITS: Limits = Limits {
    probe: Duration::from_secs(20),
    interval: Duration::from_secs(15),
    dead: Duration::from_secs(60),
    slow: Duration::from_secs(1),
};

fn read(millis: u64) -> (Outcome, u64) {
    (Outcome::Read { bytes: 1, fresh: true }, millis)
}

fn cached() -> (Outcome, u64) {
    (Outcome::Read { bytes: 1, fresh: false }, 2)
}

fn broken() -> (Outcome, u64) {
    let reason = "Input/output error (os error 5)".to_owned();
    (Outcome::Unreadable { reason }, 40)
}

fn silent() -> (Outcome, u64) {
    (Outcome::TimedOut, 20_000)
}

fn evidence(files: &[(Outcome, u64)]) -> Evidence {
    let probed = |(number, (outcome, millis)): (usize, &(Outcome, u64))| Probed {
        file: PathBuf::from(format!("/Media/Music/{number}.flac")),
        outcome: outcome.clone(),
        millis: *millis,
        changed_at: None,
    };
    Evidence {
        roots: vec![RootEvidence {
            root: "/Media/Music".into(),
            proof: Proof {
                files: files.iter().enumerate().map(probed).collect(),
            },
            direct: Direct::default(),
        }],
        control: Some(true),
        bytes: Some(0),
        ..Evidence::default()
    }
}

/// The verdicts after looks that end every `seconds`.
fn verdicts(seconds: u64, looks: &[Evidence]) -> Vec<Verdict> {
    let (mut judge, begun) = (Judge::new(LIMITS), Instant::now());
    let at = |number: usize| begun + Duration::from_secs(seconds * number as u64);
    looks
        .iter()
        .enumerate()
        .map(|(number, look)| judge.hear(at(number), look).verdict.clone())
        .collect()
}

fn is_suspect(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Suspect { .. })
}

fn is_dead(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Dead { .. })
}

#[test]
fn fast_slow_and_a_file_that_cannot_be_read() {
    let looks = [
        evidence(&[read(3), read(40)]),
        evidence(&[read(3), read(25_000)]),
        evidence(&[read(3), read(4), broken()]),
    ];
    assert_eq!(
        verdicts(15, &looks),
        [Verdict::Healthy, Verdict::Slow, Verdict::Healthy]
    );
    let mut judge = Judge::new(LIMITS);
    let said = judge.hear(Instant::now(), &looks[2]).to_string();
    assert_eq!(
        said,
        "media healthy, 2 of 3 files read in 40 ms, /Media/Music/2.flac not read"
    );
}

#[test]
fn errors_are_death_only_after_a_while_and_several_looks() {
    let bad = evidence(&[broken(), broken()]);
    let judged = verdicts(10, &vec![bad.clone(); 7]);
    assert!(judged[..6].iter().all(is_suspect), "{judged:?}");
    assert!(is_dead(&judged[6]), "{judged:?}");
    // A minute between two looks is no evidence that nothing came meanwhile.
    let judged = verdicts(90, &vec![bad.clone(); 3]);
    assert!(is_suspect(&judged[1]) && is_dead(&judged[2]), "{judged:?}");
    let Verdict::Dead { why } = &judged[2] else {
        unreachable!()
    };
    assert!(
        why.contains("0 of 2 sampled files of /Media/Music") && why.contains("180 s"),
        "{why}"
    );
}

#[test]
fn one_good_look_begins_anew() {
    let (bad, good) = (evidence(&[silent(), silent()]), evidence(&[read(1), silent()]));
    let better = evidence(&[read(1), read(2), silent()]);
    let looks = [bad.clone(), bad.clone(), better, bad.clone(), bad.clone()];
    let judged = verdicts(40, &looks);
    assert!(judged[2].is_alive(), "{judged:?}");
    assert!(is_suspect(&judged[4]), "{judged:?}");
    // Half of them is not enough to call it well, nor is it forgotten.
    assert!(is_suspect(&verdicts(40, &[good])[0]));
}

#[test]
fn silence_while_bytes_are_under_way_is_slowness() {
    let looks: Vec<Evidence> = (0..60)
        .map(|number| Evidence {
            bytes: Some(1000 * number),
            ..evidence(&[silent(), silent()])
        })
        .collect();
    let judged = verdicts(30, &looks);
    // The first look has nothing to compare with.
    assert!(is_suspect(&judged[0]), "{judged:?}");
    assert!(
        judged[1..].iter().all(|verdict| *verdict == Verdict::Slow),
        "{judged:?}"
    );
    // Bytes do not excuse errors: a cache whose disk is full fetches and cannot keep.
    let looks: Vec<Evidence> = (0..4)
        .map(|number| Evidence {
            bytes: Some(1000 * number),
            is_full: true,
            ..evidence(&[broken()])
        })
        .collect();
    let judged = verdicts(30, &looks);
    assert!(
        matches!(&judged[2], Verdict::Dead { why } if why.contains("cache is full")),
        "{judged:?}"
    );
}

#[test]
fn an_hour_of_two_seconds_and_some_errors_is_never_even_suspect() {
    let mut state = 7_u64;
    let mut dice = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % limit
    };
    let looks: Vec<Evidence> = (0..240)
        .map(|_| {
            let files: Vec<_> = (0..4)
                .map(|_| {
                    if dice(100) == 0 {
                        broken()
                    } else {
                        read(2000 + dice(500))
                    }
                })
                .collect();
            evidence(&files)
        })
        .collect();
    assert!(verdicts(15, &looks).iter().all(|verdict| *verdict == Verdict::Slow));
}

#[test]
fn what_is_gone_is_dead_at_once_and_stays_so() {
    let ended = Evidence {
        ended: Some("ended by signal 9".into()),
        ..Evidence::default()
    };
    let good = evidence(&[read(1)]);
    let judged = verdicts(15, &[good.clone(), ended, good.clone()]);
    assert!(judged[0].is_alive() && is_dead(&judged[1]) && is_dead(&judged[2]));
    // Both the kernel's list and the files say it: one of them alone is not believed at once.
    let unmounted = |files: &[(Outcome, u64)]| Evidence {
        is_unmounted: true,
        ..evidence(files)
    };
    assert!(is_dead(&verdicts(1, &[unmounted(&[(Outcome::Missing, 1)])])[0]));
    assert!(verdicts(1, &[unmounted(&[read(1)])])[0].is_alive());
    let reason = "Transport endpoint is not connected (os error 107)".to_owned();
    let aborted = evidence(&[(Outcome::Unreadable { reason }, 1)]);
    assert!(is_dead(&verdicts(1, &[aborted])[0]));
}

#[test]
fn every_root_counts_and_a_cache_is_no_store() {
    let mut two = evidence(&[read(1), read(1), read(1)]);
    two.roots.push(RootEvidence {
        root: "/Media/Films".into(),
        ..evidence(&[broken()]).roots[0].clone()
    });
    let judged = verdicts(30, &[two.clone(), two.clone(), two]);
    assert!(
        matches!(&judged[2], Verdict::Dead { why } if why.contains("/Media/Films")),
        "{judged:?}"
    );
}

/// A look at files that the cache had, and at others; what the store said itself of one of either.
fn asked(
    files: &[(Outcome, u64)],
    read: Option<Result<Duration, String>>,
    failed: Option<Result<Duration, String>>,
) -> Evidence {
    let mut evidence = evidence(files);
    evidence.roots[0].direct = Direct { read, failed };
    evidence
}

#[test]
fn what_a_cache_holds_proves_nothing() {
    let gives = || Some(Ok(Duration::from_millis(30)));
    let refuses = || Some(Err("403".to_owned()));
    let dies = |look: Evidence| {
        let judged = verdicts(30, &vec![look; 4]);
        assert!(judged[..2].iter().all(is_suspect), "{judged:?}");
        let Verdict::Dead { why } = &judged[2] else {
            panic!("{judged:?}")
        };
        why.clone()
    };
    let lives = |look: Evidence| {
        let judged = verdicts(30, &vec![look; 4]);
        assert!(judged.iter().all(Verdict::is_alive), "{judged:?}");
    };
    // The cache has all that was sampled: the store decides, be it three of them or all.
    let why = dies(asked(&[cached(), cached()], refuses(), None));
    assert!(why.contains("from the cache alone") && why.contains("403"), "{why}");
    lives(asked(&[cached(), cached()], gives(), None));
    dies(asked(&[cached(), cached(), cached(), broken()], refuses(), refuses()));
    // Of the others none can be read: those files' own trouble where the store has them no more than the mount.
    lives(asked(&[cached(), cached(), cached(), broken()], gives(), refuses()));
    dies(asked(&[cached(), cached(), cached(), broken()], gives(), gives()));
    // What the cache has does not outvote what it has not.
    assert!(is_suspect(
        &verdicts(1, &[evidence(&[cached(), cached(), read(1), broken()])])[0]
    ));
    lives(evidence(&[cached(), read(1), read(1), broken()]));
    // A store that is asked directly may be slow as well: the mount gets its bytes meanwhile.
    let looks: Vec<Evidence> = (1..6)
        .map(|number| Evidence {
            bytes: Some(1000 * number),
            ..asked(&[cached()], refuses(), None)
        })
        .collect();
    let judged = verdicts(30, &looks);
    assert!(judged[1..].iter().all(Verdict::is_alive), "{judged:?}");
    // One root's bytes do not speak for another's.
    let mut two = evidence(&[read(1), read(1)]);
    two.roots.push(RootEvidence {
        root: "/Media/Films".into(),
        ..asked(&[cached()], refuses(), None).roots[0].clone()
    });
    assert!(dies(two).contains("/Media/Films"));
}
