//! The list as a whole: every guard once, in the order in which a burst meets them, whoever asks and whenever. What is
//! looked at somewhere else or later says where and when.

use super::{Finding, Findings, Guard, Outcome};

/// Where and when a guard is looked at that cannot be looked at now.
pub(super) fn place(guard: Guard) -> &'static str {
    match guard {
        Guard::WorkerServer => "on the worker, before its Plex is started",
        Guard::LibrarySound => "at home, on the snapshot when it has been taken",
        Guard::SameVersion => "on the worker when its Plex is up, and at home before the swap",
        Guard::MountPossible => "on the worker, when it mounts the media",
        Guard::FileTimes => "on the worker, before each scan",
        Guard::MountProved => "on the worker, by reading files of each section before, during and after each scan",
        Guard::WorkerInvisible => "on the worker, before the first scan",
        Guard::NothingLost => "on the worker when its Plex is done, and at home after the merge and before the swap",
        Guard::HomeHealthy
        | Guard::HomeRights
        | Guard::SameSchema
        | Guard::FreeSpace
        | Guard::PlexPass
        | Guard::RootsExist
        | Guard::FilesFound
        | Guard::DeletingOff
        | Guard::SwapWaits => "when a burst begins",
    }
}

impl Finding {
    /// It is looked at elsewhere and later.
    pub(super) fn later(guard: Guard) -> Self {
        Self::new(guard, Outcome::Later, format!("looked at {}", place(guard)))
    }

    /// The same, with what is known now.
    pub(super) fn later_with(guard: Guard, known: &str) -> Self {
        Self::new(guard, Outcome::Later, format!("{known}; looked at {}", place(guard)))
    }
}

impl Findings {
    /// Every guard once and in order: `otherwise` says what became of one that nobody has looked at.
    pub(super) fn whole(mut self, otherwise: impl Fn(Guard) -> Finding) -> Self {
        for guard in Guard::ALL {
            if !self.0.iter().any(|finding| finding.guard == *guard) {
                self.0.push(otherwise(*guard));
            }
        }
        self.0.sort_by_key(|finding| finding.guard);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_and_in_order() {
        let mut some = Findings::default();
        some.add(Guard::FilesFound, Ok(Finding::passed(Guard::FilesFound, "all")));
        some.add(Guard::HomeHealthy, Ok(Finding::passed(Guard::HomeHealthy, "up")));
        let whole = some.whole(Finding::later);
        let guards: Vec<Guard> = whole.0.iter().map(|finding| finding.guard).collect();
        assert_eq!(guards, Guard::ALL);
        let count = |outcome| whole.0.iter().filter(|finding| finding.outcome == outcome).count();
        assert_eq!(
            (count(Outcome::Passed), count(Outcome::Later)),
            (2, Guard::ALL.len() - 2)
        );
        assert!(whole.check().is_ok());
    }
}
