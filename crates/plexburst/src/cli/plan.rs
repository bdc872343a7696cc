//! `plexburst plan` and `sync --dry-run`: what a burst would do, section by section, by the same guards that it runs.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Context, doctor, price, print_folded, print_json, speed};
use crate::burst::controller;
use crate::burst::guard::Findings;
use crate::burst::guard::before::{self, Subject};
use crate::burst::guard::survey::Survey;
use crate::burst::measured::Measured;
use crate::burst::quote::Quote;
use crate::burst::request::{On, Options};
use crate::burst::todo::{self, Todo};
use crate::config::{Mapping, Settings};
use crate::error::Result;
use crate::exit;
use crate::home::Home;
use crate::media::mappings::Mappings;
use crate::term::Table;

/// Offers, doubts and names that a plan for a person shows; `--json` has all that are kept.
const SHOWN: usize = 10;

/// Options of `plan`: those of `sync` that change what is done.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this section (repeatable).
    #[arg(long = "section", value_name = "NAME")]
    sections: Vec<String>,
    /// Without Sonic analysis.
    #[arg(long)]
    quick: bool,
    /// Where the heavy work would be done; with scaleway, what that would cost is shown.
    #[arg(long, value_name = "WHERE", default_value = "here")]
    on: On,
    /// Profile (lite, standard, power, superpower) or type of the rented machine.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// How many hours a rented machine may live.
    #[arg(long, value_name = "H")]
    max_hours: Option<f64>,
    /// What a rented machine may cost at most, in euros.
    #[arg(long, value_name = "EUR")]
    max_cost: Option<f64>,
    /// As if a result that lost at most this many files were let through.
    #[arg(long, value_name = "N", default_value_t = 0)]
    accept_losses: u64,
    /// One JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Plan<'a> {
    /// Whether a burst would begin.
    ok: bool,
    /// Ids of the sections that would be indexed.
    selected: &'a [i64],
    /// Mappings in force.
    mappings: Vec<Mapping>,
    /// What was found; none when the media could not be listed.
    survey: Option<Survey>,
    /// What there is to do in each of the selected sections.
    todo: Vec<Todo>,
    /// How fast the media were from the last worker there; none when none has measured.
    speed: Option<Measured>,
    /// What a rented machine would cost; none where none is rented.
    cost: Option<Quote>,
    guards: Findings,
}

/// What a look at home and its media showed.
pub(super) struct Looked {
    pub(super) library: controller::Prepared,
    pub(super) survey: Option<Survey>,
    guards: Findings,
    mappings: Mappings,
    /// What the library's databases weigh.
    pub(super) library_bytes: u64,
}

/// Runs `plan`.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let options = Options {
        on: args.on,
        instance: args.instance,
        sizes: crate::config::rented::sizes(&settings),
        max_hours: args.max_hours,
        max_cost: args.max_cost,
        sections: args.sections,
        quick: args.quick,
        accept_losses: args.accept_losses,
        ..Options::default()
    };
    show(&settings, &options, args.json, context).await
}

/// Looks at home and its media with the guards that a burst begins with.
pub(super) async fn look(settings: &Settings, options: &Options, context: &Context) -> Result<Looked> {
    let home = Home::of(&settings.config)?;
    let databases = home.databases();
    let library = controller::look(&databases, &options.sections)?;
    let mappings = Mappings::of(&settings.config.media)?;
    let subject = Subject {
        config: &settings.config,
        home: Some(&home),
        plex_version: None,
        databases: &databases,
        sections: &library.sections,
        selected: &library.selected,
        options,
        server: &controller::server_of(&settings.config),
        places: &controller::places_of(
            &settings.config,
            &options.on,
            Some(plex_library::swap::area(&databases)?),
            &settings.state_dir,
        ),
        is_thorough: false,
    };
    let (guards, survey) = before::look(&subject, &context.printer).await;
    let sizes = databases
        .files()
        .into_iter()
        .filter_map(|path| std::fs::metadata(path).ok());
    let library_bytes = sizes.map(|meta| meta.len()).sum();
    Ok(Looked {
        library,
        survey,
        guards,
        mappings,
        library_bytes,
    })
}

