//! `plex-sim scaleway`: the Scaleway simulator as a process of its own.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::scaleway::{Delays, Instances, Options, Pace, Scaleway};

/// Runs a Scaleway on this machine until it is interrupted; its instances end with it.
///
/// Prints one line of JSON when it can be used: url, access_key, secret_key, organization_id, project_id,
/// other_project_id.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What stands behind a server that runs; `namespace` needs root.
    #[arg(long, value_enum, default_value_t = Instances::None)]
    instances: Instances,
    /// Where the disks of instances lie; a temporary folder otherwise.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Ids, keys and chance come from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times as fast as the real one its time runs; 0: only when it is told to (`POST /sim/clock`).
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Without a moving clock: how far each request moves it.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    step: f64,
    /// Everything happens at once, instead of after the usual delays.
    #[arg(long)]
    no_delays: bool,
    /// The port at which instances take SSH.
    #[arg(long, default_value_t = 22)]
    ssh_port: u16,
}

impl Command {
    fn options(self) -> Options {
        Options {
            listen: self.listen,
            seed: self.seed,
            pace: match self.speed > 0.0 {
                true => Pace::Auto { speed: self.speed },
                false => Pace::Manual {
                    step_seconds: self.step,
                },
            },
            delays: if self.no_delays {
                Delays::NONE
            } else {
                Delays::default()
            },
            instances: self.instances,
            ssh_port: self.ssh_port,
            state: self.state,
        }
    }
}

pub(super) fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let scaleway = Scaleway::start(&command.options())?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(scaleway.access())?)?;
    out.flush()?;
    // Blocks until the first signal.
    signals.forever().next();
    drop(scaleway);
    Ok(())
}
