//! The command line: one file per command; nothing else depends on it.

mod at_home;
mod attach;
mod backup;
mod bursts;
mod cancel;
mod confirm;
mod demo;
mod depot;
mod detach;
mod diff;
mod distant;
mod doctor;
mod elsewhere;
mod export;
mod import;
mod init;
mod inspect;
mod interrupt;
mod library;
mod plan;
mod price;
mod reference;
mod remap;
mod repair;
mod report;
mod rollback;
mod scan;
mod serve;
mod speed;
mod sweep;
mod sync;
mod timer;
mod uninstall;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::exit;
use crate::term::{Printer, folded};

/// Lends a weak Plex server a big machine for a few hours.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    /// Configuration file; otherwise plexburst.toml is searched upwards from here, then in the user's config directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say nothing but warnings and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Do it on this machine, although home is another one.
    #[arg(long, global = true)]
    here: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 unexpected, 2 wrong use, 3 a guard refused, 4 failed with home unchanged,
5 something may still be billed, 6 interrupted and resumable, 7 home needs a person.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Find home and its media, ask what cannot be found, and write a plexburst.toml.
    Init(init::Args),
    /// Check every precondition of a burst, with its evidence and its fix; changes nothing.
    Doctor(doctor::Args),
    /// Show what a burst would do, section by section; changes nothing.
    Plan(plan::Args),
    /// Take the home library along, have new media indexed, bring the changes home.
    Sync(sync::Args),
    /// Make the configured sections that home does not have yet, and have them indexed as `sync` does.
    Scan(sync::Args),
    /// Go on with a burst that was interrupted or failed; one that only the depot knows is taken over.
    Resume(bursts::ResumeArgs),
    /// End a burst that has not ended: what is done so far comes home, or nothing of it; of another machine's burst, its worker
    /// and what was rented.
    Cancel(cancel::Args),
    /// The bursts that this machine knows.
    Runs(bursts::RunsArgs),
    /// Where a burst stands.
    Status(bursts::RunArgs),
    /// Watch a burst while it runs, from any machine that reaches its depot; leaving the view ends nothing.
    Attach(attach::AttachArgs),
    /// What both sides of a burst have noted.
    Logs(attach::LogsArgs),
    /// What a burst brought.
    Report(report::Args),
    /// A page with the burst that is under way and those before it, for a browser on this machine.
    Serve(serve::Args),
    /// Write home's library into an archive, while Plex runs.
    Export(export::Args),
    /// Bring a result archive into home.
    Import(import::Args),
    /// Give home a library back that it had before, with what the household did since.
    Rollback(rollback::Args),
    /// What a library holds: sections, counts, sizes.
    Inspect(inspect::Args),
    /// Check a library for damage.
    Verify(verify::Args),
    /// What is kept between home and worker, and the key to it.
    Depot(depot::Args),
    /// What differs between two libraries.
    Diff(diff::Args),
    /// Let the paths of a library follow media that moved.
    Remap(remap::Args),
    /// Make a damaged library anew from what can still be read of it.
    Repair(repair::Args),
    /// Find and destroy what no live burst owns at the cloud provider.
    Sweep(sweep::Args),
    /// Bursts and sweeps that begin by themselves: units of systemd.
    Timer(timer::Args),
    /// Remove what plexburst keeps on this machine; never the library.
    Uninstall(uninstall::Args),
    /// What a shell needs to complete plexburst's commands and options.
    Completions(reference::CompletionsArgs),
    /// The man pages.
    Man(reference::ManArgs),
    /// The JSON schema of plexburst.toml, for editors.
    Schema,
    /// The whole round trip on this machine, without Plex, Docker or a cloud.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// The simulator's own command line.
    #[cfg(feature = "demo")]
    #[command(hide = true, disable_help_flag = true)]
    Sim {
        /// Passed on.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// The worker's side of a burst.
    #[command(hide = true)]
    Worker {
        /// Its folder.
        dir: PathBuf,
    },
    /// The side at home of a command that was given on another machine.
    #[command(hide = true, subcommand)]
    AtHome(at_home::AtHome),
    /// Ends a rented machine when nobody else does.
    #[command(hide = true)]
    Warden {
        /// What it is told.
        file: PathBuf,
    },
    /// Plex in namespaces of its own.
    #[command(hide = true)]
    Cell(crate::plex::runtime::cell::Args),
    /// Sees that an image is on this machine.
    #[command(hide = true)]
    Image(crate::plex::runtime::docker::PullArgs),
    /// Says what this machine lacks for what it is told on stdin.
    #[command(hide = true)]
    Fit,
    /// The guardian of a worker's container.
    #[command(hide = true)]
    Container(crate::plex::runtime::docker::guardian::Args),
    /// Reads real bytes of files, with a time limit.
    #[command(hide = true)]
    Probe(crate::media::probe::Args),
}

