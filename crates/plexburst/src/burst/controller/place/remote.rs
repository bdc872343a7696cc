//! The worker on another machine, over SSH: its folder, its secrets, its task, its process.
//!
//! What it leaves for the controller is in the depot; the connection is only needed to begin, to look whether it lives and
//! to end it. A connection that is gone says nothing about the worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::super::{Controller, Prepared};
use super::Alive;
use super::secrets;
use crate::burst::phase::Phase;
use crate::burst::spec::{self, Lease, Parked, WorkerSpec, key};
use crate::burst::worker::warden::Warrant;
use crate::clock::{Clock, SystemClock};
use crate::config::{CellMode, RuntimeMode};
use crate::error::{Context, Error, Result};
use crate::host::equip::Equipped;
use crate::host::fit::Wants;
use crate::host::secrets::Secret;
use crate::host::{Host, Target, equip};
use crate::plex::runtime::docker::Image;

/// How often what a broken connection interrupted is begun again.
const RECONNECTS: usize = 3;
/// How long a connection that broke is left alone.
const RECONNECT_PAUSE: Duration = Duration::from_secs(3);

/// What is known of the machine once it is equipped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settled {
    /// The program there.
    program: String,
    /// The worker's folder.
    work_dir: String,
    /// The folder in memory with its secrets.
    secrets: String,
    /// "x86_64" or "aarch64".
    pub(super) arch: String,
    /// vCPUs.
    pub(super) cpus: u32,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// What to add to that machine's clock to get the provider's, in seconds.
    #[serde(default)]
    pub(super) clock_offset: i64,
}

/// The image that a worker there will run, unless it is a binary that it runs.
async fn image_for(c: &Controller, host: &Host) -> Result<Option<String>> {
    let worker = &c.request.config.worker;
    let server = c.server();
    let is_wanted = match worker.runtime {
        RuntimeMode::Docker => true,
        RuntimeMode::Native => false,
        RuntimeMode::Auto => {
            let script = format!("[ -f '{}' ] && echo there || echo none\n", server.display());
            host.script("looking for Plex", &script).await?.trim() == "none"
        }
    };
    let prepared: Option<Prepared> = c.side.journal().facts(Phase::Prepare)?;
    let version = prepared.and_then(|prepared| prepared.plex_version);
    let image = Image::of(worker.image.as_deref(), version.as_deref());
    match image {
        Some(image) if is_wanted => Ok(Some(image.to_string())),
        // The worker says what it lacks.
        _ => Ok(None),
    }
}

/// What the machine has to have.
fn wants(c: &Controller, is_rented: bool) -> Wants {
    let config = &c.request.config;
    let mount = (config.media.directory.is_none()).then(|| crate::media::program::Wanted::of(&config.media));
    let cell = config.worker.cell != CellMode::Never && config.worker.runtime != RuntimeMode::Docker;
    Wants {
        is_rented,
        mount,
        cell,
        internet: super::super::work::has_internet(c),
    }
}

/// A machine over SSH.
pub(super) struct Remote {
    target: Target,
    connection: Mutex<Option<Host>>,
    /// Whether what was done last failed because there was no connection, or none any more.
    is_broken: AtomicBool,
}

impl Remote {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            connection: Mutex::new(None),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Runs `f` with a connection, made anew when there is none.
    pub(super) async fn with<T>(&self, f: impl AsyncFnOnce(&Host) -> Result<T>) -> Result<T> {
        let mut connection = self.connection.lock().await;
        let host = match connection.take() {
            Some(host) => host,
            None => {
                self.is_broken.store(true, Ordering::Relaxed);
                Host::connect(&self.target).await?
            }
        };
        let result = f(&host).await;
        let is_broken = result.is_err() && !host.is_connected().await;
        self.is_broken.store(is_broken, Ordering::Relaxed);
        match &result {
            Ok(_) => *connection = Some(host),
            // It may be the connection that failed: the next call makes another.
            Err(_) => host.close().await,
        }
        result
    }

