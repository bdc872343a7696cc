//! Mount, start, quiet, stop: the media proved by reading, and Plex of the worker's own over them.
//!
//! None of this outlives the worker's process, so all of it is done again by a worker that goes on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::progress::Teller;
use super::{Worker, claim, found, index, saver, serve};
use crate::burst::elsewhere;
use crate::burst::guard::{Finding, Guard};
use crate::burst::journal::Event;
use crate::burst::phase::Phase;
use crate::burst::spec::Mounted;
use crate::clock::{Clock, SystemClock};
use crate::error::{Context, Error, Result};
use crate::media::speed::Speed;
use crate::media::{Media, Opened, sample};
use crate::plex::client::Client;
use crate::plex::index::Moment;
use crate::plex::preferences::{self, Preferences};
use crate::plex::ready::{self, Waiting};
use crate::plex::runtime::{Runtime, Server};

/// Files of a section that are read to prove it.
const SAMPLE: usize = 12;
/// What stands before a note that the report has as well.
pub(super) const WARNING: &str = "warning: ";
/// Between two looks at what has to end.
const LOOK: Duration = Duration::from_millis(500);

/// Facts of the phase `start`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Started {
    /// The version of its Plex.
    pub version: String,
    /// In what it lives.
    #[serde(default)]
    pub lives: String,
    /// Who it is.
    #[serde(default)]
    pub machine: String,
}

/// Mounts the media (or takes the plain folder) and proves every section root by reading.
pub(super) async fn mount(w: &Worker) -> Result<Opened> {
    let media = Media::of(&w.spec.media)?;
    let files = sampled(w, None)?;
    let limit = Duration::from_secs(w.spec.limits.mount);
    let mut opened = None;
    w.side
        .again(Phase::Mount, &format!("bringing up {}", media.name()), async || {
            let up = media
                .open(&w.dir.join("media"), &program()?, &files, limit, &SystemClock)
                .await?;
            let proved = async {
                prove(w, &up, Phase::Mount, &files, Moment::Before).await?;
                measured(w, &up, &files, limit).await
            };
            match proved.await {
                Ok(speed) => {
                    opened = Some(up);
                    Ok(Some(Mounted { speed }))
                }
                Err(error) => {
                    up.close().await?;
                    Err(error)
                }
            }
        })
        .await?;
    opened.ok_or_else(|| Error::unexpected("the media were opened and are not there"))
}

/// Measured before hours of work are begun with it.
async fn measured(w: &Worker, media: &Opened, files: &[String], limit: Duration) -> Result<Option<Speed>> {
    let speed = media.speed(files, limit).await.map_err(Error::from)?;
    if let Some(speed) = &speed {
        let warning = if speed.is_slow() { "warning: slow media: " } else { "" };
        w.side.note(Phase::Mount, format!("{warning}{speed}"))?;
    }
    Ok(speed)
}

/// What was measured is enough, or was agreed to. The measurement itself stands in the journal before it is judged: later
/// bursts are told.
fn fast_enough(w: &Worker) -> Result<()> {
    let mounted: Option<Mounted> = w.side.facts(Phase::Mount)?;
    let Some(speed) = mounted.and_then(|mounted| mounted.speed) else {
        return Ok(());
    };
    match speed.at_least(w.spec.media.min_speed) {
        Err(slow) if w.spec.options.accept_slow => w.side.note(Phase::Start, format!("warning: {slow}, as was agreed")),
        judged => judged.map_err(Error::from),
    }
}

/// Guard 4: real bytes of sampled files, within a limit that a hung mount cannot break.
pub(super) async fn prove(w: &Worker, media: &Opened, phase: Phase, files: &[String], moment: Moment) -> Result<()> {
    if !media.is_running() {
        return Err(Error::failed("the mount is gone").hint("`plexburst resume` mounts it again and goes on"));
    }
    let proof = media.prove(files, Duration::from_secs(w.spec.limits.mount)).await?;
    if proof.holds() {
        // While a scan runs this is asked every minute: the journal has the first and the last.
        return match moment {
            Moment::During => Ok(()),
            Moment::Before | Moment::After | Moment::Refreshed => w.found(phase, &found::mount_proved(moment, &proof)),
        };
    }
    let failed: Vec<String> = proof.failed().take(3).map(|p| p.file.display().to_string()).collect();
    let why = format!(
        "{} of {} sampled files cannot be read: {}",
        proof.failed().count(),
        proof.files.len(),
        failed.join(", ")
    );
    w.found(phase, &found::mount_refused(why))
}

/// Some files of every section (or of one), by home's paths; the roots of a section that has none yet. Those that the
/// media did not have when the burst began were accepted as losses and prove nothing.
pub(super) fn sampled(w: &Worker, section: Option<i64>) -> Result<Vec<String>> {
    let known = plex_library::files::known(&w.base())?;
    let mappings = crate::media::mappings::Mappings::of(&w.spec.media)?;
    let sections = w
        .spec
        .sections
        .iter()
        .filter(|s| section.is_none_or(|wanted| wanted == s.id));
    Ok(sections
        .flat_map(|s| match known.get(&s.id) {
            Some(files) if !files.is_empty() => sample::of(files, SAMPLE, sample::seed())
                .iter()
                .map(|file| mappings.map(file).into_owned())
                .collect(),
            _ => s.roots.clone(),
        })
        .collect())
}

