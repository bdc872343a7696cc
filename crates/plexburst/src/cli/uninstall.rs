//! `plexburst uninstall`: takes away what plexburst keeps on this machine. What it will remove is said first, and that is what
//! is removed. Never the library, never the configuration; previous libraries and what is in the depot only when that is said.

use std::path::{Path, PathBuf};

use super::timer::{self, Place, What};
use super::{Context, confirm, print, print_json, quoted, sweep};
use crate::burst::retention::{self, Holding, Knowledge, Need};
use crate::burst::side;
use crate::burst::store::{self, Standing};
use crate::config::Settings;
use crate::depot::{Depot, Listed};
use crate::error::{Context as _, Error, Result};
use crate::exit;
use crate::home::{Area, Home, Kept, kept};
use crate::term::bytes;

/// Options of `uninstall`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the previous libraries as well that are kept beside home's: no rollback afterwards.
    #[arg(long)]
    with_previous: bool,
    /// Remove what this machine's bursts have in the depot as well, and the key to it.
    #[arg(long)]
    with_depot: bool,
    /// Show what would be removed, and remove nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// What is asked; `host` is the machine.
pub(super) fn question(host: &str) -> String {
    format!("What plexburst keeps on {host} will be removed; the library stays as it is. Go on?")
}

/// Something that goes or stays.
#[derive(Debug, serde::Serialize)]
struct Thing {
    path: PathBuf,
    what: String,
}

/// What will be done, settled before anything is.
struct Plan {
    timers: Vec<What>,
    goes: Vec<Thing>,
    stays: Vec<Thing>,
    depot: Vec<Holding>,
    /// Empty folders go with what was in them.
    folders: Vec<PathBuf>,
}

/// Runs it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    refuse_while_needed(&settings, context).await?;
    let area = area(&settings)?;
    // Held to the end: no burst begins meanwhile.
    let _lock = match &area {
        Some(area) if area.root().is_dir() => Some(side::patient_lock(&area.home_lock())?.ok_or_else(|| {
            Error::refused("a burst of this home is running right now").hint("`plexburst status` shows where it stands")
        })?),
        _ => None,
    };
    let depot = match args.with_depot {
        true => Some(InDepot::look(&settings, context).await?),
        false => None,
    };
    let plan = plan(args, &settings, area.as_ref(), depot.as_ref())?;
    if args.json && args.dry_run {
        print_json(&described(&plan, false))?;
        return Ok(exit::DONE);
    }
    if !args.json {
        print(&text(&plan))?;
    }
    if args.dry_run {
        return Ok(exit::DONE);
    }
    confirm::confirm(&question("this machine"), args.yes, context)?;
    if let Some(depot) = depot {
        retention::prune(&depot.depot, &depot.knowledge, &plan.depot, &depot.listed).await?;
    }
    let place = Place::of(None)?;
    for what in &plan.timers {
        timer::remove(&place, *what, context)?;
    }
    for thing in &plan.goes {
        remove(&thing.path)?;
    }
    for folder in &plan.folders {
        // What somebody else put there keeps it.
        std::fs::remove_dir(folder).ok();
    }
    if args.json {
        print_json(&described(&plan, true))?;
    } else {
        print("removed")?;
    }
    Ok(exit::DONE)
}

/// A burst that has not ended needs its journal; what may still be billed can only be ended by it.
async fn refuse_while_needed(settings: &Settings, context: &Context) -> Result<()> {
    let (known, errors) = store::all(&settings.state_dir)?;
    if let Some(error) = errors.into_iter().next() {
        return Err(Error::refused(
            "there is a burst that this program does not understand, and that may not have ended",
        )
        .hint("the plexburst that it was begun with can end it, or tell that it has ended")
        .because(error));
    }
    for burst in &known {
        let id = &burst.request.id;
        if matches!(burst.standing, Standing::Resumable { .. }) || side::is_held(&burst.dir.join("lock"))? {
            return Err(Error::refused(format!("burst {id} has not ended"))
                .hint(format!("`plexburst resume {id}` or `plexburst cancel {id}` ends it")));
        }
    }
    let left = sweep::left(settings, context).await?;
    if left > 0 {
        return Err(Error::new(
            exit::MAYBE_BILLED,
            format!("{left} things that bursts of this machine rented are there still, or their zone did not answer"),
        )
        .hint("`plexburst sweep` ends them (`--kept`: also what was kept)"));
    }
    Ok(())
}