/// Shows what a burst of live home with these options would do.
pub(super) async fn show(settings: &Settings, options: &Options, json: bool, context: &Context) -> Result<u8> {
    let looked = look(settings, options, context).await?;
    let cost = match options.on {
        On::Scaleway => Some(price::of_home(settings, options, &looked).await?),
        On::Here | On::Host(_) => None,
    };
    let Looked {
        library,
        survey,
        guards,
        mappings,
        ..
    } = looked;
    context.printer.progress("counting what there is to do");
    let todo = todo::of(
        &Home::of(&settings.config)?.databases(),
        &library.sections,
        &library.selected,
        !options.quick,
        survey.as_ref(),
    )?;
    let todo: Vec<Todo> = todo.into_iter().map(|one| one.with(options)).collect();
    let speed = speed::last(settings, options)?;
    context.printer.clear();
    let outcome = guards.check();
    if json {
        print_json(&Plan {
            ok: outcome.is_ok(),
            selected: &library.selected,
            mappings: mappings.iter().cloned().collect(),
            survey,
            todo,
            speed,
            cost,
            guards,
        })?;
    } else {
        let mut text = String::new();
        if let Some(survey) = &survey {
            sections(&mut text, survey, &library.selected);
            missing(&mut text, survey);
        }
        to_do(&mut text, &todo);
        if let Some(line) = speed::line(settings, speed.as_ref())? {
            let _ = writeln!(text, "{line}\n");
        }
        mapped(&mut text, &mappings);
        if let Some(cost) = &cost {
            text.push_str(&price::text(cost));
            text.push('\n');
        }
        text.push_str(&doctor::text(&guards));
        print_folded(&text)?;
    }
    Ok(match outcome {
        Ok(()) => exit::DONE,
        Err(error) => error.exit(),
    })
}

fn sections(text: &mut String, survey: &Survey, selected: &[i64]) {
    let mut table = Table::new(&["section", "known", "missing", "replaced", "new", "of new", "indexed"]);
    for section in &survey.sections {
        table.row([
            section.name.clone(),
            section.present.to_string(),
            section.missing.to_string(),
            section.changed.to_string(),
            section.new.to_string(),
            crate::term::bytes(section.new_bytes),
            if selected.contains(&section.id) { "yes" } else { "no" }.to_owned(),
        ]);
    }
    text.push_str(&table.to_string());
    let _ = writeln!(
        text,
        "\n{} files listed and compared in {:.1} s\n",
        survey.listed, survey.seconds
    );
}

/// What a worker would have to do.
fn to_do(text: &mut String, todo: &[Todo]) {
    let mut table = Table::new(&["to do in", "new", "replaced", "analysis", "loudness", "Sonic"]);
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    for one in todo {
        table.row([
            one.name.clone(),
            count(one.new),
            count(one.replaced),
            one.without_analysis.to_string(),
            count(one.without_loudness),
            count(one.without_sonic),
        ]);
    }
    text.push_str(&table.to_string());
    for line in todo.iter().filter_map(Todo::line) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
}

/// What is missing, and why as far as it can be told.
fn missing(text: &mut String, survey: &Survey) {
    let moves = &survey.moves;
    if !moves.offers.is_empty() {
        let mut table = Table::new(&["moved from", "to", "files", "% of missing"]);
        for offer in moves.offers.iter().take(SHOWN) {
            table.row([
                offer.from.clone(),
                offer.to.clone(),
                offer.files.to_string(),
                (offer.files * 100 / survey.missing_files().max(1)).to_string(),
            ]);
        }
        text.push_str(&table.to_string());
        more(text, moves.offers.len());
        text.push_str(
            "if that is right, put each into plexburst.toml as [[media.mappings]] with from, to and kind = \"permanent\" \
             (home has them there too, or will) or \"worker\" (only the worker)\n\n",
        );
    }
    for doubt in moves.doubts.iter().take(SHOWN) {
        let _ = writeln!(
            text,
            "not offered: {} ({} files, {} % of missing): {}",
            doubt.folder,
            doubt.files,
            doubt.files * 100 / survey.missing_files().max(1),
            doubt.why
        );
    }
    more(text, moves.doubts.len());
    for other in survey.respelled.iter().take(SHOWN) {
        let _ = writeln!(
            text,
            "another spelling: {:?} is {:?} in the media ({})",
            other.known,
            other.there,
            other.how.word()
        );
    }
    more(text, survey.respelled.len());
    for file in survey.missing.iter().take(SHOWN) {
        let why = if survey.gone.contains(file) {
            "proved gone"
        } else {
            "missing"
        };
        let _ = writeln!(text, "{why}: {file}");
    }
    more(text, usize::try_from(survey.missing_files()).unwrap_or(usize::MAX));
    if survey.missing_files() > 0 {
        text.push('\n');
    }
}

fn more(text: &mut String, count: usize) {
    if count > SHOWN {
        let _ = writeln!(text, "… and {} more (`--json` has them)", count - SHOWN);
    }
}

/// The two kinds of mappings, told apart.
fn mapped(text: &mut String, mappings: &Mappings) {
    use crate::config::MappingKind::{Permanent, Worker};
    for (kind, words) in [
        (Permanent, "stays in the result"),
        (Worker, "on the worker only, undone before the result comes home"),
    ] {
        for (from, to) in mappings.of_kind(kind) {
            let _ = writeln!(text, "mapped: {from} → {to} ({words})");
        }
    }
    if !mappings.is_empty() {
        text.push('\n');
    }
}
