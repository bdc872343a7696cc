//! `plexburst import`: a library out of an archive into home, merged, swapped in, undone by itself if home does not come up.

use std::path::PathBuf;

use super::{Context, confirm, library, sync};
use crate::burst::controller::Controller;
use crate::burst::parked;
use crate::burst::request::{Options, Request, Source};
use crate::config::Settings;
use crate::depot::Depot;
use crate::error::{Error, Result};

/// Options of `import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The archive: what `sync --archive` made, or any of the earlier scripts' (also a bare library.db).
    #[arg(required_unless_present = "from_depot")]
    pub(super) file: Option<PathBuf>,
    /// What `export --to-depot` parked, by the id that it printed, instead of an archive.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    from_depot: Option<String>,
    /// The folder "Plex Media Server", in place of `home.data_dir`.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Leave the files of Metadata/ and Media/ that are in the archive where they are.
    #[arg(long)]
    without_bundles: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Take a library.db that came without its blobs.db: home's own blobs stay.
    #[arg(long)]
    without_blobs: bool,
    /// Let a result through that lost at most this many files.
    #[arg(long, value_name = "N", default_value_t = 0)]
    accept_losses: u64,
    /// Swap even while somebody streams from home.
    #[arg(long, conflicts_with = "swap_at")]
    swap_now: bool,
    /// Swap at this hour of the day, when nobody streams then.
    #[arg(long, value_name = "HH:MM", value_parser = sync::hour)]
    swap_at: Option<String>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let settings = context.settings_for(args.home.as_deref())?;
    if let Some(file) = &args.file {
        library::check_archive(file, "`plexburst sync --archive FILE`")?;
    }
    confirm::confirm(&question("this machine"), args.yes, context)?;
    let path = match (&args.file, &args.from_depot) {
        (Some(file), _) => std::path::absolute(file)
            .map_err(|e| Error::usage(format!("cannot resolve {}", file.display())).because(e))?,
        (None, Some(id)) => out_of_depot(&settings, id, context).await?,
        (None, None) => return Err(Error::usage("there is nothing to import").hint("name an archive")),
    };
    let options = Options {
        accept_losses: args.accept_losses,
        swap_now: args.swap_now,
        without_blobs: args.without_blobs,
        without_bundles: args.without_bundles,
        swap_at: args.swap_at,
        ..Options::default()
    };
    let request = Request::new(Source::Result { path: path.clone() }, options, settings.config.clone());
    let dir = settings.burst_dir(&request.id);
    let controller = Controller::begin(request, &dir, context.printer.clone())?;
    let outcome = sync::follow(&controller, context, args.json).await;
    if args.from_depot.is_some() && controller.has_ended() {
        // It is in the depot still; a burst that can be gone on with needs it here.
        std::fs::remove_file(&path)
            .map_err(|e| Error::failed(format!("cannot remove {}", path.display())).because(e))?;
    }
    outcome
}

/// What is asked before anything is touched; `host` is home's machine.
pub(super) fn question(host: &str) -> String {
    format!(
        "Plex on {host} will be stopped for some seconds and get the library of the archive, merged with what it has; the one \
         that it has now is kept for `plexburst rollback`. Go on?"
    )
}

/// What was parked, as an archive in the state folder.
async fn out_of_depot(settings: &Settings, id: &str, context: &Context) -> Result<PathBuf> {
    let depot = Depot::of(&settings.config.depot, id, &context.printer)?;
    let failed =
        |e: std::io::Error| Error::failed(format!("cannot work in {}", settings.state_dir.display())).because(e);
    std::fs::create_dir_all(&settings.state_dir).map_err(failed)?;
    let temp = tempfile::Builder::new()
        .prefix(".plexburst-import-")
        .tempdir_in(&settings.state_dir)
        .map_err(failed)?;
    context
        .printer
        .phase("fetch", &format!("fetching {id} out of the depot"));
    let found = parked::noted(&depot).await?.ok_or_else(|| {
        Error::usage(format!("the depot at {} has no library called {id}", depot.name()))
            .hint("`plexburst export --to-depot` prints the id; `plexburst depot list` shows what is there")
    })?;
    let databases = parked::fetch(&depot, &found, temp.path()).await?;
    let notes = plex_library::archive::NOTES;
    let support = "Plug-in Support/Databases";
    let files = [
        (format!("{support}/{}", plex_library::LIBRARY_DB), databases.library()),
        (format!("{support}/{}", plex_library::BLOBS_DB), databases.blobs()),
        (
            format!("{notes}/{}", plex_library::snapshot::MANIFEST),
            temp.path().join(plex_library::snapshot::MANIFEST),
        ),
    ];
    let archive = settings.state_dir.join(format!("plex_db_only_depot_{id}.tar.zst"));
    tokio::task::block_in_place(|| plex_library::archive::pack(&files, &archive))?;
    Ok(archive)
}
