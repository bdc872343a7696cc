//! Commands about bursts that exist: `runs`, `status`, `resume`.

use super::{Context, detach, print, print_json, sync};
use crate::burst::controller::{self, Controller};
use crate::burst::store::{self, Known, Standing};
use crate::burst::version;
use crate::error::Result;
use crate::exit;
use crate::term::Table;

/// Options of `runs`.
#[derive(Debug, clap::Args)]
pub(super) struct RunsArgs {
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Options of commands about one burst.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The burst, by its id or the beginning or end of it; default: the newest.
    pub(super) run: Option<String>,
    /// One JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `resume`.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Bring the result of a `--no-import` burst home.
    #[arg(long)]
    import: bool,
    /// Swap even while somebody streams from home.
    #[arg(long)]
    swap_now: bool,
    /// Let a result through that lost at most this many files.
    #[arg(long, value_name = "N")]
    accept_losses: Option<u64>,
    /// Let it go on by itself and come back at once.
    #[arg(long)]
    pub(super) detach: bool,
    /// This is the process that goes on by itself.
    #[arg(long, hide = true, conflicts_with = "detach")]
    by_itself: bool,
}

/// `runs`.
pub(super) fn runs(args: &RunsArgs, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let (known, errors) = store::all(&settings.state_dir)?;
    for error in errors {
        context.printer.warn(&error.chain());
    }
    if args.json {
        let list: Vec<_> = known.iter().map(describe).collect();
        print_json(&serde_json::json!({ "runs": list }))?;
        return Ok(exit::DONE);
    }
    if known.is_empty() {
        print("no bursts yet")?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&["burst", "begun", "from", "stands"]);
    for burst in &known {
        let begun = burst
            .request
            .created_at
            .to_zoned_datetime(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M");
        let stands = match &burst.standing {
            Standing::Resumable { phase, .. } => format!("resumable at {phase}"),
            other => other.word().to_owned(),
        };
        table.row([
            burst.request.id.clone(),
            begun.to_string(),
            burst.request.source.word().to_owned(),
            stands,
        ]);
    }
    print(&table.to_string())?;
    Ok(exit::DONE)
}

pub(super) fn describe(burst: &Known) -> serde_json::Value {
    serde_json::json!({
        "burst": burst.request.id,
        "begun": burst.request.created_at,
        "from": burst.request.source.word(),
        "stands": burst.standing.word(),
        "standing": burst.standing,
    })
}

/// `status`.
pub(super) async fn status(args: &RunArgs, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    if let Some(id) = super::elsewhere::shown_there(&settings, args.run.as_deref(), context).await? {
        return super::elsewhere::status(&settings, &id, args.json, context).await;
    }
    let burst = store::find(&settings.state_dir, args.run.as_deref())?;
    if args.json {
        print_json(&describe(&burst))?;
        return Ok(exit::DONE);
    }
    let text = match &burst.standing {
        Standing::Committed => format!("burst {} is committed", burst.request.id),
        Standing::RolledBack => format!("burst {} was rolled back; home is what it was", burst.request.id),
        Standing::Resumable { phase, error } => {
            let mut text = format!("burst {} stands at phase {phase}", burst.request.id);
            if let Some(error) = error {
                text.push_str(&format!("\n  {error}"));
            }
            text.push_str(&format!(
                "\n  `plexburst resume {id}` goes on, `plexburst cancel {id}` ends it with what is done",
                id = burst.request.id
            ));
            text
        }
    };
    print(&text)?;
    Ok(exit::DONE)
}

/// `resume`.
pub(super) async fn resume(args: ResumeArgs, context: &Context) -> Result<u8> {
    if args.by_itself {
        detach::leave_session();
    }
    let settings = context.settings()?;
    super::elsewhere::take_over(&settings, args.run.run.as_deref(), context).await?;
    let mut burst = store::find(&settings.state_dir, args.run.run.as_deref())?;
    if matches!(burst.standing, Standing::Resumable { .. }) {
        burst.request.options.no_import &= !args.import;
        burst.request.options.swap_now |= args.swap_now;
        if let Some(accepted) = args.accept_losses {
            burst.request.options.accept_losses = accepted;
        }
        burst.request.take_corrections(&settings.config);
        burst.request.save(&burst.dir)?;
        let program = version::unlike(burst.request.program.as_deref());
        context
            .printer
            .say(&format!("burst {} goes on{program}", burst.request.id));
    } else {
        let (id, word) = (&burst.request.id, burst.standing.word());
        context.printer.say(&format!("burst {id} has ended: {word}"));
    }
    if args.detach && matches!(burst.standing, Standing::Resumable { .. }) {
        return detach::let_go(&burst.request.id, &burst.dir, context, args.run.json).await;
    }
    let controller = Controller::resume(&burst.dir, context.printer.clone())?;
    if !controller.has_ended() {
        controller::go_on(&controller).await?;
    }
    sync::follow(&controller, context, args.run.json).await
}
