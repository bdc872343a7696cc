//! The worker's server, made ready to be started: in the way that its machine allows, over the media as they are mounted.
//!
//! An image is pulled here, before anything that expires (a claim) is asked for.

use std::fs;
use std::time::Duration;

use super::Worker;
use super::progress::Teller;
use crate::burst::phase::Phase;
use crate::burst::runtime::{self, Way};
use crate::clock::{Clock, SystemClock};
use crate::config::CellMode;
use crate::error::{Context, Error, Result};
use crate::media::Opened;
use crate::plex::client::Client;
use crate::plex::runtime::docker::{self, Docker, Image};
use crate::plex::runtime::{self as plex_runtime, Confinement, Native, Runtime, Server, State};

/// How long the end of a server is waited for that answers, or does not. The engine may say a few seconds late what the one before
/// it died of.
const ANSWERS: Duration = Duration::from_secs(8);
const SILENT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);
/// The share of a machine's memory that is left to everything else: a tenth.
const LEFT: u64 = 10;

/// The server over these media; nothing is started. With it the address that it sees this machine under, when that is
/// not the loopback.
pub(super) async fn prepare(w: &Worker, media: &Opened, teller: &Teller<'_>) -> Result<(Server, Option<String>)> {
    let roots = w.spec.sections.iter().flat_map(|s| s.roots.iter().map(String::as_str));
    let roots = media.binds(roots)?;
    let container = &w.spec.container;
    let socket = runtime::socket(container.socket.as_deref());
    let program = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    let zone = container.time_zone.clone();
    match runtime::settle(container.runtime, &w.spec.server, &socket).await {
        Way::Native => {
            let zone = zone.map(|zone| ("TZ".into(), zone.into()));
            let env = w.spec.env.iter().map(|(k, v)| (k.into(), v.into()));
            let native = Native::prepare(plex_runtime::Spec {
                server: w.spec.server.clone(),
                support: w.support(),
                work: w.dir.join("plex"),
                writable: w.spec.writable.clone(),
                roots,
                env: zone.into_iter().chain(env).collect(),
                port: w.spec.port,
                program,
                confinement: match w.spec.cell {
                    CellMode::Auto => Confinement::Auto,
                    CellMode::Always => Confinement::Cell,
                    CellMode::Never => Confinement::Plain,
                },
                internet: w.spec.internet,
            })?;
            Ok((Server::Native(Box::new(native)), None))
        }
        Way::Docker => {
            let version = w.spec.plex_version.as_deref();
            let image = Image::of(container.image.as_deref(), version).ok_or_else(|| {
                Error::usage(
                    "which version of Plex the image has to be is not known: the library comes from an archive",
                )
                .hint("name the image with its tag in `worker.image`")
            })?;
            w.side.note(Phase::Start, format!("Plex runs in the image {image}"))?;
            let docker = Docker::prepare(
                docker::Spec {
                    socket,
                    image,
                    name: name(w),
                    support: w.support(),
                    work: w.dir.join("plex"),
                    writable: w.spec.writable.clone(),
                    roots,
                    env: w.spec.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
                    time_zone: zone,
                    memory: container.memory.map_or_else(memory, gibibytes),
                    cpus: container.cpus.unwrap_or_else(cpus).min(cpus()),
                    program,
                },
                &mut |text| teller.tell(text),
            )
            .await
            .map_err(plex_runtime::Error::from)?;
            let seen_from = docker.seen_from().await.map_err(plex_runtime::Error::from)?;
            Ok((Server::Docker(Box::new(docker)), seen_from))
        }
    }
}

/// What an earlier process of this worker left in the engine goes.
pub(super) async fn clear(w: &Worker) -> Result<()> {
    let container = &w.spec.container;
    let socket = runtime::socket(container.socket.as_deref());
    if runtime::settle(container.runtime, &w.spec.server, &socket).await == Way::Docker {
        docker::clear(&socket, &name(w))
            .await
            .map_err(plex_runtime::Error::from)?;
    }
    Ok(())
}

/// The failure of work with a server, or the server's own end when that is why: a call that breaks off says nothing of the
/// memory that ran out. Whoever looks after the server may see its end a moment later than the call.
pub(super) async fn or_its_end(server: &Server, client: &Client, error: Error) -> Error {
    let since = SystemClock.now();
    loop {
        if let State::Crashed(exit) = server.state() {
            let ended = Error::failed(format!("the worker's Plex {exit}")).because(error);
            return match exit.hint() {
                Some(hint) => ended.hint(hint),
                None => ended,
            };
        }
        // One that was started again by its container answers before it is seen that it is another.
        let patience = if client.identity().await.is_ok() {
            ANSWERS
        } else {
            SILENT
        };
        if SystemClock.now() - since > patience {
            return error;
        }
        SystemClock.sleep(LOOK).await;
    }
}

/// The container's name: home's own may be called plex.
fn name(w: &Worker) -> String {
    format!("plexburst-{}-{}", w.spec.burst.to_lowercase(), w.spec.number)
}

/// What this machine can give, in bytes.
fn memory() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = total.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.map_or(4 << 30, |kib| kib * 1024 / LEFT * (LEFT - 1))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is negative is 0 then, and the engine refuses it"
)]
fn gibibytes(gib: f64) -> u64 {
    (gib * f64::from(1 << 30)) as u64
}

fn cpus() -> f64 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cpus).map_or(1.0, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_from_the_machine() {
        assert!(memory() > 64 << 20);
        assert!(cpus() >= 1.0);
        assert_eq!(gibibytes(1.5), 3 << 29);
    }
}
