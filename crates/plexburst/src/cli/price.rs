//! What a rented machine will cost, shown before anything is spent, and the question whether that is agreed.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Context, confirm, plan};
use crate::burst::estimate::Span;
use crate::burst::quote::{self, CANNOT_END_ITSELF, Choice, Quote};
use crate::burst::request::Options;
use crate::cloud::price::Euros;
use crate::cloud::scaleway::{Client, Scaleway};
use crate::config::{Settings, rented};
use crate::error::Result;
use crate::report;
use crate::term::{Table, duration};

/// An archive is so many times smaller than the library in it (facts: legacy §3: 15 GB came as 5).
const PACKED: u64 = 4;

/// Works it out for a live home that was looked at.
pub(super) async fn of_home(settings: &Settings, options: &Options, looked: &plan::Looked) -> Result<Quote> {
    let library = &looked.library;
    let work = looked.survey.as_ref().map(|survey| {
        quote::work(
            survey,
            &library.before,
            &library.sections,
            &library.selected,
            options.quick,
        )
    });
    of(settings, options, looked.library_bytes, work).await
}

async fn of(
    settings: &Settings,
    options: &Options,
    library_bytes: u64,
    work: Option<crate::burst::estimate::Work>,
) -> Result<Quote> {
    let account = rented::account(&settings.config.scaleway)?;
    let provider = Scaleway::new(Client::new(&account)?);
    let earlier = report::earlier(&settings.state_dir)?;
    quote::quote(&provider, &settings.config, options, library_bytes, work, &earlier).await
}

/// Shows what would be spent and comes back when that is agreed: by `-y`, by a limit in `--max-cost` or the configuration, or
/// by an answer. `archive`: the library comes from there.
pub(super) async fn agree(
    settings: &Settings,
    options: &Options,
    archive: Option<&std::path::Path>,
    yes: bool,
    context: &Context,
) -> Result<()> {
    let quote = match archive {
        Some(path) => {
            let packed = std::fs::metadata(path).map_or(0, |meta| meta.len());
            of(settings, options, packed.saturating_mul(PACKED), None).await?
        }
        None => of_home(settings, options, &plan::look(settings, options, context).await?).await?,
    };
    context.printer.clear();
    for line in text(&quote).lines() {
        context.printer.say(line);
    }
    let limit = options.max_cost.or(settings.config.scaleway.max_cost);
    confirm::confirm_or(
        &format!("Rent it, for {} at most?", Euros(quote.eur_at_most)),
        yes || limit.is_some(),
        "give -y to agree beforehand, or --max-cost EUR to agree up to that",
        context,
    )
}

/// For a person.
pub(super) fn text(quote: &Quote) -> String {
    let mut text = String::new();
    let first = &quote.first;
    let _ = writeln!(
        text,
        "a rented machine: {} in {} ({} vCPUs, {} GB, {}), {} an hour without VAT ({})",
        first.commercial_type,
        first.zone,
        first.cpus,
        first.volume_gb,
        first.stock,
        Euros(first.eur_per_hour),
        first.source,
    );
    match (&quote.work, &first.time, &first.eur) {
        (Some(work), Some(time), Some(eur)) => {
            let _ = writeln!(
                text,
                "  {} new files, {} tracks for Sonic: expected {} ({} to {}), so {} ({} to {}); {}",
                work.files,
                work.sonic,
                span(time.expected),
                span(time.least),
                span(time.most),
                Euros(eur.expected),
                Euros(eur.least),
                Euros(eur.most),
                quote.basis,
            );
            if time.most > quote.hours_at_most * 3600.0 {
                text.push_str(
                    "  that may be more than its time: what is done by then comes home, another burst goes on with the rest\n",
                );
            }
        }
        _ => text.push_str("  how long it takes cannot be told before the media are listed\n"),
    }
    let _ = writeln!(
        text,
        "  ended after {} at the latest, {} by then; each started hour is billed in full, one at least",
        span(quote.hours_at_most * 3600.0),
        Euros(quote.eur_at_most),
    );
    choices(&mut text, "cheaper", &quote.cheaper);
    choices(&mut text, "faster", &quote.faster);
    if !quote.ends_itself {
        let _ = writeln!(text, "  {CANNOT_END_ITSELF}");
    }
    text
}

fn choices(text: &mut String, word: &str, choices: &[Choice]) {
    if choices.is_empty() {
        return;
    }
    let mut table = Table::new(&[word, "vCPUs", "an hour", "expected", "comes to"]);
    for choice in choices {
        let of = |span: &Option<Span>| span.map_or(f64::NAN, |span| span.expected);
        table.row([
            format!("--instance {}", choice.commercial_type),
            choice.cpus.to_string(),
            Euros(choice.eur_per_hour).to_string(),
            span(of(&choice.time)),
            Euros(of(&choice.eur)).to_string(),
        ]);
    }
    text.push_str(&table.to_string());
}

/// Seconds for a person: an estimate has no seconds.
fn span(seconds: f64) -> String {
    let minutes = (seconds / 60.0).ceil().max(1.0);
    if minutes < 60.0 {
        format!("{minutes:.0} min")
    } else {
        duration(Duration::from_secs_f64(minutes * 60.0))
    }
}