fn program() -> Result<std::path::PathBuf> {
    std::env::current_exe().context(|| "cannot find this program's own file".to_owned())
}

/// Starts Plex, has every section indexed, and stops Plex, whatever happened.
pub(super) async fn with_server(w: &Worker, media: &mut Opened) -> Result<()> {
    serve::clear(w).await?;
    alone(w).await?;
    let (mut server, seen_from) = serve::prepare(w, media, &Teller::new(w)).await?;
    prepare_preferences(w, seen_from.as_deref())?;
    let driven = tokio::select! {
        driven = drive(w, media, &mut server) => driven,
        cancelled = w.cancelled() => {
            leave_what_is_done(w, &cancelled).await;
            Err(cancelled)
        }
        why = w.is_over() => w.side.note(
            Phase::Stop,
            format!("{WARNING}{why}: what is done so far comes home, the rest is for another burst"),
        ),
    };
    let limit = Duration::from_secs(w.spec.limits.stop);
    if let Err(error) = driven {
        // What went wrong first is what counts; the server must be gone in any case.
        if let Err(stop) = server.stop(limit).await {
            w.side
                .printer
                .warn(&format!("the worker's Plex could not be stopped: {stop}"));
        }
        return Err(error);
    }
    w.side
        .phase(Phase::Stop, "stopping Plex", async || {
            // Whoever reads the library keeps Plex from putting its write-ahead log away.
            w.saver.is_still().await;
            let stopped = server.stop(limit).await.map_err(Error::from)?;
            if !stopped.clean {
                return Err(Error::failed(format!(
                    "the worker's Plex had to be killed after {} s",
                    limit.as_secs()
                ))
                .hint("`plexburst resume` starts it again and stops it cleanly; `limits.stop` gives it more time"));
            }
            Ok(())
        })
        .await
}

/// The machine of a burst that was cancelled from another one is ended next: what is done so far goes into the depot first.
async fn leave_what_is_done(w: &Worker, cancelled: &Error) {
    let Some(section) = w.saver.section() else { return };
    let why = std::error::Error::source(cancelled).map(ToString::to_string);
    if why.is_some_and(|why| elsewhere::is_by_another(&why))
        && let Err(error) = saver::save(w, section, "as the worker is told to end").await
    {
        w.side.printer.warn(&error.chain());
    }
}

/// Ends what a killed worker before this one had started, and waits until it is gone. A cell dies with its worker, unless
/// the worker was killed before bubblewrap had asked the kernel for that; and a server that still answers, dying or not,
/// must not be taken for the new one.
async fn alone(w: &Worker) -> Result<()> {
    let since = SystemClock.now();
    let limit = Duration::from_secs(w.spec.limits.stop);
    loop {
        let cells = cells_left(w)?;
        for pid in &cells {
            // Gone by itself meanwhile is as good.
            let _ = rustix::process::kill_process(*pid, rustix::process::Signal::KILL);
        }
        let users = plex_library::users::of(&w.databases())?;
        if users.is_empty() && cells.is_empty() {
            return Ok(());
        }
        if SystemClock.now() - since > limit {
            let names: Vec<String> = users.iter().map(ToString::to_string).collect();
            return Err(Error::failed(format!(
                "the Plex of a worker that was killed does not end: {} ({} cells)",
                names.join(", "),
                cells.len()
            ))
            .hint("end these processes, then `plexburst resume`"));
        }
        SystemClock.sleep(LOOK / 10).await;
    }
}

/// Processes that were started for this worker's own Plex: its folder stands on their command line.
fn cells_left(w: &Worker) -> Result<Vec<rustix::process::Pid>> {
    let folder = w.dir.join("plex");
    let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
    let folder = folder.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context(|| "cannot look at the processes".to_owned())? {
        let entry = entry.context(|| "cannot look at the processes".to_owned())?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        // The command line of a process that hangs in a dead mount may hang whoever reads it; its short name does not.
        if std::fs::read(entry.path().join("comm")).is_ok_and(|name| name != b"bwrap\n") {
            continue;
        }
        // A process that ends meanwhile has no command line any more.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|word| word == folder) {
            found.push(pid);
        }
    }
    Ok(found)
}

