//! Commands about bursts that this machine knows only through the depot: `status`, `cancel`, and what `attach`, `logs` and
//! `resume` need to find them.

use super::{Context, depot, print, print_json};
use crate::burst::spec::key;
use crate::burst::store::{self, Standing};
use crate::burst::{afar, elsewhere, takeover};
use crate::config::Settings;
use crate::error::Result;
use crate::exit;

/// The id of the burst that `run` means, when this machine does not know it and the depot does.
pub(super) async fn only_there(settings: &Settings, run: Option<&str>, context: &Context) -> Result<Option<String>> {
    let Some(run) = run else { return Ok(None) };
    if settings.config.depot.remote.is_none() || store::find(&settings.state_dir, Some(run)).is_ok() {
        return Ok(None);
    }
    elsewhere::find(&depot::open(settings, context)?, run).await.map(Some)
}

/// As [`only_there`], for commands that only look: without an id the newest burst of the depot is meant on a machine that
/// knows none itself.
pub(super) async fn shown_there(settings: &Settings, run: Option<&str>, context: &Context) -> Result<Option<String>> {
    let knows_one =
        || store::all(&settings.state_dir).is_ok_and(|(known, errors)| !known.is_empty() || !errors.is_empty());
    if run.is_some() || settings.config.depot.remote.is_none() || knows_one() {
        return only_there(settings, run, context).await;
    }
    let listed = depot::open(settings, context)?.list_all().await?;
    Ok(elsewhere::ids(&listed).pop())
}

/// `status` of a burst of another machine.
pub(super) async fn status(settings: &Settings, id: &str, json: bool, context: &Context) -> Result<u8> {
    let burst = elsewhere::look(&depot::open(settings, context)?, id).await?;
    let worker = burst.worker_text();
    if json {
        print_json(&serde_json::json!({
            "burst": id,
            "begun": burst.request.created_at,
            "stands": burst.standing.word(),
            "standing": burst.standing,
            "controller": burst.holder,
            "worker": worker,
            "progress": burst.progress,
        }))?;
        return Ok(exit::DONE);
    }
    let by = burst
        .holder
        .map_or_else(String::new, |holder| format!(", controlled by {}", holder.machine));
    let stands = match &burst.standing {
        Standing::Resumable { phase, .. } => format!("stands at phase {phase}"),
        other => other.word().to_owned(),
    };
    print(&format!("burst {id} {stands}{by}"))?;
    if let Some(worker) = worker {
        print(&format!("  {worker}"))?;
    }
    if let Some(progress) = burst.progress {
        let at = crate::clock::local(progress.at, "%Y-%m-%d %H:%M:%S");
        print(&format!("  last heard of it at {at}: {}", progress.text))?;
    }
    print(&format!(
        "  `plexburst attach {id}` shows it, `plexburst cancel {id}` ends its worker early; where home is, `plexburst resume {id}` \
         takes it over"
    ))?;
    Ok(exit::DONE)
}

/// `cancel` of a burst of another machine: a word in its mailbox, and the end of what was rented for it.
pub(super) async fn cancel(settings: &Settings, id: &str, args: &super::cancel::Args, context: &Context) -> Result<u8> {
    let depot = depot::open(settings, context)?;
    let word = if args.discard { key::CANCEL } else { key::WIND_UP };
    let outcome = afar::cancel(&depot, id, word, &settings.config, &context.printer).await?;
    context.printer.clear();
    if args.run.json {
        let name = word.rsplit('/').next().unwrap_or(word);
        print_json(&serde_json::json!({ "burst": id, "mailbox": name, "machine": outcome.word() }))?;
        return Ok(exit::DONE);
    }
    let then = if args.discard {
        format!(
            "where home is, `plexburst resume {id}` goes on after all, `plexburst cancel --discard {id}` takes everything back"
        )
    } else {
        format!(
            "the machine that controls it brings home what is done (`plexburst resume {id}` where home is, if nothing runs it now)"
        )
    };
    print(&format!(
        "told the worker of burst {id} to end; {}{then}",
        outcome.text()
    ))?;
    Ok(exit::DONE)
}

/// Takes over the burst `run` when only the depot knows it, so that this machine goes on with it.
pub(super) async fn take_over(settings: &Settings, run: Option<&str>, context: &Context) -> Result<()> {
    let Some(id) = only_there(settings, run, context).await? else {
        return Ok(());
    };
    let from = takeover::take_over(&depot::open(settings, context)?, &id, settings).await?;
    context
        .printer
        .say(&format!("burst {id} is taken over from {from}, which has lost it"));
    Ok(())
}
