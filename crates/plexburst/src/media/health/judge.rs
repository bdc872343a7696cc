//! The verdict over several looks. Asks nobody and has no clock: what it is told is all there is.

use std::time::Instant;

use super::{Evidence, Health, Limits, RootEvidence, Verdict};

/// Looks in a row that must agree before silence is death.
const LOOKS: u32 = 3;
/// What the kernel says of a mount whose connection has ended, in words and by its number.
const ENDED: [&str; 2] = ["Transport endpoint is not connected", "os error 107"];

/// Hears one look after the other.
#[derive(Debug)]
pub struct Judge {
    limits: Limits,
    health: Health,
    /// Since when nothing came through, and how often in a row.
    bad: Option<(Instant, u32)>,
    last: Option<(Instant, Option<u64>)>,
}

/// What one look says by itself.
enum Look {
    Good,
    /// Wrong, and may pass.
    Bad(String),
    /// Wrong, and will not pass.
    Gone(String),
}

impl Judge {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            health: Health::default(),
            bad: None,
            last: None,
        }
    }

    /// Hears a look that was finished at `now`.
    pub fn hear(&mut self, now: Instant, evidence: &Evidence) -> &Health {
        let (then, before) = self.last.replace((now, evidence.bytes)).unzip();
        let moved = match (before.flatten(), evidence.bytes) {
            (Some(before), Some(bytes)) => bytes.saturating_sub(before),
            _ => 0,
        };
        let look = look(evidence, moved > 0);
        let verdict = match look {
            Look::Gone(why) => Verdict::Dead { why },
            Look::Good => {
                self.bad = None;
                if evidence.slowest() >= self.limits.slow {
                    Verdict::Slow
                } else {
                    Verdict::Healthy
                }
            }
            Look::Bad(why) => {
                let (since, looks) = self.bad.map_or((now, 1), |(since, looks)| (since, looks + 1));
                self.bad = Some((since, looks));
                let lasted = now.saturating_duration_since(since);
                if looks >= LOOKS && lasted >= self.limits.dead {
                    Verdict::Dead {
                        why: format!("{why}, for {} s", lasted.as_secs()),
                    }
                } else {
                    Verdict::Suspect { why }
                }
            }
        };
        // What is dead stays dead: another mount has another judge.
        if !matches!(self.health.verdict, Verdict::Dead { .. }) {
            self.health.verdict = verdict;
        }
        let seconds = then.map_or(0.0, |then| now.saturating_duration_since(then).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let throughput = (seconds > 0.0 && evidence.bytes.is_some()).then(|| moved as f64 / seconds);
        self.health.looks += 1;
        self.health.read = evidence.read();
        self.health.slowest = evidence.slowest();
        self.health.throughput = throughput;
        self.health.notes = notes(evidence);
        &self.health
    }
}

/// `moved`: bytes have come from the store since the look before.
fn look(evidence: &Evidence, moved: bool) -> Look {
    if let Some(how) = &evidence.ended {
        return Look::Gone(format!("the mount's process {how}"));
    }
    // A list of mounts that is read while others come and go is no proof alone; what can be read is there.
    if evidence.is_unmounted && evidence.read().0 == 0 {
        return Look::Gone("the mount is gone".to_owned());
    }
    for root in &evidence.roots {
        let Some(why) = wrong(root, moved) else { continue };
        if ENDED.iter().any(|words| why.contains(words)) {
            return Look::Gone(format!("its connection has ended ({})", root.root));
        }
        return Look::Bad(if evidence.is_full {
            format!("the disk of the mount's cache is full; {why}")
        } else if evidence.last_error.is_empty() {
            why
        } else {
            format!("{why}; rclone: {}", evidence.last_error)
        });
    }
    Look::Good
}

/// What is wrong with a root. Only what no cache had is evidence that the store can be read; a file or two that cannot be
/// are those files' trouble, which the guard after a scan sees to.
fn wrong(root: &RootEvidence, moved: bool) -> Option<String> {
    let ((read, of), fresh) = (root.read(), root.proof.fresh());
    let failed = of - read;
    // Bytes are under way: the store is slow, not silent.
    let mount = || {
        let (why, is_silent) = root.failure()?;
        let why = format!("{read} of {of} sampled files of {} read; {why}", root.root);
        (!is_silent || !moved).then_some(why)
    };
    if fresh > 0 || read == 0 {
        return if failed >= fresh { mount() } else { None };
    }
    // Whatever was read, the cache had it.
    match (&root.direct.read, &root.direct.failed) {
        (Some(Err(why)), _) if !moved => Some(format!(
            "{read} of {of} sampled files of {} read, from the cache alone, and the store does not answer: {why}",
            root.root
        )),
        // The store has what the mount does not give.
        (_, Some(Ok(_))) => mount(),
        _ => None,
    }
}

fn notes(evidence: &Evidence) -> Vec<String> {
    let mut notes = Vec::new();
    if evidence.control == Some(false) {
        notes.push("the mount's remote control does not answer".to_owned());
    }
    if evidence.is_full {
        notes.push("the disk of the mount's cache is full".to_owned());
    }
    let (read, of) = evidence.read();
    if read < of
        && let Some(file) = evidence.first_failure()
    {
        notes.push(format!("{} not read", file.display()));
    }
    notes
}
