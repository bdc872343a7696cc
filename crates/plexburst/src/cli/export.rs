//! `plexburst export`: home's library as an archive, or into the depot, taken while Plex runs.

use std::path::{Path, PathBuf};

use plex_library::snapshot::{self, Options, Way};
use plex_library::{Databases, Progress, Which, gentle};
use serde::Serialize;

use super::{Context, interrupt, print, print_json};
use crate::burst::parked;
use crate::burst::spec::Parked;
use crate::config::Rate;
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::Home;
use crate::term::{Printer, bytes};

/// Options of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The archive to write (.tar.zst); default: plex_db_only_DATE.tar.zst here.
    #[arg(conflicts_with = "to_depot")]
    pub(super) file: Option<PathBuf>,
    /// The folder "Plex Media Server", in place of `home.data_dir`.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Take Metadata/ and Media/ along.
    #[arg(long, conflicts_with = "to_depot")]
    with_bundles: bool,
    /// Park the databases in the depot instead of writing an archive.
    #[arg(long)]
    to_depot: bool,
    /// Read no more than so much in a second (20M); default: `home.limit_rate`.
    #[arg(long, value_name = "RATE")]
    limit_rate: Option<Rate>,
    /// Use the processor and the disk like any other program, instead of giving way to all others.
    #[arg(long)]
    full_speed: bool,
    /// Copy by SQLite's backup API first: slower, and with room for one more copy.
    #[arg(long)]
    plain: bool,
    /// Say what would be taken, and take nothing.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// Whether an archive comes of it.
    pub(super) fn leaves_a_file(&self) -> bool {
        !self.to_depot && !self.dry_run
    }
}

/// Where it goes and how.
struct Job {
    home: Databases,
    bundles: Option<PathBuf>,
    options: Options<'static>,
    full_speed: bool,
    printer: Printer,
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings_for(args.home.as_deref())?;
    let home = Home::of(&settings.config)?;
    home.refuse_unfinished()?;
    let size = plex_library::size::of(&home.databases())?;
    announce(&size, &context.printer);
    if args.dry_run {
        return dry_run(&args, &home, &size);
    }
    if !args.to_depot {
        let bundles = args.with_bundles.then(|| home.data_dir());
        has_room(&target(&args)?, &size, bundles, args.plain)?;
    }
    let limit = args.limit_rate.or(settings.config.home.limit_rate);
    let job = Job {
        home: home.databases(),
        bundles: args.with_bundles.then(|| home.data_dir().to_owned()),
        options: Options {
            way: if args.plain { Way::Plain } else { Way::OnePass },
            plex_version: version(&home).await,
            bytes_per_second: limit.map(Rate::bytes),
            ..Options::default()
        },
        full_speed: args.full_speed,
        printer: context.printer.clone(),
    };
    if args.to_depot {
        let id = ulid::Ulid::generate().to_string();
        let depot = Depot::of(&settings.config.depot, &id, &context.printer)?;
        return to_depot(&job, &depot, &id, &settings.state_dir, args.json).await;
    }
    to_file(&job, &target(&args)?, args.json)
}

/// The version of the server, if it answers: a library can be exported while it is stopped, too.
async fn version(home: &Home) -> Option<String> {
    Some(home.client().ok()?.identity().await.ok()?.version)
}

/// What will be taken, told before it is.
fn announce(size: &plex_library::size::Size, printer: &Printer) {
    let mut text = format!("library.db {}, blobs.db {}", bytes(size.library), bytes(size.blobs));
    if size.free > size.databases() / 20 {
        text.push_str(&format!(", {} of it empty pages", bytes(size.free)));
    }
    if size.backups > 0 {
        text.push_str(&format!("; {} of dated backups are left out", bytes(size.backups)));
    }
    printer.phase("size", &text);
    if size.is_bloated() {
        printer.warn(&format!(
            "about {} of library.db are statistics, which nobody needs; Plex 1.41.8 and later clean them up",
            bytes(size.statistics)
        ));
    }
}

#[derive(Serialize)]
struct DryRun<'a> {
    #[serde(flatten)]
    size: &'a plex_library::size::Size,
    tables: Vec<plex_library::inspect::TableSize>,
}

/// The exact answer: every page is counted.
fn dry_run(args: &Args, home: &Home, size: &plex_library::size::Size) -> Result<u8> {
    const SHOWN: usize = 8;
    let inspection = plex_library::inspect::inspect(home.databases().dir())?;
    let mut tables = inspection.library.tables;
    tables.extend(inspection.blobs.into_iter().flat_map(|blobs| blobs.tables));
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes + table.index_bytes));
    if args.json {
        print_json(&DryRun { size, tables })?;
        return Ok(exit::DONE);
    }
    let mut table = crate::term::Table::new(&["table", "rows", "indices"]);
    for size in tables.iter().take(SHOWN) {
        table.row([size.table.clone(), bytes(size.bytes), bytes(size.index_bytes)]);
    }
    print(&table.to_string())?;
    Ok(exit::DONE)
}