/// What a command needs from the outside.
struct Context {
    config: Option<PathBuf>,
    here: bool,
    printer: Printer,
}

impl Context {
    /// The configuration as it stands, with nothing said.
    fn read(&self) -> Result<Settings> {
        let cwd = std::env::current_dir().map_err(|e| Error::usage("there is no current folder").because(e))?;
        Settings::load(self.config.as_deref(), &cwd, &|name| std::env::var(name).ok())
    }

    /// The settled configuration.
    fn settings(&self) -> Result<Settings> {
        self.settings_for(None)
    }

    /// The same for the home whose Plex folder is `data_dir`, if it is named.
    fn settings_for(&self, data_dir: Option<&std::path::Path>) -> Result<Settings> {
        let mut settings = self.read()?;
        if let Some(data_dir) = data_dir {
            settings.config.home.take_data_dir(data_dir)?;
        }
        // What this machine shows says nothing about a home on another one.
        if settings.config.home.host.is_none() {
            for note in crate::home::found::settle(&mut settings.config.home) {
                self.printer.say(&note);
            }
        }
        self.warn_ignored(&settings);
        Ok(settings)
    }

    fn warn_ignored(&self, settings: &Settings) {
        for name in &settings.ignored {
            self.printer
                .warn(&format!("{name} of the earlier scripts has no meaning here"));
        }
    }
}

/// Parses, settles, runs and maps the outcome to an exit code.
pub fn main() -> ExitCode {
    #[cfg(feature = "demo")]
    if let Some(code) = sim::dispatch() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(wrong_use(&error)),
    };
    #[cfg(feature = "demo")]
    if let Command::Sim { args } = cli.command {
        return sim::cli(args);
    }
    if let Command::AtHome(at_home::AtHome::Run { dir }) = &cli.command {
        return at_home::call(dir);
    }
    let printer = Printer::new(cli.quiet);
    ExitCode::from(carry_out(cli, printer))
}

/// Says what clap has to say; its own exit code for wrong use is 2 as well, and --help and --version are no errors.
fn wrong_use(error: &clap::Error) -> u8 {
    drop(error.print());
    if error.use_stderr() { exit::USAGE } else { exit::DONE }
}

/// Runs what was parsed, to its exit code.
fn carry_out(cli: Cli, printer: Printer) -> u8 {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("PLEXBURST_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let context = Context {
        config: cli.config,
        here: cli.here,
        printer: printer.clone(),
    };
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(cli.command, context));
            // A child that is waited for in the background must not hold the program.
            runtime.shutdown_background();
            outcome
        }
        Err(e) => Err(Error::unexpected("cannot start the runtime").because(e)),
    };
    printer.clear();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            error.exit()
        }
    }
}

