//! The guards: every check that stops a burst before it can do harm, in one list with one outcome each.
//!
//! [`before`] holds what must be true before anything is taken; `doctor` and `plan` show the same list that a burst stops
//! at, with the guards in it that only the worker can look at. Guards of later moments make a [`Finding`] too, so that each is told, noted and refused in the same words.
//! Must not: change anything, or pass when it could not look.

pub mod before;
mod list;
pub mod losses;
mod media;
pub(crate) mod rights;
mod server;
pub mod survey;

pub(crate) use media::{OnMount, times_on_mount};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::exit;

/// How many names a message holds; findings have more.
const NAMED: usize = 5;

macro_rules! guards {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One guard, by its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Guard {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Guard {
            /// All of them, in the order in which a burst meets them.
            pub const ALL: &[Guard] = &[$(Guard::$variant,)*];

            /// Its name, as journals, JSON and tables have it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Guard::$variant => $name,)*
                }
            }
        }
    };
}

guards! {
    /// Home's server answers, accepts the token, and can be stopped and started.
    HomeHealthy = "home-healthy",
    /// This user may write beside home's databases as their owner, and stop and start the server.
    HomeRights = "home-rights",
    /// Home's databases are not damaged.
    LibrarySound = "library-sound",
    /// There is a server for the worker.
    WorkerServer = "worker-server",
    /// The worker runs home's version of Plex.
    SameVersion = "same-version",
    /// Both sides' databases went through the same migrations.
    SameSchema = "same-schema",
    /// Every disk has room for what a burst puts on it.
    FreeSpace = "free-space",
    /// With Sonic analysis there is a Plex Pass, and a claim that the worker gets it by.
    PlexPass = "plex-pass",
    /// What can mount the media is installed.
    MountPossible = "mount-possible",
    /// Every root of every section is in the media.
    RootsExist = "roots-exist",
    /// What the library knows is in the media.
    FilesFound = "files-found",
    /// The media's times are those that the library knows.
    FileTimes = "file-times",
    /// Preferences that delete are off.
    DeletingOff = "deleting-off",
    /// Real bytes were read through the mount.
    MountProved = "mount-proved",
    /// The household sees nothing of the worker.
    WorkerInvisible = "worker-invisible",
    /// Nothing that home knew is lost from the result.
    NothingLost = "nothing-lost",
    /// Nobody streams when home is swapped.
    SwapWaits = "swap-waits",
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What became of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It holds well enough to go on, and the user should know.
    Warned,
    /// The burst stops here.
    Refused,
    /// There is nothing to check.
    NotApplicable,
    /// It is looked at elsewhere and later: the evidence says where and when.
    Later,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Refused => "REFUSED",
            Self::NotApplicable => "-",
            Self::Later => "later",
        })
    }
}

/// One guard's outcome with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which guard.
    pub guard: Guard,
    /// What became of it.
    pub outcome: Outcome,
    /// What was seen.
    pub evidence: String,
    /// What to do; always there when it refused.
    pub hint: Option<String>,
    /// The exit code of a refusal.
    pub exit: u8,
}

impl Finding {
    fn new(guard: Guard, outcome: Outcome, evidence: impl Into<String>) -> Self {
        Self {
            guard,
            outcome,
            evidence: evidence.into(),
            hint: None,
            exit: exit::REFUSED,
        }
    }

    /// It holds.
    pub fn passed(guard: Guard, evidence: impl Into<String>) -> Self {
        Self::new(guard, Outcome::Passed, evidence)
    }

    /// It holds well enough.
    pub fn warned(guard: Guard, evidence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..Self::new(guard, Outcome::Warned, evidence)
        }
    }

    /// It does not hold.
    pub fn refused(guard: Guard, evidence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..Self::new(guard, Outcome::Refused, evidence)
        }
    }

    /// There is nothing to check.
    pub fn not_applicable(guard: Guard, why: impl Into<String>) -> Self {
        Self::new(guard, Outcome::NotApplicable, why)
    }

    /// It could not be looked, which refuses as well.
    pub fn failed(guard: Guard, error: &Error) -> Self {
        Self {
            hint: error.hint_text().map(str::to_owned),
            exit: error.exit(),
            ..Self::new(guard, Outcome::Refused, error.chain())
        }
    }

    /// The refusal as an error, or nothing.
    ///
    /// # Errors
    /// It refused.
    pub fn check(&self) -> Result<()> {
        match self.outcome {
            Outcome::Refused => Err(self.error()),
            Outcome::Passed | Outcome::Warned | Outcome::NotApplicable | Outcome::Later => Ok(()),
        }
    }

    /// The refusal as an error.
    pub fn error(&self) -> Error {
        let error = Error::new(self.exit, self.evidence.clone());
        match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    }

    /// One line for a person: outcome, guard, evidence.
    pub fn line(&self) -> String {
        format!("{:<8} {:<16} {}", self.outcome, self.guard, self.evidence)
    }
}

/// All findings of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds what a check came to.
    pub fn add(&mut self, guard: Guard, finding: Result<Finding>) {
        self.0
            .push(finding.unwrap_or_else(|error| Finding::failed(guard, &error)));
    }

    /// All refusals as one error: it names each of them and has the exit code of the first.
    ///
    /// # Errors
    /// One of them refused.
    pub fn check(&self) -> Result<()> {
        let refused: Vec<&Finding> = self.0.iter().filter(|f| f.outcome == Outcome::Refused).collect();
        let Some(first) = refused.first() else {
            return Ok(());
        };
        let join = |texts: Vec<&str>| texts.join("; ");
        let evidence = join(refused.iter().map(|f| f.evidence.as_str()).collect());
        let hints = join(refused.iter().filter_map(|f| f.hint.as_deref()).collect());
        let error = Error::new(first.exit, evidence);
        Err(if hints.is_empty() { error } else { error.hint(hints) })
    }

    /// Those that warned, for the report.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|f| f.outcome == Outcome::Warned).map(|f| {
            let hint = f.hint.as_deref().unwrap_or_default();
            format!("{}: {} ({hint})", f.guard, f.evidence)
        })
    }
}

/// Some names, and how many more there are.
fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let mut text = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if count > NAMED {
        text.push_str(&format!(", and {} more", count - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_one_error_that_names_each() {
        let mut findings = Findings::default();
        findings.add(Guard::FreeSpace, Ok(Finding::passed(Guard::FreeSpace, "5 GiB free")));
        assert!(findings.check().is_ok());
        findings.add(
            Guard::RootsExist,
            Ok(Finding::refused(Guard::RootsExist, "no /tv", "add it to `media.roots`")),
        );
        findings.add(Guard::FilesFound, Err(Error::failed("no bucket").hint("make one")));
        let error = findings.check().unwrap_err();
        assert_eq!(
            (error.exit(), error.chain().as_str()),
            (exit::REFUSED, "no /tv; no bucket")
        );
        assert_eq!(error.hint_text(), Some("add it to `media.roots`; make one"));
        let json = serde_json::to_string(&findings).unwrap();
        assert!(
            json.contains("\"roots-exist\"") && json.contains("\"refused\""),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Findings>(&json).unwrap(), findings);
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<&str> = Guard::ALL.iter().map(|guard| guard.name()).collect();
        assert_eq!(names.len(), Guard::ALL.len());
        assert_eq!(some(["a", "b"].into_iter()), "a, b");
        assert_eq!(some(["a"; 7].into_iter()), "a, a, a, a, a, and 2 more");
    }
}