/// Where the archive goes.
pub(super) fn target(args: &Args) -> Result<PathBuf> {
    let file = args.file.clone().unwrap_or_else(|| {
        let now = jiff::ZonedDateTime::now().strftime("%Y%m%d_%H%M%S").to_string();
        let kind = if args.with_bundles { "db_metadata" } else { "db_only" };
        PathBuf::from(format!("plex_{kind}_{now}.tar.zst"))
    });
    let file = std::path::absolute(&file)
        .map_err(|e| Error::usage(format!("cannot resolve {}", file.display())).because(e))?;
    if file.exists() {
        return Err(Error::usage(format!("{} is there already", file.display())).hint("name another file"));
    }
    Ok(file)
}

/// Room for the archive at most: databases come down to 40 % (half is on the safe side), pictures do not. `plain` needs the
/// copy as well.
fn has_room(file: &Path, size: &plex_library::size::Size, data_dir: Option<&Path>, plain: bool) -> Result<()> {
    let mut needed = size.databases() / 2 + if plain { size.databases() } else { 0 };
    if let Some(data_dir) = data_dir {
        needed += plex_library::bundle::bytes(data_dir)?;
    }
    let dir = file.parent().unwrap_or(Path::new("/"));
    let free = crate::home::room::free_bytes(dir)?;
    if free < needed {
        return Err(Error::refused(format!(
            "the disk of {} has {} free, and the archive needs {} at most",
            dir.display(),
            bytes(free),
            bytes(needed)
        ))
        .hint("free some space there, or name a file on another disk"));
    }
    Ok(())
}

fn to_file(job: &Job, file: &Path, json: bool) -> Result<u8> {
    job.printer
        .phase("export", &format!("{}; Plex may go on running", file.display()));
    let exported = job
        .run(|progress| plex_library::export::write(&job.home, job.bundles.as_deref(), file, &job.options, progress))?;
    if json {
        print_json(&serde_json::json!({
            "file": file,
            "bytes": exported.object.bytes,
            "blake3": exported.object.blake3,
            "bundle_files": exported.bundle_files,
            "manifest": exported.manifest,
        }))?;
    } else {
        print(&format!("{} ({})", file.display(), bytes(exported.object.bytes)))?;
    }
    Ok(exit::DONE)
}

/// Parks base and manifest under the keys that a burst uses.
async fn to_depot(job: &Job, depot: &Depot, id: &str, state_dir: &Path, json: bool) -> Result<u8> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot work in {}", state_dir.display())).because(e);
    std::fs::create_dir_all(state_dir).map_err(failed)?;
    let temp = tempfile::Builder::new()
        .prefix(".plexburst-export-")
        .tempdir_in(state_dir)
        .map_err(failed)?;
    interrupt::forget_at_end(temp.path());
    let (base, packed) = (temp.path().join("base"), temp.path().join("packed"));
    job.printer
        .phase("snapshot", "copying home's library; Plex may go on running");
    job.run(|progress| {
        let options = Options {
            packed: Some(&packed),
            ..job.options.clone()
        };
        snapshot::take_with(&job.home, &base, &options, progress)
    })?;
    job.printer.phase("park", "parking the snapshot in the depot");
    let (mut sent, mut objects) = (0, Vec::new());
    for which in Which::BOTH {
        let name = snapshot::packed_name(which);
        let object = depot.put_file(&format!("base/{name}"), &packed.join(&name)).await?;
        sent += object.bytes;
        objects.push(object);
    }
    let manifest = depot
        .put_file("base/manifest.json", &base.join(snapshot::MANIFEST))
        .await?;
    sent += manifest.bytes;
    if let [library, blobs] = objects.as_slice() {
        let parked = Parked {
            library: library.clone(),
            blobs: blobs.clone(),
            manifest,
            kept: None,
            steps: Vec::new(),
            sent,
        };
        parked::note(depot, &parked).await?;
    }
    if json {
        print_json(&serde_json::json!({ "id": id, "bytes": sent }))?;
    } else {
        print(&format!("{id} ({} in the depot)", bytes(sent)))?;
    }
    Ok(exit::DONE)
}

impl Job {
    /// Runs the copying in its own thread, where it gives way to everything else, and ends it when the user does.
    fn run<T: Send>(&self, work: impl FnOnce(&(dyn Progress + Sync)) -> plex_library::Result<T> + Send) -> Result<T> {
        interrupt::until_told(&self.printer, |progress| match self.full_speed {
            true => work(progress),
            false => gentle::gently(|| work(progress)),
        })
    }
}
