//! `plexburst init`: from nothing to a `plexburst.toml` that `doctor` can be asked about. What can be found out is found
//! out and shown; little is asked, and everything that is asked has an option that answers it.

mod ask;
mod distant;
mod media;
mod write;

use std::path::{Path, PathBuf};

use plex_library::{Databases, LIBRARY_DB};

use self::ask::Ask;
use super::{Context, doctor, print, quoted};
use crate::burst::controller;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::found::{self, Found};

/// Options of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the configuration is written.
    #[arg(long, value_name = "FILE", default_value = "plexburst.toml")]
    output: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// The machine that home is on, as ssh knows it (me@nas); default: this one, or PLEX_REMOTE_HOST.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Home's folder "Plex Media Server"; default: what is found on its machine.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The command that stops home's server; default: by what kind of installation it is.
    #[arg(long, value_name = "COMMAND")]
    stop: Option<String>,
    /// The command that starts it.
    #[arg(long, value_name = "COMMAND")]
    start: Option<String>,
    /// Where the files are: `remote:path` of rclone, or a folder.
    #[arg(long, value_name = "PLACE")]
    media: Option<String>,
    /// The folder of the media that a section's root stands for, as ROOT=FOLDER (repeatable); default: by its name.
    #[arg(long = "root", value_name = "ROOT=FOLDER", value_parser = root)]
    roots: Vec<(String, String)>,
    /// Take what was found without asking.
    #[arg(short, long)]
    yes: bool,
    /// Do not end with `doctor`.
    #[arg(long)]
    no_doctor: bool,
    /// The file is for another machine, where it is called so; what opens something is in the configuration that came along.
    #[arg(long, hide = true, value_name = "FILE")]
    called: Option<String>,
}

fn root(text: &str) -> Result<(String, String), String> {
    let (root, folder) = text
        .split_once('=')
        .ok_or("write ROOT=FOLDER, e.g. /Media/Music=Music")?;
    Ok((root.to_owned(), folder.to_owned()))
}

/// Everything that the file will say.
struct Answers {
    data_dir: PathBuf,
    /// What kind of installation it is.
    what: String,
    url: Option<String>,
    stop: Option<Vec<String>>,
    start: Option<Vec<String>>,
    plex_sqlite: Option<Vec<String>>,
    /// (section, its roots)
    sections: Vec<(String, Vec<String>)>,
    place: media::Place,
    /// (root, folder; none when nothing fits)
    roots: Vec<(String, Option<String>)>,
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let output = std::path::absolute(&args.output)
        .map_err(|e| Error::usage(format!("cannot tell where {} is", args.output.display())).because(e))?;
    if output.exists() && !args.force {
        return Err(Error::usage(format!("{} is there already", output.display()))
            .hint("--force writes over it; `plexburst doctor` checks it as it is"));
    }
    if !context.here {
        let mut settings = context.read()?;
        if args.host.is_some() {
            settings.config.home.host.clone_from(&args.host);
        }
        if settings.config.home.host.is_some() {
            return distant::run(&args, settings, &output, context).await;
        }
    }
    let ask = Ask::new(args.yes, context);
    let home = home(&args, &ask)?;
    let databases = Databases::at(home.data_dir.join("Plug-in Support/Databases"));
    let library = controller::look(&databases, &[])?;
    let sections: Vec<(String, Vec<String>)> = library
        .sections
        .iter()
        .map(|s| (s.name.clone(), s.roots.clone()))
        .collect();
    for (name, roots) in &sections {
        context.printer.say(&format!("section {name:?}: {}", roots.join(", ")));
    }
    let base = output.parent().unwrap_or(Path::new("/")).to_path_buf();
    let all_roots: Vec<String> = sections.iter().flat_map(|(_, roots)| roots.clone()).collect();
    let rclone_config = match args.called {
        Some(_) => context.read()?.config.media.rclone_config,
        None => Some(base.join("rclone.conf")).filter(|path| path.is_file()),
    };
    let place = media::place(args.media.as_deref(), rclone_config, &ask)?;
    let roots = media::roots(&place, &all_roots, &args.roots, &ask).await?;
    let answers = Answers {
        stop: command("--stop", args.stop.as_deref(), home.stop, "stops home's Plex", &ask)?,
        start: command("--start", args.start.as_deref(), home.start, "starts it again", &ask)?,
        data_dir: home.data_dir,
        what: home.what,
        url: home.url,
        plex_sqlite: home.plex_sqlite,
        sections,
        place,
        roots,
    };
    let text = write::file(&answers);
    plex_library::publish::file(&output, text.as_bytes())?;
    // It must be what it was meant to be, whatever the names in it.
    Settings::load(Some(&output), &base, &|name| std::env::var(name).ok())?;
    if !args.no_doctor {
        context.printer.say(&format!("wrote {}", quoted(&output)));
    }
    for (root, folder) in &answers.roots {
        if folder.is_none() {
            context.printer.warn(&format!(
                "no folder of the media stands for {root}: put one into [media.roots] of {}",
                args.called.clone().unwrap_or_else(|| quoted(&output))
            ));
        }
    }
    if args.no_doctor {
        print(&format!(
            "wrote {output}; next: plexburst --config {output} doctor",
            output = quoted(&output)
        ))?;
        return Ok(exit::DONE);
    }
    let own = Context {
        config: Some(output.clone()),
        here: true,
        printer: context.printer.clone(),
    };
    let code = doctor::run(&doctor::Args { json: false }, &own).await?;
    next(code, &output, context);
    Ok(code)
}