/// The folder beside home's databases, if there is a home.
fn area(settings: &Settings) -> Result<Option<Area>> {
    if settings.config.home.data_dir.is_none() {
        return Ok(None);
    }
    // A library that is gone has nothing beside it either.
    let Ok(home) = Home::of(&settings.config) else {
        return Ok(None);
    };
    home.refuse_unfinished()?;
    Area::of(&home.databases(), "").map(Some)
}

struct InDepot {
    depot: Depot,
    knowledge: Knowledge,
    listed: Vec<Listed>,
}

impl InDepot {
    async fn look(settings: &Settings, context: &Context) -> Result<Self> {
        let depot = Depot::of(&settings.config.depot, "none", &context.printer)?;
        Ok(Self {
            knowledge: Knowledge::of(&settings.state_dir)?,
            listed: depot.list_all().await?,
            depot,
        })
    }

    /// All that this machine put there; what another did stays.
    fn ours(&self) -> Result<Vec<Holding>> {
        let holdings = self.knowledge.judge(&self.listed, 0)?;
        let ours: Vec<String> = holdings
            .iter()
            .filter(|holding| matches!(holding.need, Need::Over | Need::Base | Need::Kept))
            .map(|holding| holding.name.clone())
            .collect();
        retention::plan(&holdings, &ours)
    }

    /// Whether the depot is empty without them.
    fn holds_nothing_else(&self, ours: &[Holding]) -> bool {
        let gone: usize = ours
            .iter()
            .filter(|holding| holding.is_over())
            .map(|holding| holding.objects)
            .sum();
        gone == self.listed.len()
    }
}

fn plan(args: &Args, settings: &Settings, area: Option<&Area>, depot: Option<&InDepot>) -> Result<Plan> {
    let mut plan = Plan {
        timers: Vec::new(),
        goes: Vec::new(),
        stays: Vec::new(),
        depot: match depot {
            Some(depot) => depot.ours()?,
            None => Vec::new(),
        },
        folders: Vec::new(),
    };
    let place = Place::of(None)?;
    for what in What::BOTH {
        let units = place.units_of(what);
        if !timer::is_of(&place, what, settings) {
            continue;
        }
        if !units.is_empty() {
            plan.timers.push(what);
        }
        plan.goes.extend(
            units
                .into_iter()
                .map(|path| thing(path, &format!("timer for {}", what.word()))),
        );
    }
    let package = Place::of_package();
    for what in What::BOTH {
        // Its units are there whoever's bursts they would begin.
        let text = format!(
            "the package's timer for {}; `apt remove plexburst` removes it",
            what.word()
        );
        plan.stays
            .extend(package.units_of(what).into_iter().map(|path| thing(path, &text)));
    }
    plan_area(args, area, &mut plan)?;
    plan_state(settings, depot, &mut plan)?;
    if let Some(source) = &settings.source {
        plan.stays.push(thing(source.clone(), "your configuration"));
    }
    Ok(plan)
}

