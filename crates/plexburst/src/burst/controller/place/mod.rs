//! Where a burst's worker runs: as a process here, on a host of the user's own over SSH, or on a machine that is rented for
//! it. The phases around it are the same; what differs is how it is begun, looked after and ended.

mod afar;
mod here;
mod remote;
mod rented;
mod secrets;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{Controller, Prepared};
use crate::burst::phase::Phase;
use crate::burst::request::On;
use crate::burst::spec::Parked;
use crate::error::{Error, Result};
use crate::host::Target;
use afar::Afar;
use remote::{Remote, Settled};
use rented::{Cloud, Rented};

/// What can be said of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alive {
    /// It holds its lock.
    Yes,
    /// It does not, or its machine is gone.
    No,
    /// Its machine runs and does not answer: the worker may go on by itself.
    Unknown,
}

/// Facts of the phase `provision` for a worker on this machine.
#[derive(Debug, Serialize, Deserialize)]
struct ProvisionedHere {
    work_dir: PathBuf,
}

/// The place, for as long as this process follows the worker.
pub(super) struct Place(Whose);

enum Whose {
    /// This machine.
    Here,
    /// A host of the user's own.
    Own(Box<(Remote, Settled)>),
    /// A rented machine.
    Rented(Box<Machine>),
    /// A rented machine that this controller has no key to.
    Afar(Box<Afar>),
}

struct Machine {
    cloud: Cloud,
    rented: Rented,
    remote: Remote,
    settled: Settled,
    /// Whether everybody with the burst's key is let in until this machine is.
    is_open: AtomicBool,
}

/// Provides the place and has the worker run there, or finds it running.
pub(super) async fn provide(c: &Controller, prepared: &Prepared, parked: &Parked) -> Result<Place> {
    match &c.request.options.on {
        On::Here => {
            c.side
                .phase(Phase::Provision, "starting a worker on this machine", async || {
                    let work_dir = c.work_dir();
                    c.make_work_dir()?;
                    super::work::tell(c, prepared, parked)?;
                    here::start(c, &work_dir).await?;
                    Ok(ProvisionedHere { work_dir })
                })
                .await?;
            Ok(Place(Whose::Here))
        }
        On::Host(url) => {
            let remote = Remote::new(target(c, url)?);
            c.side
                .again(Phase::Reach, &format!("reaching {url}"), async || {
                    remote.with(async |host| host.run("true", &[]).await.map(drop)).await
                })
                .await?;
            let settled: Settled = c
                .side
                .phase(Phase::Equip, "bringing the program and what it needs", async || {
                    remote.persist(async || remote.equip(c, None).await).await
                })
                .await?;
            begin(c, &remote, &settled, prepared, parked, None).await?;
            Ok(Place(Whose::Own(Box::new((remote, settled)))))
        }
        On::Scaleway => {
            let mut cloud = Cloud::of(c)?;
            forget_what_is_gone(c, &cloud).await?;
            if !rented::has_key(c) {
                match afar::find(c, cloud).await? {
                    Ok(afar) => return Ok(Place(Whose::Afar(Box::new(afar)))),
                    Err(back) => cloud = back,
                }
            }
            let rented: Rented = c
                .side
                .phase(Phase::Provision, "renting a machine", async || {
                    super::work::may_begin(c).await?;
                    cloud.rent(c, library_bytes(c)).await
                })
                .await?;
            let mut remote = None;
            c.side
                .again(Phase::Reach, "reaching it, with its host key verified", async || {
                    let target = cloud.reach(c, &rented).await?;
                    let reached = Remote::new(target);
                    let seen_from = match reached.with(async |host| origin(host).await).await {
                        Ok(seen) => seen,
                        Err(error) if error.exit() == crate::exit::HOME_UNCHANGED => {
                            // Perhaps this machine has another address than when the machine was closed to all others.
                            cloud.open_again(c, &rented).await?;
                            reached.with(async |host| origin(host).await).await?
                        }
                        Err(error) => return Err(error),
                    };
                    cloud.close_to_others(c, &rented, &seen_from).await?;
                    remote = Some(reached);
                    Ok(())
                })
                .await?;
            let remote = remote.ok_or_else(|| Error::unexpected("a machine was reached and is not there"))?;
            let settled: Settled = c
                .side
                .phase(Phase::Equip, "bringing the program and what it needs", async || {
                    let now = cloud.now().await?;
                    remote.persist(async || remote.equip(c, Some(now)).await).await
                })
                .await?;
            guard(c, &cloud, &rented, &remote, &settled).await?;
            let lease = cloud.lease(c, &rented, settled.clock_offset).await?;
            begin(c, &remote, &settled, prepared, parked, Some(lease)).await?;
            Ok(Place(Whose::Rented(Box::new(Machine {
                cloud,
                rented,
                remote,
                settled,
                is_open: AtomicBool::new(false),
            }))))
        }
    }
}

