//! Bursts of other machines, as the depot tells: what was asked for, where each stands, and the mailbox that ends one.

use super::journal::{self, Entry, Event};
use super::phase::Phase;
use super::request::Request;
use super::seat;
use super::spec::{Progress, key};
use super::store::{self, Standing};
use crate::depot::{Depot, Listed};
use crate::error::{Error, Result};

/// Key of what was asked for.
pub const REQUEST: &str = "controller/burst.json";

/// Key of the burst's own keys, which only the user's open.
pub const KEYS: &str = "controller/keys";

/// One burst as it stands in the depot.
#[derive(Debug)]
pub struct Elsewhere {
    /// What was asked for.
    pub request: Request,
    /// Who controls it.
    pub holder: Option<seat::Holder>,
    /// Where the controller's side stands.
    pub standing: Standing,
    /// The controller's journal.
    pub controller: Vec<Entry>,
    /// The worker's journal.
    pub worker: Vec<Entry>,
    /// What the worker does right now, or did last.
    pub progress: Option<Progress>,
}

impl Elsewhere {
    /// The last phase that the worker began, and what became of it.
    pub fn worker_text(&self) -> Option<String> {
        if journal::done(&self.worker, Phase::ParkResult).is_some() {
            return Some("the worker has parked its result".to_owned());
        }
        let last = self.worker.iter().rev().find(|e| e.event.is_transition())?;
        Some(match &last.event {
            Event::Failed { error, .. } => format!("the worker gave up in phase {}: {error}", last.phase),
            _ => format!("the worker is at phase {}", last.phase),
        })
    }
}

/// The ids of all bursts in a listing of the whole depot.
pub fn ids(listed: &[Listed]) -> Vec<String> {
    let mut ids: Vec<String> = listed
        .iter()
        .filter_map(|object| object.key.strip_suffix(&format!("/{REQUEST}")).map(str::to_owned))
        .collect();
    ids.sort();
    ids
}

/// The burst that `id` (or its beginning or end) means.
///
/// # Errors
/// None fits, or more than one.
pub async fn find(depot: &Depot, id: &str) -> Result<String> {
    let wanted = id.to_uppercase();
    let mut fits = ids(&depot.list_all().await?);
    fits.retain(|known| known.starts_with(&wanted) || known.ends_with(&wanted));
    match (fits.pop(), fits.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Error::usage(format!("more than one burst in the depot fits {id:?}"))),
        (None, _) => Err(Error::usage(format!(
            "no burst fits {id:?}, neither on this machine nor in the depot at {}",
            depot.name()
        ))
        .hint("`plexburst runs` lists the bursts that this machine knows, `plexburst depot` what is in the depot")),
    }
}

/// Reads where the burst `id` stands.
///
/// # Errors
/// The depot; keys that do not open it; no such burst.
pub async fn look(depot: &Depot, id: &str) -> Result<Elsewhere> {
    let depot = depot.beside(id);
    let request = depot
        .read(REQUEST)
        .await?
        .ok_or_else(|| Error::usage(format!("no burst {id} is in the depot at {}", depot.name())))?;
    let request = Request::parse(&request, &format!("{id}/{REQUEST} in the depot"))?;
    let holder = match seat::newest(&depot).await? {
        Some(name) => seat::holder(&depot, &name).await?,
        None => None,
    };
    let entries = entries_of_controller(&depot).await?;
    let progress = depot.read(key::WORKER_PROGRESS).await?;
    Ok(Elsewhere {
        request,
        holder,
        standing: store::standing(&entries),
        controller: entries,
        worker: entries_of_worker(&depot).await?,
        progress: progress.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
    })
}

/// The controller's journal as it is in the depot: of the newest seat that has one. Whoever has just taken a seat may not
/// have said anything yet.
///
/// # Errors
/// The depot.
pub async fn entries_of_controller(depot: &Depot) -> Result<Vec<Entry>> {
    for name in seat::all(depot).await?.iter().rev() {
        let entries = entries(depot, &seat::journal_of(name)).await?;
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

/// The worker's journal as it is in the depot.
///
/// # Errors
/// The depot.
pub async fn entries_of_worker(depot: &Depot) -> Result<Vec<Entry>> {
    entries(depot, key::WORKER_JOURNAL).await
}

async fn entries(depot: &Depot, key: &str) -> Result<Vec<Entry>> {
    let Some(bytes) = depot.read(key).await? else {
        return Ok(Vec::new());
    };
    bytes
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            if let Some(found) = super::version::newer(line, journal::VERSION) {
                let path = std::path::PathBuf::from(format!("{key} in the depot"));
                return Err(journal::JournalError::Newer { path, found }.into());
            }
            serde_json::from_slice(line)
                .map_err(|e| Error::unexpected(format!("cannot understand {key} in the depot")).because(e))
        })
        .collect()
}

/// A journal as it is put into the depot.
///
/// # Errors
/// Never in practice.
pub fn sealed(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut bytes, entry)
            .map_err(|e| Error::unexpected("cannot write down a journal for the depot").because(e))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// How a wish begins that another machine left; nothing else does.
const BY_ANOTHER: &str = "by another machine";

/// Leaves a wish in the burst's mailbox: [`key::CANCEL`] ends the worker early, so that the burst can go on from its last
/// checkpoint; [`key::WIND_UP`] has it park what it did as the result. `depot` is the burst's part with its own keys, since
/// the worker has no others.
///
/// # Errors
/// The depot.
pub async fn wish(depot: &Depot, word: &str) -> Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    let why = format!("{BY_ANOTHER} ({}), at {now}", seat::machine());
    depot.put_bytes(word, why.as_bytes()).await
}

/// Whether this is why another machine wants the burst to end. Then whatever was rented is to end as well.
pub fn is_by_another(why: &str) -> bool {
    why.starts_with(BY_ANOTHER)
}
