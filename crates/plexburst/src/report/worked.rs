//! What workers did before: the rates that the next burst is estimated from.

use std::path::Path;

use serde_json::Value;

use super::{PhaseTime, Report};
use crate::burst::estimate::{Work, Worked};
use crate::burst::journal::{self, Entry};
use crate::burst::phase::Phase;
use crate::burst::store;
use crate::error::Result;

/// Of a burst whose journal has all of it; none of others.
pub(super) fn of(entries: &[Entry], before: &Value, after: &Value, times: &[PhaseTime]) -> Option<Worked> {
    let total = |of: &Value, what: &str| -> Option<u64> {
        let sections = of["sections"].as_array()?;
        Some(sections.iter().filter_map(|section| section[what].as_u64()).sum())
    };
    let more = |what: &str| Some(total(after, what)?.saturating_sub(total(before, what)?));
    let work = Phase::Work.to_string();
    let seconds = times.iter().find(|time| time.phase == work)?.seconds;
    let elsewhere = journal::done(entries, Phase::Equip).and_then(|facts| facts["cpus"].as_u64());
    let cpus = match elsewhere {
        Some(cpus) => u32::try_from(cpus).ok()?,
        None => u32::try_from(std::thread::available_parallelism().ok()?.get()).ok()?,
    };
    Some(Worked {
        work: Work {
            files: more("files")?,
            sonic: more("sonic_analysed")?,
        },
        cpus,
        seconds,
    })
}

/// What the reports of this machine's bursts tell, newest first.
///
/// # Errors
/// The folder with the bursts cannot be read.
pub fn earlier(state_dir: &Path) -> Result<Vec<Worked>> {
    // A burst that cannot be read, or has no report yet, tells nothing.
    let (mut bursts, _) = store::all(state_dir)?;
    bursts.sort_by_key(|burst| std::cmp::Reverse(burst.request.created_at));
    let reports = bursts.iter().filter_map(|burst| Report::load(&burst.dir).ok());
    Ok(reports.filter_map(|report| report.worked).collect())
}
