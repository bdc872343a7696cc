//! The command line of `plex-sim`, which is also `plexburst sim`.

mod bucket;
mod scaleway;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::fixture::{self, scale};
use crate::music::{self, Format};
use crate::plextv::PlexTv;
use crate::scaleway::ScalewayError;
use crate::schema::Version;
use crate::service::{self, ServiceError};
use crate::store::LIBRARY_DB;

/// A stand-in of Plex Media Server, and of Scaleway, for one machine.
#[derive(Debug, Parser)]
#[command(name = "plex-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a folder with Plex's three programs in it.
    Install {
        /// Is made if it is not there.
        dir: PathBuf,
    },
    /// Makes a folder that is the file system of a container image, laid out as the official one is:
    /// `tar -C DIR -c . | docker import --change 'ENTRYPOINT ["/init"]' - NAME:TAG`.
    Image {
        /// Must not be there yet, or be empty.
        dir: PathBuf,
    },
    /// Starts a server and returns when it answers.
    Start(Start),
    /// Stops a server and returns when it is gone.
    Stop {
        /// The parent of its "Plex Media Server".
        #[arg(long)]
        support: PathBuf,
    },
    /// Makes music: tagged files that sound different.
    Music(Music),
    /// Makes a library without media, of any size.
    Fixture(Fixture),
    /// Prints a fresh claim token of the stand-in for plex.tv; it is good for four minutes and once.
    Claim {
        /// Where the stand-in keeps its accounts.
        #[arg(long)]
        plextv: PathBuf,
        /// Of an account without a Plex Pass.
        #[arg(long)]
        no_pass: bool,
    },
    Scaleway(scaleway::Command),
    /// Serves a bucket of names that can be listed, and prints an rclone.conf that knows it as `bucket:`.
    Bucket(bucket::Args),
}