/// Whether a worker that was begun may still be at work. Nothing is begun, reached anew or rented to find that out.
pub(super) async fn may_live(c: &Controller) -> Result<bool> {
    let settled: Option<Settled> = c.side.journal().facts(Phase::Equip)?;
    Ok(match (&c.request.options.on, settled) {
        (On::Here, _) => here::is_alive(&c.work_dir())?,
        (_, None) => false,
        (On::Host(url), Some(settled)) => Remote::new(target(c, url)?).is_alive(&settled).await? != Alive::No,
        (On::Scaleway, Some(settled)) => {
            let rented: Option<Rented> = c.side.journal().facts(Phase::Provision)?;
            let Some(rented) = rented else { return Ok(false) };
            let cloud = Cloud::of(c)?;
            if cloud.is_running(&rented).await? == Alive::No {
                return Ok(false);
            }
            if !rented::has_key(c) {
                return Ok(Afar::of(cloud, rented).is_alive(c).await? != Alive::No);
            }
            let remote = Remote::new(cloud.reach(c, &rented).await?);
            remote.is_alive(&settled).await? != Alive::No
        }
    })
}

/// A host of the user's own, as the user's ssh reaches it.
fn target(c: &Controller, url: &str) -> Result<Target> {
    let mut target = Target::parse(url)?;
    target.config.clone_from(&c.request.config.worker.ssh_config);
    Ok(target)
}

/// What the library weighs unpacked, for the size of the machine's disk.
fn library_bytes(c: &Controller) -> u64 {
    let files = c.area.base().files();
    files
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|meta| meta.len())
        .sum()
}