/// What comes after the check, by what it came to.
fn next(code: u8, output: &Path, context: &Context) {
    let is_found = output.file_name().is_some_and(|name| name == "plexburst.toml")
        && std::env::current_dir().is_ok_and(|dir| output.parent() == Some(&dir));
    let config = match is_found {
        true => String::new(),
        false => format!(" --config {}", quoted(output)),
    };
    context.printer.say(&match code {
        exit::DONE => format!("next: `plexburst{config} plan` shows what a burst would do"),
        _ => format!(
            "mend what the hints say, in {} or on the machine; `plexburst{config} doctor` looks again",
            quoted(output)
        ),
    });
}

/// Home, from what was named or found.
fn home(args: &Args, ask: &Ask<'_>) -> Result<Found> {
    let (containers, obstacles) = found::containers();
    let top = Path::new("/");
    if let Some(dir) = &args.data_dir {
        return named(dir, &containers);
    }
    let mut all = found::find(top, &containers);
    for obstacle in &obstacles {
        ask.say(&format!("{obstacle}; the libraries of its containers may not be found"));
    }
    match all.len() {
        0 => {
            let dir = ask.text(
                "no Plex server was found here (for one on another machine: `plexburst init --host me@nas`).\nThe folder \
                 \"Plex Media Server\" of yours",
                None,
                "--data-dir",
            )?;
            named(Path::new(&dir), &containers)
        }
        1 => Ok(all.remove(0)),
        _ => {
            let names: Vec<String> = all
                .iter()
                .map(|f| format!("{} ({})", f.data_dir.display(), f.what))
                .collect();
            let chosen = ask.choose("which Plex server is home?", &names, "--data-dir")?;
            Ok(all.swap_remove(chosen))
        }
    }
    .inspect(|home| ask.say(&format!("home is {}: {}", home.what, home.data_dir.display())))
}

fn named(dir: &Path, containers: &[found::Container]) -> Result<Found> {
    let data_dir = std::path::absolute(dir)
        .map_err(|e| Error::usage(format!("cannot tell where {} is", dir.display())).because(e))?;
    if !data_dir.join("Plug-in Support/Databases").join(LIBRARY_DB).is_file() {
        return Err(Error::usage(format!("no Plex library in {}", data_dir.display()))
            .hint("--data-dir is the folder that holds \"Plug-in Support\""));
    }
    Ok(found::of(&data_dir, Path::new("/"), containers).unwrap_or(Found {
        what: "a Plex server".to_owned(),
        data_dir,
        stop: None,
        start: None,
        url: None,
        plex_sqlite: None,
    }))
}

/// A command that stops or starts home: as given, as known, or as asked for. Without one the file says what is missing.
fn command(
    option: &str,
    given: Option<&str>,
    known: Option<Vec<String>>,
    does: &str,
    ask: &Ask<'_>,
) -> Result<Option<Vec<String>>> {
    let split = |text: &str| -> Option<Vec<String>> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then_some(words)
    };
    match (given, known) {
        (Some(text), _) => split(text).map(Some).ok_or_else(|| {
            Error::usage(format!("{option} names no program"))
                .hint(format!("e.g. {option} \"systemctl stop plexmediaserver\""))
        }),
        (None, Some(words)) => Ok(Some(words)),
        (None, None) => Ok(split(
            &ask.text_or_nothing(&format!("the command that {does} (empty: later)"))?,
        )),
    }
}