fn plan_area(args: &Args, area: Option<&Area>, plan: &mut Plan) -> Result<()> {
    let Some(root) = area.map(Area::root).filter(|root| root.is_dir()) else {
        return Ok(());
    };
    let kept = kept::all(root)?;
    let of = |path: &Path| kept.iter().find(|one| one.path.starts_with(path));
    for path in entries(root)? {
        match of(&path) {
            Some(one) if !args.with_previous => {
                let what = format!("{} ({}); --with-previous removes it", previous(one), bytes(one.bytes));
                plan.stays.push(thing(path, &what));
            }
            Some(one) => plan
                .goes
                .push(thing(path, &format!("{} ({})", previous(one), bytes(one.bytes)))),
            None if is_ours(&path) => plan.goes.push(thing(path, "what a burst left beside the library")),
            None => plan.stays.push(thing(path, "not plexburst's, or not known to be")),
        }
    }
    plan.folders.push(root.to_owned());
    Ok(())
}

/// A burst's folder, or the lock.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "lock" || ulid::Ulid::from_string(name).is_ok()
}

fn previous(kept: &Kept) -> String {
    format!("the library from before burst {}", kept.burst)
}

/// Only what is known by its name goes: a state folder may be one that other things are in as well.
fn plan_state(settings: &Settings, depot: Option<&InDepot>, plan: &mut Plan) -> Result<()> {
    let is_emptied = depot.is_some_and(|depot| depot.holds_nothing_else(&plan.depot));
    for path in entries(&settings.state_dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = match name.as_str() {
            "bursts" => "journals, logs and reports of all bursts",
            "bases" => "which bases are in the depot, and their keys",
            "worker-identity" => "the identity that was kept for workers",
            "serve-token" => "the token of `plexburst serve`",
            "depot-identity" if is_emptied => "the key to the depot",
            "depot-identity" => {
                plan.stays.push(thing(
                    path,
                    "the key to the depot, which nobody reads without it; --with-depot removes both",
                ));
                continue;
            }
            "depot" => {
                match is_emptied {
                    true => plan.folders.push(path),
                    false => plan.stays.push(thing(
                        path,
                        "the depot; --with-depot removes what this machine's bursts have in it",
                    )),
                }
                continue;
            }
            // This very command may be one that was given from another machine.
            "calls" | "bin" => {
                plan.stays.push(thing(
                    path,
                    "what carries out commands given on another machine; remove it by hand",
                ));
                continue;
            }
            _ => {
                plan.stays.push(thing(path, "not plexburst's, or not known to be"));
                continue;
            }
        };
        plan.goes.push(thing(path, what));
    }
    plan.folders.push(settings.state_dir.clone());
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let cannot = || format!("cannot list {}", dir.display());
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).context(cannot)? {
        all.push(entry.context(cannot)?.path());
    }
    all.sort();
    Ok(all)
}

fn remove(path: &Path) -> Result<()> {
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let removed = match is_folder {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::failed(format!("cannot remove {}", path.display()))
                .hint("run it as the user that plexburst ran as; what was removed already is gone, the rest stays")
                .because(e))
        }
        _ => Ok(()),
    }
}

fn thing(path: PathBuf, what: &str) -> Thing {
    let what = what.to_owned();
    Thing { path, what }
}

fn text(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for thing in &plan.goes {
        lines.push(format!("goes   {}  {}", quoted(&thing.path), thing.what));
    }
    for holding in &plan.depot {
        lines.push(format!(
            "goes   {} in the depot, {}",
            holding.name,
            bytes(holding.bytes)
        ));
    }
    if lines.is_empty() {
        lines.push("there is nothing of plexburst's to remove".to_owned());
    }
    for thing in &plan.stays {
        lines.push(format!("stays  {}  {}", quoted(&thing.path), thing.what));
    }
    if let Ok(exe) = std::env::current_exe() {
        lines.push(format!(
            "stays  {}  the program: `apt remove plexburst`, or remove it",
            quoted(&exe)
        ));
    }
    lines.join("\n")
}

fn described(plan: &Plan, is_done: bool) -> serde_json::Value {
    serde_json::json!({ "removed": is_done, "goes": plan.goes, "depot": plan.depot, "stays": plan.stays })
}
