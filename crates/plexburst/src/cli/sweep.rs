//! `plexburst sweep`: finds and destroys what no live burst owns. Made for a timer as well: it asks nothing.

use std::collections::BTreeMap;

use super::{Context, print, print_json};
use crate::burst::{journal::Journal, ledger, store};
use crate::clock::SystemClock;
use crate::cloud::lease::Verdict;
use crate::cloud::lifecycle;
use crate::cloud::provider::{Ledger, Taken};
use crate::cloud::scaleway::{Client, Scaleway};
use crate::cloud::sweep::{self, Findings, Local};
use crate::cloud::{Kind, Resource};
use crate::config::{Settings, rented};
use crate::error::{Error, Result};
use crate::exit;

/// Options of `sweep`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Destroy what `--keep` kept, too.
    #[arg(long)]
    kept: bool,
    /// Only show what would be destroyed.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let account = rented::account(&settings.config.scaleway)?;
    let provider = Scaleway::new(Client::new(&account)?);
    let local = local(&settings, context)?;
    let mut findings = sweep::look(&provider, &local).await?;
    if args.kept {
        findings.doom_kept();
    }
    let doomed = findings.doomed().count();
    let strangers = provider.earlier_scripts().await;
    if !args.json {
        print(&text(&findings, &strangers, args.dry_run))?;
    }
    let outcome = if doomed > 0 && !args.dry_run {
        context.printer.phase("sweep", &format!("destroying {doomed} of them"));
        sweep::destroy(&provider, &findings, &Unwritten, &SystemClock, lifecycle::END).await
    } else {
        Ok(())
    };
    if args.json {
        print_json(&json(&findings, args.dry_run, outcome.is_ok()))?;
    }
    outcome?;
    if let Some((zone, error)) = findings.unanswered.into_iter().next() {
        return Err(Error::new(
            exit::MAYBE_BILLED,
            format!("{zone} did not answer, so what is there is not known"),
        )
        .hint("`plexburst sweep` again")
        .because(error));
    }
    if !args.dry_run && !args.json && doomed > 0 {
        print("nothing that had to go is left: Scaleway answers 404 for each of them")?;
    }
    Ok(exit::DONE)
}

/// How much of what bursts of this machine rented is there still; zones that do not answer count.
pub(super) async fn left(settings: &Settings, context: &Context) -> Result<usize> {
    let mut local = local(settings, context)?;
    local.retain(|_, burst| !burst.known.resources.is_empty() || !burst.known.open_intents.is_empty());
    if local.is_empty() {
        return Ok(0);
    }
    let account = rented::account(&settings.config.scaleway)?;
    let findings = sweep::look(&Scaleway::new(Client::new(&account)?), &local).await?;
    let ours = findings.found.iter().filter(|found| local.contains_key(&found.burst));
    Ok(ours.count() + findings.unanswered.len())
}

/// What the journals of this machine say of bursts that rented something.
fn local(settings: &Settings, context: &Context) -> Result<BTreeMap<String, Local>> {
    let (bursts, errors) = store::all(&settings.state_dir)?;
    for error in errors {
        context.printer.warn(&error.chain());
    }
    let mut local = BTreeMap::new();
    for burst in bursts {
        let path = store::journal_path(&burst.dir);
        if !path.exists() {
            continue;
        }
        let entries = Journal::read(&path).map_err(Error::from)?;
        let known = ledger::known(&entries);
        if known.zones.is_empty() {
            continue;
        }
        local.insert(
            burst.request.id.clone(),
            Local {
                has_ended: matches!(burst.standing, store::Standing::Committed | store::Standing::RolledBack),
                known,
            },
        );
    }
    Ok(local)
}

/// A sweep writes nothing down: what is there is looked up anew each time, and a journal may be another process's.
struct Unwritten;

impl Ledger for Unwritten {
    fn intend(&self, _: Kind, _: &str, _: Option<&Taken>) -> Result<()> {
        Ok(())
    }
    fn refused(&self, _: Kind, _: &str) -> Result<()> {
        Ok(())
    }
    fn learn(&self, _: &Resource) -> Result<()> {
        Ok(())
    }
    fn gone(&self, _: &Resource) -> Result<()> {
        Ok(())
    }
}

fn describe(verdict: &Verdict) -> (&'static str, String) {
    let hours = |left: &i64| format!("{} h {} min left", left / 3600, left % 3600 / 60);
    match verdict {
        Verdict::Alive { left } => ("alive", hours(left)),
        Verdict::Kept { left } => ("kept", hours(left)),
        Verdict::Destroy(reason) => ("destroy", reason.to_string()),
    }
}

fn text(findings: &Findings, strangers: &[Resource], dry_run: bool) -> String {
    let mut lines = Vec::new();
    for found in &findings.found {
        let (word, why) = describe(&found.verdict);
        let word = if dry_run && word == "destroy" { "would go" } else { word };
        lines.push(format!("{word:9} {} of burst {}: {why}", found.resource, found.burst));
    }
    for (zone, error) in &findings.unanswered {
        lines.push(format!("unknown   {zone}: {}", error.chain()));
    }
    for resource in strangers {
        lines.push(format!(
            "left      {resource}: looks like one of the earlier scripts'; it is billed, and not touched unasked"
        ));
    }
    if lines.is_empty() {
        lines.push("nothing of plexburst's is at Scaleway".to_owned());
    }
    lines.join("\n")
}

fn json(findings: &Findings, dry_run: bool, is_gone: bool) -> serde_json::Value {
    let found: Vec<_> = findings
        .found
        .iter()
        .map(|found| {
            let (word, why) = describe(&found.verdict);
            serde_json::json!({
                "burst": found.burst, "kind": found.resource.kind, "id": found.resource.id,
                "zone": found.resource.zone, "verdict": word, "why": why,
            })
        })
        .collect();
    let unanswered: Vec<_> = findings
        .unanswered
        .iter()
        .map(|(zone, error)| serde_json::json!({"zone": zone, "error": error.chain()}))
        .collect();
    serde_json::json!({"found": found, "unanswered": unanswered, "dry_run": dry_run, "gone": is_gone && !dry_run})
}