#[derive(Debug, clap::Args)]
struct Start {
    /// `Plex Media Server` in a folder of `plex-sim install`.
    #[arg(long)]
    server: PathBuf,
    /// The parent of its "Plex Media Server".
    #[arg(long)]
    support: PathBuf,
    /// Where it listens.
    #[arg(long, default_value_t = 32400)]
    port: u16,
    /// The address it listens on.
    #[arg(long)]
    bind: Option<String>,
    /// Where the stand-in for plex.tv keeps its accounts.
    #[arg(long)]
    plextv: Option<PathBuf>,
    /// Claims the server at its start.
    #[arg(long)]
    claim: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Music {
    /// Gets one folder per artist.
    dir: PathBuf,
    #[arg(long, default_value_t = 2)]
    artists: usize,
    /// Per artist.
    #[arg(long, default_value_t = 2)]
    albums: usize,
    /// Per album.
    #[arg(long, default_value_t = 5)]
    tracks: usize,
    /// Of each track.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Another one: other artists, other music.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum, default_value_t = Format::Flac)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Fixture {
    /// Gets both databases; if it has some already, those are taken.
    dir: PathBuf,
    /// How many times the reference library (456,534 tracks, 2 GiB).
    #[arg(long, default_value_t = 0.01)]
    size: f64,
    /// In bytes.
    #[arg(long, default_value_t = 1024)]
    page_size: u32,
    /// As servers of 2020 write it.
    #[arg(long)]
    old: bool,
    /// Other titles, guids, views: the same size.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Rows of statistics that nobody needs, some 50 bytes each.
    #[arg(long, default_value_t = 0)]
    statistics: usize,
    /// Files that have a fingerprint of 40 KB.
    #[arg(long, default_value_t = 0)]
    fingerprints: usize,
    /// Also copies it there and does to the copy what a burst does.
    #[arg(long, value_name = "DIR")]
    burst: Option<PathBuf>,
    /// Also copies it there and does to the copy what a household does in a day.
    #[arg(long, value_name = "DIR")]
    household: Option<PathBuf>,
}

impl Fixture {
    fn make(&self) -> Result<(), Box<dyn std::error::Error>> {
        let fixture = if self.dir.join(LIBRARY_DB).exists() {
            fixture::Fixture::at(&self.dir)?
        } else {
            scale::sized(&self.dir, self.size)
                .seed(self.seed)
                .page_size(self.page_size)
                .version(if self.old { Version::Plex2020 } else { Version::Plex2026 })
                .bloat(self.statistics, self.fingerprints)
                .build()?
        };
        if let Some(dir) = &self.burst {
            scale::Burst::REFERENCE.apply(&fixture.copy(dir)?)?;
        }
        if let Some(dir) = &self.household {
            scale::Household::REFERENCE.apply(&fixture.copy(dir)?)?;
        }
        Ok(())
    }
}

/// Runs the command that `args` (without a program name) say.
#[expect(clippy::print_stderr, reason = "the only way out for what went wrong")]
pub fn cli(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(std::iter::once(OsString::from("plex-sim")).chain(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody left to tell when printing fails.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plex-sim: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            let hint = error
                .downcast_ref::<ServiceError>()
                .and_then(ServiceError::hint)
                .or_else(|| error.downcast_ref::<ScalewayError>().and_then(ScalewayError::hint));
            if let Some(hint) = hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Image { dir } => crate::image::lay_out(&dir, &std::env::current_exe()?)?,
        Command::Install { dir } => println!("{}", crate::install(&dir, &std::env::current_exe()?)?.display()),
        Command::Start(start) => {
            let mut env = Vec::new();
            let mut set =
                |name: &str, value: Option<OsString>| env.extend(value.map(|value| (OsString::from(name), value)));
            set("PLEX_SIM_BIND", start.bind.map(Into::into));
            set("PLEX_SIM_PLEXTV", start.plextv.map(Into::into));
            set("PLEX_CLAIM", start.claim.map(Into::into));
            service::start(&start.server, &start.support, start.port, &env)?;
        }
        Command::Stop { support } => service::stop(&support)?,
        Command::Music(music) => {
            let spec = music::Spec {
                artists: music.artists,
                albums: music.albums,
                tracks: music.tracks,
                seconds: music.seconds,
                seed: music.seed,
                format: music.format,
            };
            for file in music::synthesise(&music.dir, &spec)? {
                println!("{}", file.display());
            }
        }
        Command::Scaleway(command) => scaleway::run(command)?,
        Command::Fixture(fixture) => {
            fixture.make()?;
            println!("{}", fixture.dir.display());
        }
        Command::Bucket(args) => {
            let served = args.start()?;
            println!("{}", served.rclone_conf());
            served.wait();
        }
        Command::Claim { plextv, no_pass } => println!("{}", PlexTv::at(&plextv).issue_claim(!no_pass)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(args: &[&str]) -> ExitCode {
        cli(args.iter().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_use_and_help() {
        assert_eq!(run_with(&["dance"]), ExitCode::from(2));
        assert_eq!(run_with(&["--help"]), ExitCode::SUCCESS);
    }

    #[test]
    fn a_fixture_with_its_burst_and_its_household() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let made = run_with(&[
            "fixture",
            &path("base"),
            "--size=0.002",
            "--page-size=4096",
            "--statistics=500",
            "--fingerprints=20",
        ]);
        assert_eq!(made, ExitCode::SUCCESS);
        let again = run_with(&[
            "fixture",
            &path("base"),
            "--burst",
            &path("worker"),
            "--household",
            &path("home"),
        ]);
        assert_eq!(again, ExitCode::SUCCESS);
        let count = |name: &str, sql: &str| {
            let pair = crate::store::open(&dir.path().join(name)).unwrap();
            let db = if sql.contains("blob") { pair.blobs } else { pair.library };
            db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count("base", "PRAGMA page_size"), 4096);
        let bloat = "SELECT count(*) FROM statistics_bandwidth WHERE account_id IS NULL";
        assert_eq!(count("base", bloat), 500);
        assert!(
            count(
                "base",
                "SELECT count(*) FROM blobs WHERE length(blob) > 40000 AND blob_type = 5"
            ) >= 20
        );
        let tracks = "SELECT count(*) FROM metadata_items NOT INDEXED WHERE metadata_type = 10";
        assert_eq!(count("worker", tracks), count("base", tracks) + 2_400);
        let views = "SELECT count(*) FROM metadata_item_views";
        assert_eq!(count("home", views), count("base", views) + 120);
    }

    #[test]
    fn install_and_stop_what_does_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(run_with(&["install", &path("lib")]), ExitCode::SUCCESS);
        assert!(dir.path().join("lib/Plex Music Analyzer").is_symlink());
        assert_eq!(run_with(&["stop", "--support", &path("home")]), ExitCode::SUCCESS);
        std::fs::write(dir.path().join("file"), b"").unwrap();
        assert_eq!(run_with(&["install", &path("file")]), ExitCode::FAILURE);
    }
}