async fn drive(w: &Worker, media: &mut Opened, server: &mut Server) -> Result<()> {
    let teller = Teller::new(w);
    let client = w
        .side
        .again(Phase::Start, "starting Plex", async || {
            fast_enough(w)?;
            server.start().await.map_err(Error::from)?;
            let ready = come_up(w, server, &teller).await?;
            let home = w.spec.plex_version.as_deref();
            w.found(Phase::Start, &found::same_version(home, &ready.identity.version))?;
            Ok(Started {
                version: ready.identity.version,
                lives: server.home().to_owned(),
                machine: ready.identity.machine_identifier,
            })
        })
        .await
        .and_then(|_| client_of(server))?;
    let has_pass = w
        .side
        .again(Phase::Quiet, "keeping Plex quiet", async || {
            match quiet(w, server, &client, &teller).await {
                Err(error) => Err(serve::or_its_end(server, &client, error).await),
                has_pass => has_pass,
            }
        })
        .await?;
    index::all(w, media, server, client, has_pass, &teller).await
}

/// What deletes is off and proved, the server is claimed, everything else keeps quiet; whether it has Plex Pass.
async fn quiet(w: &Worker, server: &Server, client: &Client, teller: &Teller<'_>) -> Result<bool> {
    preferences::forbid_deleting(client).await.map_err(Error::from)?;
    let names = preferences::OFF.len();
    let off = format!("{names} preferences that delete are off on the worker, and read back");
    w.found(Phase::Quiet, &Finding::passed(Guard::DeletingOff, off))?;
    let state = || server.state();
    let process = ready::Process {
        state: &state,
        data_dir: server.data_dir(),
    };
    let has_pass = claim::claim(w, client, process, teller).await?;
    let hour = jiff::ZonedDateTime::now().hour();
    let quieted = preferences::quiet(client, hour).await.map_err(Error::from)?;
    w.found(Phase::Quiet, &found::invisible(client).await?)?;
    for line in quieted.lines() {
        note_once(w, &line)?;
    }
    Ok(has_pass)
}

/// Notes what a worker before this one on the same folder, or Plex at an earlier start, may have been the reason to note already.
fn note_once(w: &Worker, line: &str) -> Result<()> {
    let is_it = |event: &Event| matches!(event, Event::Note { text } if text == line);
    let is_known = {
        let journal = w.side.journal();
        journal
            .entries()
            .iter()
            .any(|entry| entry.phase == Phase::Quiet && is_it(&entry.event))
    };
    if is_known {
        Ok(())
    } else {
        w.side.note(Phase::Quiet, line)
    }
}

/// Starts Plex again after it was stopped in the middle of a section, as quiet as it was: its claim and its preferences
/// are in its own files.
pub(super) async fn begin(w: &Worker, server: &mut Server, teller: &Teller<'_>) -> Result<Client> {
    server.start().await.map_err(Error::from)?;
    come_up(w, server, teller).await?;
    let client = client_of(server)?;
    preferences::forbid_deleting(&client).await.map_err(Error::from)?;
    let hour = jiff::ZonedDateTime::now().hour();
    preferences::quiet(&client, hour).await.map_err(Error::from)?;
    Ok(client)
}

/// Preferences of the worker's own identity, before the first start; a worker that goes on keeps what it has (the
/// claim among it).
fn prepare_preferences(w: &Worker, seen_from: Option<&str>) -> Result<()> {
    if w.data_dir().join("Preferences.xml").exists() {
        return Ok(());
    }
    // The identity is derived from the burst: a worker started again before the file was written is the same server.
    let digest = blake3::hash(format!("{}/{}", w.spec.burst, w.spec.number).as_bytes());
    let hex = digest.to_hex();
    let machine = format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    );
    let mut preferences = Preferences::of_worker(&machine, &format!("plexburst worker {}", w.spec.number));
    if let Some(address) = seen_from {
        // A signed-out server in a container answers only whom this names, and this machine alone is named.
        preferences.set("allowedNetworks", &format!("{address}/255.255.255.255"));
    }
    if let Some(path) = &w.spec.identity {
        let bytes = std::fs::read(path).context(|| format!("cannot read {}", path.display()))?;
        let kept: std::collections::BTreeMap<String, String> = serde_json::from_slice(&bytes)
            .map_err(|_| Error::failed(format!("{} is no identity of a server", path.display())))?;
        for (name, value) in &kept {
            preferences.set(name, value);
        }
    }
    preferences.write(&w.data_dir()).map_err(Error::from)
}

fn client_of(server: &Server) -> Result<Client> {
    let token = preferences::local_token(server.data_dir());
    Client::new("worker", &server.address(), token.as_ref()).map_err(Error::from)
}

async fn come_up(w: &Worker, server: &Server, teller: &Teller<'_>) -> Result<ready::Ready> {
    let limits = ready::Limits::of_total(Duration::from_secs(w.spec.limits.ready));
    let state = || server.state();
    let process = ready::Process {
        state: &state,
        data_dir: server.data_dir(),
    };
    let ready = ready::wait_for_process(
        &SystemClock,
        &limits,
        || client_of(server).map_err(Into::into),
        Some(process),
        &mut |waiting: &Waiting| teller.tell(&waiting.to_string()),
    )
    .await;
    ready.map_err(|e| {
        let log = e.log().join("\n  ");
        let error = Error::from(e);
        if log.is_empty() {
            error
        } else {
            w.side.printer.warn(&format!("Plex's log ends with\n  {log}"));
            error
        }
    })
}