    /// Does what may be done twice again, as long as it fails because the connection broke.
    pub(super) async fn persist<T>(&self, f: impl AsyncFn() -> Result<T>) -> Result<T> {
        let mut left = RECONNECTS;
        loop {
            match f().await {
                Err(error) if left > 0 && self.is_broken.load(Ordering::Relaxed) => {
                    left -= 1;
                    tracing::warn!(error = error.chain(), "the connection broke; made again");
                    SystemClock.sleep(RECONNECT_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Brings the program and what it needs; `provider_now` is there on a rented machine.
    pub(super) async fn equip(&self, c: &Controller, provider_now: Option<i64>) -> Result<Settled> {
        let id = c.id();
        self.with(async |host| {
            if provider_now.is_some() {
                equip::booted(host, &SystemClock).await?;
            }
            let base = host
                .script(
                    "looking for a place to work",
                    "if [ \"$(id -u)\" = 0 ]; then echo /var/lib/plexburst; else echo \"$HOME/.local/share/plexburst\"; fi\n\
                     if [ -d /dev/shm ] && [ -w /dev/shm ]; then echo /dev/shm; else echo /run; fi\ndate +%s\n",
                )
                .await?;
            let mut lines = base.lines();
            let (base, memory) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            let there: i64 = lines.next().and_then(|text| text.parse().ok()).unwrap_or_default();
            let named = c.request.config.worker.directory.as_ref().map(|dir| dir.display().to_string());
            let base = named.as_deref().unwrap_or(base);
            if !base.starts_with('/') || base.contains(char::is_whitespace) {
                return Err(Error::failed(format!("{} has no folder for a worker ({base:?})", host.name())));
            }
            let own = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
            let wants = wants(c, provider_now.is_some());
            let Equipped {
                program,
                arch,
                cpus,
                memory: bytes,
            } = equip::equip(host, &format!("{base}/bin"), &own, &wants).await?;
            if let Some(image) = image_for(c, host).await? {
                let socket = c.request.config.worker.docker_socket.as_deref();
                equip::docker(host, &program, &image, socket).await?;
            }
            Ok(Settled {
                program,
                work_dir: format!("{base}/{id}"),
                secrets: format!("{memory}/plexburst-{id}"),
                arch,
                cpus,
                memory: bytes,
                clock_offset: provider_now.map_or(0, |now| now - there),
            })
        })
        .await
    }

    /// Leaves there what the worker has to know: its secrets in memory, its task in its folder.
    pub(super) async fn tell(
        &self,
        c: &Controller,
        settled: &Settled,
        prepared: &Prepared,
        parked: &Parked,
        lease: Option<Lease>,
    ) -> Result<()> {
        let mut spec: WorkerSpec = super::super::work::spec_of(c, prepared, parked)?;
        spec.lease = lease;
        let mut secrets = secrets::collect(&mut spec, &settled.secrets)?;
        spec.claim_drop = Some(format!("{}/{}", settled.secrets, spec::CLAIM).into());
        if let Some(content) = super::super::account::take(c)? {
            spec.identity = Some(format!("{}/{}", settled.secrets, spec::IDENTITY).into());
            secrets.push(Secret {
                name: spec::IDENTITY.to_owned(),
                content: String::from_utf8(content)
                    .map_err(|e| Error::unexpected("the worker's identity is no text").because(e))?,
            });
        }
        // The keys of the depot and the task are written by the same code as for a worker here.
        let local = tempfile::tempdir().context(|| "cannot make a temporary folder".to_owned())?;
        super::super::work::save_keys(c, parked, local.path())?;
        spec.save(local.path())?;
        self.with(async |host| {
            for dir in [&settled.work_dir, &settled.secrets] {
                host.run("mkdir", &["-p", "-m", "700", "--", dir]).await?;
            }
            for secret in &secrets {
                let path = format!("{}/{}", settled.secrets, secret.name);
                host.write(&path, "600", secret.content.as_bytes()).await?;
            }
            for name in [spec::KEYS, spec::BASE_KEYS, spec::FILE] {
                let from = local.path().join(name);
                if from.is_file() {
                    let content = std::fs::read(&from).context(|| format!("cannot read {}", from.display()))?;
                    host.write(&format!("{}/{name}", settled.work_dir), "600", &content)
                        .await?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Whether the machine's warden watches.
    pub(super) async fn is_guarded(&self, settled: &Settled) -> Result<bool> {
        let script = format!(
            "if [ -e {dir}/warden.lock ] && ! flock -n {dir}/warden.lock true; then echo yes; fi\n",
            dir = settled.work_dir
        );
        let said = self
            .with(async |host| host.script("looking at the machine's warden", &script).await)
            .await?;
        Ok(said.trim() == "yes")
    }

    /// Has the machine's warden watch; its key goes into memory there.
    pub(super) async fn guard(&self, settled: &Settled, warrant: &Warrant) -> Result<()> {
        let content =
            serde_json::to_vec(warrant).map_err(|e| Error::unexpected("cannot write down a warrant").because(e))?;
        let script = format!(
            "cd {dir}\nsetsid -f sh -c 'exec \"$0\" warden \"$1\" >>warden.log 2>&1 </dev/null' {program} {secrets}/warrant\n\
             n=0\nwhile [ $n -lt 300 ]; do\n  if [ -e warden.lock ] && ! flock -n warden.lock true; then exit 0; fi\n  \
             n=$((n+1)); sleep 0.1\ndone\n\
             echo \"the machine's warden does not begin: $(tail -n 1 warden.log 2>/dev/null)\" >&2; exit 1\n",
            dir = settled.work_dir,
            program = settled.program,
            secrets = settled.secrets,
        );
        self.with(async |host| {
            for dir in [&settled.work_dir, &settled.secrets] {
                host.run("mkdir", &["-p", "-m", "700", "--", dir]).await?;
            }
            host.write(&format!("{}/warrant", settled.secrets), "600", &content)
                .await?;
            host.script("starting the machine's warden", &script).await
        })
        .await
        .map(drop)
    }

    /// The worker's folder there.
    pub(super) fn work_dir_of(settled: &Settled) -> &str {
        &settled.work_dir
    }

    /// Starts the worker unless it runs.
    pub(super) async fn start(&self, c: &Controller, settled: &Settled) -> Result<()> {
        if self.is_alive(settled).await? == Alive::Yes {
            return Ok(());
        }
        super::super::work::may_begin(c).await?;
        let script = format!(
            "cd {dir}\nsetsid -f sh -c 'exec \"$0\" worker \"$1\" >>\"$1/worker.log\" 2>&1 </dev/null' {program} {dir}\n\
             n=0\nwhile [ $n -lt 300 ]; do\n  if [ -e lock ] && ! flock -n lock true; then exit 0; fi\n  \
             if [ -e ended ]; then exit 0; fi\n  n=$((n+1)); sleep 0.1\ndone\n\
             echo \"the worker does not begin: $(tail -n 1 worker.log 2>/dev/null)\" >&2; exit 1\n",
            dir = settled.work_dir,
            program = settled.program,
        );
        self.with(async |host| host.script("starting the worker", &script).await)
            .await
            .map(drop)
    }

    /// Leaves the answer to the worker's wish for a claim.
    pub(super) async fn hand_over(&self, settled: &Settled, answer: &[u8]) -> Result<()> {
        let path = format!("{}/{}", settled.secrets, spec::CLAIM);
        self.with(async |host| host.write(&path, "600", answer).await).await
    }

    /// The text of the Preferences.xml that the worker's server has.
    pub(super) async fn preferences(&self, settled: &Settled) -> Result<String> {
        let script = format!("cat '{}/support/Plex Media Server/Preferences.xml'\n", settled.work_dir);
        self.with(async |host| host.script("reading the worker's preferences", &script).await)
            .await
    }

    /// Whether a worker holds the lock there.
    pub(super) async fn is_alive(&self, settled: &Settled) -> Result<Alive> {
        let script = format!(
            "if [ ! -d {dir} ]; then echo none; elif [ -e {dir}/lock ] && ! flock -n {dir}/lock true; then echo alive; \
             else echo dead; fi\n",
            dir = settled.work_dir
        );
        let said = self
            .with(async |host| host.script("looking at the worker", &script).await)
            .await?;
        Ok(match said.trim() {
            "alive" => Alive::Yes,
            _ => Alive::No,
        })
    }

    /// The last line of what it said.
    pub(super) async fn last_line(&self, settled: &Settled) -> String {
        let script = format!("tail -n 1 {}/worker.log 2>/dev/null || true\n", settled.work_dir);
        match self
            .with(async |host| host.script("reading the worker's log", &script).await)
            .await
        {
            Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
            Ok(_) => "it said nothing".to_owned(),
            Err(error) => error.chain(),
        }
    }

    /// Ends the worker, unmounts what it mounted and removes what it left; for a machine that stays.
    pub(super) async fn clean(&self, c: &Controller, settled: &Settled) -> Result<()> {
        if self.is_alive(settled).await? == Alive::Yes {
            c.depot
                .put_bytes(key::CANCEL, b"the controller removes the worker")
                .await?;
        }
        let limit = c.request.config.limits.stop;
        let script = format!(
            "dir={dir}\n\
             n=0\nwhile [ -e \"$dir/lock\" ] && ! flock -n \"$dir/lock\" true; do\n\
               n=$((n+1))\n\
               if [ $n -gt {limit} ]; then kill -KILL \"$(head -n 1 \"$dir/lock\")\" 2>/dev/null || true; fi\n\
               if [ $n -gt {twice} ]; then echo 'the worker does not end' >&2; exit 1; fi\n\
               sleep 1\ndone\n\
             awk -v d=\"$dir/\" 'index($2, d) == 1 {{print $2}}' /proc/mounts | sort -r | while read -r m; do\n\
               fusermount3 -uz \"$m\" 2>/dev/null || umount -l \"$m\" 2>/dev/null || true\ndone\n\
             if awk -v d=\"$dir/\" 'index($2, d) == 1 {{f=1}} END {{exit !f}}' /proc/mounts; then\n\
               echo 'something is still mounted there' >&2; exit 1\nfi\n\
             rm -rf -- \"$dir\" {secrets}\n",
            dir = settled.work_dir,
            secrets = settled.secrets,
            twice = limit * 2,
        );
        self.with(async |host| host.script("removing the worker", &script).await)
            .await
            .map(drop)
    }
}