async fn run(command: Command, context: Context) -> Result<u8> {
    if let Some(code) = distant::carry_out(&command, &context).await? {
        return Ok(code);
    }
    match command {
        Command::Init(args) => init::run(args, &context).await,
        Command::Doctor(args) => doctor::run(&args, &context).await,
        Command::Plan(args) => plan::run(args, &context).await,
        Command::Sync(args) => sync::run(args, &context).await,
        Command::Scan(args) => scan::run(args, &context).await,
        Command::Resume(args) => bursts::resume(args, &context).await,
        Command::Cancel(args) => cancel::run(&args, &context).await,
        Command::Runs(args) => bursts::runs(&args, &context),
        Command::Attach(args) => attach::attach(&args, &context).await,
        Command::Logs(args) => attach::logs(&args, &context).await,
        Command::Status(args) => bursts::status(&args, &context).await,
        Command::Report(args) => report::run(&args, &context),
        Command::Serve(args) => serve::run(&args, &context).await,
        Command::Export(args) => export::run(args, &context).await,
        Command::Import(args) => import::run(args, &context).await,
        Command::Rollback(args) => rollback::run(args, &context).await,
        Command::Inspect(args) => inspect::run(&args, &context),
        Command::Verify(args) => verify::run(&args, &context),
        Command::Depot(args) => depot::run(args, &context).await,
        Command::Diff(args) => diff::run(&args, &context),
        Command::Remap(args) => remap::run(&args, &context),
        Command::Repair(args) => repair::run(&args, &context),
        Command::Sweep(args) => sweep::run(args, &context).await,
        Command::Timer(args) => timer::run(args, &context),
        Command::Uninstall(args) => uninstall::run(&args, &context).await,
        Command::Completions(args) => reference::completions(&args),
        Command::Man(args) => reference::man(&args),
        Command::Schema => reference::schema(),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args, &context).await,
        #[cfg(feature = "demo")]
        Command::Sim { .. } => Err(Error::unexpected("the simulator's command is run before this")),
        Command::Worker { dir } => crate::burst::worker::run(&dir, context.printer)
            .await
            .map(|()| exit::DONE),
        Command::Image(args) => {
            let mut progress = |text: &str| context.printer.progress(text);
            crate::plex::runtime::docker::pull(&args, &mut progress)
                .await
                .map(|()| exit::DONE)
                .map_err(|e| crate::plex::runtime::Error::from(e).into())
        }
        Command::Fit => {
            let wants = crate::host::fit::told()?;
            print_json(&crate::host::fit::lacks(&wants).await).map(|()| exit::DONE)
        }
        Command::Container(args) => crate::plex::runtime::docker::guardian::run(args)
            .await
            .map(|()| exit::DONE),
        Command::AtHome(part) => at_home::run(part).await,
        Command::Warden { file } => crate::burst::worker::warden::run(&file).await.map(|()| exit::DONE),
        Command::Cell(args) => crate::plex::runtime::cell::run(args)
            .await
            .map_err(|e| Error::failed("the cell cannot run the server").because(e)),
        Command::Probe(args) => Ok(crate::media::probe::run(args)),
    }
}

fn complain(error: &Error) {
    use std::io::Write;
    let mut text = format!("error: {}\n", error.chain());
    if let Some(hint) = error.hint_text() {
        text.push_str("hint: ");
        text.push_str(hint);
        text.push('\n');
    }
    // A closed stderr leaves the exit code.
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Prints a command's result.
fn print(text: &str) -> Result<()> {
    match crate::term::result(text) {
        // `plexburst … | head` is no failure.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Error::unexpected("cannot write the result").because(e)),
    }
}

/// Prints a result in which long lines belong below their columns: on a terminal they are broken between words.
fn print_folded(text: &str) -> Result<()> {
    let stdout = std::io::stdout();
    let width = match std::io::IsTerminal::is_terminal(&stdout) {
        true => rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col)),
        false => 0,
    };
    if width == 0 {
        return print(text);
    }
    let lines: Vec<String> = text.lines().flat_map(|line| folded(line, width, 4)).collect();
    print(&lines.join("\n"))
}

/// A path as it can be pasted into a shell.
fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+=:,@".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Prints `value` as one JSON object.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::unexpected("cannot write JSON").because(e))?;
    print(&text)
}
