//! Who controls a burst. A machine that takes a burst over takes its seat in the depot, under a higher number than any
//! before; the one that had it finds out at its next look, and neither cancels, destroys nor clears anything any more.
//!
//! A seat is an object of its own that nobody replaces, so that two machines that take it at once are told apart in
//! every store: the higher name has it. What each of them says about the burst lies under its own seat's name.

use serde::{Deserialize, Serialize};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::exit;

const FOLDER: &str = "controller/seats";

/// What stands in a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's own name.
    pub machine: String,
    /// When it took the seat, by its clock.
    pub at: jiff::Timestamp,
}

/// The seat of this process.
#[derive(Debug)]
pub struct Seat {
    depot: Depot,
    name: String,
}

impl Seat {
    /// Takes the seat of the burst in `depot`. Whoever had it is fenced out from now on.
    ///
    /// # Errors
    /// The depot; somebody else took it at this very moment.
    pub async fn take(depot: &Depot) -> Result<Self> {
        let last = newest(depot).await?;
        let epoch = last.as_deref().and_then(epoch_of).unwrap_or(0) + 1;
        let seat = Self {
            depot: depot.clone(),
            name: format!("{epoch:08}-{}", ulid::Ulid::generate()),
        };
        let holder = Holder {
            machine: machine(),
            at: jiff::Timestamp::now(),
        };
        let text = serde_json::to_vec(&holder).map_err(|e| Error::unexpected("cannot write a seat").because(e))?;
        depot.put_bytes(&format!("{FOLDER}/{}", seat.name), &text).await?;
        seat.keep().await?;
        Ok(seat)
    }

    /// Its number.
    pub fn epoch(&self) -> u64 {
        epoch_of(&self.name).unwrap_or(0)
    }

    /// Key of this controller's journal in the depot.
    pub fn journal(&self) -> String {
        journal_of(&self.name)
    }

    /// Nobody else has taken it since.
    ///
    /// # Errors
    /// Somebody has: this process may not go on with the burst; the depot.
    pub async fn keep(&self) -> Result<()> {
        let Some(name) = newest(&self.depot).await? else {
            // The burst was cleared away, so it was ended by whoever took it over.
            return Err(replaced("it has ended"));
        };
        if name == self.name {
            return Ok(());
        }
        let by = match holder(&self.depot, &name).await {
            Ok(Some(holder)) => format!(
                "{} since {}",
                holder.machine,
                crate::clock::local(holder.at, "%Y-%m-%d %H:%M")
            ),
            _ => "another machine".to_owned(),
        };
        Err(replaced(&format!("it is controlled by {by}")))
    }
}

fn replaced(how: &str) -> Error {
    Error::new(exit::REFUSED, format!("this controller was replaced: {how}"))
        .hint("go on with the burst there; `plexburst status` with its id shows it")
}

/// The name of the seat that counts.
///
/// # Errors
/// The depot.
pub async fn newest(depot: &Depot) -> Result<Option<String>> {
    Ok(all(depot).await?.pop())
}

/// The names of all seats, the one that counts last.
///
/// # Errors
/// The depot.
pub async fn all(depot: &Depot) -> Result<Vec<String>> {
    let seats = depot.below(FOLDER).list().await?;
    let names = seats.iter().filter_map(|listed| listed.key.rsplit('/').next());
    let mut names: Vec<String> = names
        .filter(|name| epoch_of(name).is_some())
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}

/// Who has the seat `name`.
///
/// # Errors
/// The depot.
pub async fn holder(depot: &Depot, name: &str) -> Result<Option<Holder>> {
    let read = depot.read(&format!("{FOLDER}/{name}")).await?;
    Ok(read.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Key of the journal that the controller in the seat `name` keeps in the depot.
pub fn journal_of(name: &str) -> String {
    format!("controller/journal-{name}.jsonl")
}

fn epoch_of(name: &str) -> Option<u64> {
    name.split_once('-').and_then(|(number, _)| number.parse().ok())
}

/// What this machine calls itself.
pub(super) fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "a machine without a name".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::term::Printer;

    fn depot(dir: &std::path::Path) -> Depot {
        let config = config::Depot {
            directory: Some(dir.join("depot")),
            ..config::Depot::default()
        };
        Depot::of(&config, "B", &Printer::new(true)).unwrap()
    }

    #[tokio::test]
    async fn whoever_was_replaced_finds_out() {
        let dir = tempfile::tempdir().unwrap();
        let depot = depot(dir.path());
        let first = Seat::take(&depot).await.unwrap();
        first.keep().await.unwrap();
        let second = Seat::take(&depot).await.unwrap();
        assert_eq!((first.epoch(), second.epoch()), (1, 2));
        let e = first.keep().await.unwrap_err();
        assert_eq!(e.exit(), exit::REFUSED);
        assert!(e.chain().contains(&machine()), "{}", e.chain());
        second.keep().await.unwrap();
        assert_ne!(first.journal(), second.journal());
        depot.remove_all().await.unwrap();
        assert!(second.keep().await.unwrap_err().chain().contains("ended"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_that_take_it_at_once_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let depot = depot(dir.path());
                tokio::spawn(async move { Seat::take(&depot).await })
            })
            .collect();
        let mut seats = Vec::new();
        for task in tasks {
            // One that is overtaken while it takes the seat gives up at once.
            seats.extend(task.await.unwrap());
        }
        let mut holders = 0;
        for seat in &seats {
            holders += usize::from(seat.keep().await.is_ok());
        }
        assert_eq!(holders, 1, "of {} seats", seats.len());
    }
}