/// Where the machine sees us come from.
async fn origin(host: &crate::host::Host) -> Result<String> {
    let text = host.script("asking who we are", "echo \"${SSH_CLIENT:-}\"\n").await?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// The machine ends itself when nobody else does, if the user allows it a key; else what that means is said.
async fn guard(c: &Controller, cloud: &Cloud, rented: &Rented, remote: &Remote, settled: &Settled) -> Result<()> {
    if super::work::has_parked(c).await? || remote.is_guarded(settled).await? {
        return Ok(());
    }
    match cloud.warrant(c, rented, Remote::work_dir_of(settled)).await? {
        Some(warrant) => remote.guard(settled, &warrant).await,
        None => {
            c.printer().say(crate::burst::quote::CANNOT_END_ITSELF);
            Ok(())
        }
    }
}

/// A worker that has not parked its result is told (again) and started, unless it runs.
async fn begin(
    c: &Controller,
    remote: &Remote,
    settled: &Settled,
    prepared: &Prepared,
    parked: &Parked,
    lease: Option<crate::burst::spec::Lease>,
) -> Result<()> {
    if super::work::has_parked(c).await? {
        return Ok(());
    }
    let begun = async || {
        if remote.is_alive(settled).await? == Alive::Yes {
            return Ok(());
        }
        remote.tell(c, settled, prepared, parked, lease.clone()).await?;
        remote.start(c, settled).await
    };
    remote.persist(begun).await
}

/// A machine that is gone although its work is not done (past its deadline, swept, ended by hand) is replaced: what the
/// journal says of it counts no more, and neither does what its worker wrote.
async fn forget_what_is_gone(c: &Controller, cloud: &Cloud) -> Result<()> {
    let rented: Option<Rented> = c.side.journal().facts(Phase::Provision)?;
    let Some(rented) = rented else { return Ok(()) };
    if super::work::has_parked(c).await? || cloud.is_running(&rented).await? != Alive::No {
        return Ok(());
    }
    c.printer()
        .warn(&format!("{} is gone; another is rented", rented.server));
    cloud.end(c, Phase::Provision).await?;
    forget(c).await
}

/// What the journal says of a machine that is gone counts no more.
async fn forget(c: &Controller) -> Result<()> {
    c.depot.remove(crate::burst::spec::key::WORKER_JOURNAL).await?;
    for phase in [Phase::Equip, Phase::Reach, Phase::Provision] {
        if c.side.attempts(phase) > 0 {
            c.side.write(phase, crate::burst::journal::Event::Undone)?;
        }
    }
    Ok(())
}

/// A burst that fails leaves nothing billed without a word: a rented machine on which no work was begun is ended here and
/// now; one that holds work is kept, and the error says what it costs and how it is ended.
pub(super) async fn give_up(c: &Controller, error: Error) -> Error {
    let known = crate::burst::ledger::known(c.side.journal().entries());
    let is_settled = c.request.options.on != On::Scaleway || c.side.is_done(Phase::Destroy);
    let has_anything = !known.resources.is_empty() || !known.open_intents.is_empty();
    if is_settled || !has_anything || error.exit() == crate::exit::MAYBE_BILLED {
        return error;
    }
    if c.was_ended_elsewhere().await.unwrap_or(false) {
        // Whoever ended it has ended its machine.
        return error;
    }
    match c.still_seated().await {
        // It is the machine of whoever has the burst now.
        Err(replaced) if replaced.exit() == crate::exit::REFUSED => return error,
        Err(unknown) => return billed(c, &error.because_of(&unknown)),
        Ok(()) => {}
    }
    let why = match has_worked(c) {
        false => "no work had begun on it",
        // The worker has ended, and what it did is in the depot.
        true if is_unwanted(c).await => "another machine cancelled the burst",
        true => return billed(c, &error),
    };
    let ended = async {
        Cloud::of(c)?.end(c, Phase::Provision).await?;
        forget(c).await
    };
    match ended.await {
        Ok(()) => {
            c.printer().warn(&format!(
                "what was rented is ended, since {why}; nothing of it is billed any more"
            ));
            error
        }
        Err(also) => also.because_of(&error),
    }
}

/// Whether another machine wants the burst to end, and its worker has.
async fn is_unwanted(c: &Controller) -> bool {
    let wish = c.depot.read(crate::burst::spec::key::CANCEL).await.ok().flatten();
    let is_by_another = wish.is_some_and(|why| crate::burst::elsewhere::is_by_another(&String::from_utf8_lossy(&why)));
    is_by_another && super::work::has_ended(c).await.unwrap_or(false)
}

/// Whether a worker was begun on the machine that is there now.
fn has_worked(c: &Controller) -> bool {
    use crate::burst::journal::Event;
    let journal = c.side.journal();
    let last = journal.entries().iter().rev().find(|e| {
        (e.phase == Phase::Work && e.event == Event::Started)
            || (e.phase == Phase::Provision && e.event == Event::Undone)
    });
    last.is_some_and(|e| e.phase == Phase::Work)
}

/// The same failure, with what goes on being billed.
fn billed(c: &Controller, error: &Error) -> Error {
    let rented: Option<Rented> = c.side.journal().facts(Phase::Provision).ok().flatten();
    let what = rented.map_or_else(
        || "what was rented".to_owned(),
        |it| {
            let price = crate::cloud::price::Euros(it.offer.price.per_hour());
            format!("{}, {price} an hour,", it.server)
        },
    );
    let hint = error.hint_text().map(|hint| format!("{hint}; ")).unwrap_or_default();
    Error::new(crate::exit::MAYBE_BILLED, error.chain()).hint(format!(
        "{hint}{what} is kept with the work done so far: `plexburst resume {id}` goes on, `plexburst cancel {id}` ends it",
        id = c.id()
    ))
}

impl Place {
    /// Starts the worker again.
    pub(super) async fn start(&self, c: &Controller) -> Result<()> {
        match &self.0 {
            Whose::Here => here::start(c, &c.work_dir()).await,
            Whose::Own(own) => own.0.persist(async || own.0.start(c, &own.1).await).await,
            Whose::Rented(it) => it.remote.persist(async || it.remote.start(c, &it.settled).await).await,
            Whose::Afar(it) => it.goes_on(c).await,
        }
    }

    /// Whether the worker lives.
    pub(super) async fn is_alive(&self, c: &Controller) -> Result<Alive> {
        match &self.0 {
            Whose::Here => Ok(if here::is_alive(&c.work_dir())? {
                Alive::Yes
            } else {
                Alive::No
            }),
            Whose::Own(own) => Ok(own.0.is_alive(&own.1).await.unwrap_or(Alive::Unknown)),
            Whose::Rented(it) => match it.remote.is_alive(&it.settled).await {
                Ok(alive) => {
                    if let Err(error) = it.close_again(c).await {
                        tracing::warn!(
                            error = error.chain(),
                            "the machine is open to all with its key; tried again"
                        );
                    }
                    Ok(alive)
                }
                Err(error) => Ok(it.open_for(c, &error).await.unwrap_or(Alive::Unknown)),
            },
            Whose::Afar(it) => Ok(it.is_alive(c).await.unwrap_or(Alive::Unknown)),
        }
    }

    /// Leaves the answer to the worker's wish for a claim on its machine, where nobody else can read it.
    pub(super) async fn hand_over(&self, c: &Controller, answer: &[u8]) -> Result<()> {
        match &self.0 {
            Whose::Here => {
                let path = c.work_dir().join(crate::burst::spec::CLAIM);
                plex_library::publish::file(&path, answer)
                    .map_err(|e| Error::failed(format!("cannot write {}", path.display())).because(e))
            }
            Whose::Own(own) => own.0.hand_over(&own.1, answer).await,
            Whose::Rented(it) => it.remote.hand_over(&it.settled, answer).await,
            Whose::Afar(it) => Err(it.no_key()),
        }
    }

    /// The text of the Preferences.xml that its server has.
    pub(super) async fn preferences(&self, c: &Controller) -> Result<String> {
        match &self.0 {
            Whose::Here => {
                let path = c.work_dir().join("support/Plex Media Server/Preferences.xml");
                std::fs::read_to_string(&path)
                    .map_err(|e| Error::failed(format!("cannot read {}", path.display())).because(e))
            }
            Whose::Own(own) => own.0.preferences(&own.1).await,
            Whose::Rented(it) => it.remote.preferences(&it.settled).await,
            Whose::Afar(it) => Err(it.no_key()),
        }
    }

    /// The last thing that it said.
    pub(super) async fn last_words(&self, c: &Controller) -> String {
        match &self.0 {
            Whose::Here => here::last_line(&c.work_dir()),
            Whose::Own(own) => own.0.last_line(&own.1).await,
            Whose::Rented(it) => it.remote.last_line(&it.settled).await,
            Whose::Afar(it) => it.no_key().chain(),
        }
    }

    /// Whether nothing is known of the worker but what it leaves in the depot.
    pub(super) fn is_seen_through_depot(&self) -> bool {
        matches!(self.0, Whose::Afar(_))
    }

    /// How long to wait between two looks: a connection costs more than a file.
    pub(super) fn patience(&self) -> std::time::Duration {
        match &self.0 {
            Whose::Here => super::work::LOOK,
            _ => std::time::Duration::from_secs(2),
        }
    }

    /// What the burst has to pay for it so far; nothing where it is the user's own.
    pub(super) async fn cost(&self) -> Option<f64> {
        let (cloud, rented) = match &self.0 {
            Whose::Rented(it) => (&it.cloud, &it.rented),
            Whose::Afar(it) => (&it.cloud, &it.rented),
            Whose::Here | Whose::Own(_) => return None,
        };
        let now = cloud.now().await.ok()?;
        Some(rented.offer.price.of(u64::try_from(now - rented.since).unwrap_or(0)))
    }
}

impl Machine {
    /// The machine runs, as its provider says, and does not answer this controller: perhaps that has another address than
    /// the one that is let in. The door is opened for the next look; whoever comes in closes it to all others.
    async fn open_for(&self, c: &Controller, why: &Error) -> Result<Alive> {
        // A cloud that does not answer either says nothing.
        let running = self.cloud.is_running(&self.rented).await?;
        if running != Alive::No && why.exit() == crate::exit::HOME_UNCHANGED && !self.is_open.load(Ordering::SeqCst) {
            self.cloud.open_again(c, &self.rented).await?;
            self.is_open.store(true, Ordering::SeqCst);
        }
        Ok(running)
    }

    /// After the door was opened: nobody but this machine comes in any more.
    async fn close_again(&self, c: &Controller) -> Result<()> {
        if !self.is_open.load(Ordering::SeqCst) {
            return Ok(());
        }
        let seen_from = self.remote.with(async |host| origin(host).await).await?;
        self.cloud.close_to_others(c, &self.rented, &seen_from).await?;
        self.is_open.store(false, Ordering::SeqCst);
        Ok(())
    }
}

/// What the rented machine comes to if it ends now, by its price; nothing where it is the user's own, or the cloud does not
/// tell the time.
pub(super) async fn cost(c: &Controller) -> Result<Option<f64>> {
    let rented: Option<Rented> = match &c.request.options.on {
        On::Scaleway => c.side.journal().facts(Phase::Provision)?,
        On::Here | On::Host(_) => None,
    };
    let Some(rented) = rented else { return Ok(None) };
    let now = Cloud::of(c)?.now().await;
    Ok(now
        .ok()
        .map(|now| rented.offer.price.of(u64::try_from(now - rented.since).unwrap_or(0))))
}

/// Ends the worker and whatever was rented for it. May be done again, and without a worker.
pub(super) async fn remove(c: &Controller, phase: Phase) -> Result<()> {
    match &c.request.options.on {
        On::Here => here::remove(c, &c.work_dir()).await,
        On::Host(url) => {
            let settled: Option<Settled> = c.side.journal().facts(Phase::Equip)?;
            match settled {
                Some(settled) => Remote::new(target(c, url)?).clean(c, &settled).await,
                None => Ok(()),
            }
        }
        On::Scaleway => {
            // Without anything in the ledger the account need not even be there.
            if crate::burst::ledger::known(c.side.journal().entries()).zones.is_empty() {
                return Ok(());
            }
            Cloud::of(c)?.end(c, phase).await
        }
    }
}

/// `--keep`: the machine stays, marked so that nobody sweeps it before its deadline; what it costs is said.
pub(super) async fn keep(c: &Controller) -> Result<()> {
    if c.request.options.on != On::Scaleway {
        return Ok(());
    }
    let rented: Option<Rented> = c.side.journal().facts(Phase::Provision)?;
    let Some(rented) = rented else { return Ok(()) };
    Cloud::of(c)?.keep(c, &rented).await
}
