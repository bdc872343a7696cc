//! Keeps the machines as the world wants them: started, stopped, thrown away, reachable.
//!
//! One thread that looks at the world many times a second. What it cannot do it notes in the world's `trouble`; it never
//! ends a server for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use super::gate::{self, Gate};
use super::machine::{self, Machine, Told, Word};
use super::metadata::public_keys;
use super::service::{self, Service};
use crate::scaleway::api::http::{Shared, lock};
use crate::scaleway::world::{Effect, FINGERPRINTS, State};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(30);
/// How long a machine that was asked to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How the init ends when the machine is to be started again (boot.sh).
const REBOOT: i32 = 3;
/// What a machine is made with, and the Debian package it comes in.
const PROGRAMS: &[(&str, &str)] = &[
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("bash", "bash"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("cloud-init", "cloud-init"),
];

/// The thread, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Keeper {
    closing: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether machines can be made here; if not: why, and what to do.
pub(crate) fn check(ssh_port: u16) -> Result<(), (String, String)> {
    if !rustix::process::geteuid().is_root() {
        let hint = "run it as root, or without `--instances namespace`";
        return Err(("instances in namespaces need root".to_owned(), hint.to_owned()));
    }
    for (program, package) in PROGRAMS {
        let found = Path::new(program).exists() || machine::find_program(program).is_some();
        if !found {
            return Err((
                format!("{program} is not installed"),
                format!("apt-get install {package}"),
            ));
        }
    }
    // Whether somebody listens everywhere on that port shows at any address; another simulator that looks at the same
    // moment has only one of them.
    let mut tries = (1..255).map(|last| TcpListener::bind((Ipv4Addr::new(127, 127, 255, last), ssh_port)));
    let taken =
        |tried: &io::Result<TcpListener>| matches!(tried, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
    let bound = tries.find(|tried| !taken(tried));
    if let Err(error) = bound.unwrap_or_else(|| Err(io::ErrorKind::AddrInUse.into())) {
        let hint = "something else of this machine listens there on all addresses: choose another with --ssh-port";
        return Err((format!("port {ssh_port} cannot be had ({error})"), hint.to_owned()));
    }
    Ok(())
}

impl Keeper {
    /// Starts it; disks of machines lie below `state`.
    pub(crate) fn start(sim: Shared, runtime: Handle, state: PathBuf, ssh_port: u16) -> io::Result<Self> {
        let (closing, closed) = mpsc::channel();
        let mut house = House {
            sim,
            runtime,
            state,
            ssh_port,
            machines: BTreeMap::new(),
            gates: BTreeMap::new(),
            strangers: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new().name("machines".to_owned()).spawn(move || {
            while closed.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                house.look();
            }
            house.close();
        })?;
        Ok(Self {
            closing: Some(closing),
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.closing.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by itself.
            let _ = thread.join();
        }
    }
}

/// What is kept.
struct House {
    sim: Shared,
    runtime: Handle,
    state: PathBuf,
    ssh_port: u16,
    machines: BTreeMap<String, (Machine, Option<Service>)>,
    gates: BTreeMap<Ipv4Addr, Gate>,
    /// Addresses at which somebody else's machine was started.
    strangers: BTreeSet<Ipv4Addr>,
}

impl House {
    fn look(&mut self) {
        let effects = {
            let mut sim = lock(&self.sim);
            sim.settle();
            std::mem::take(&mut sim.world.effects)
        };
        for effect in effects {
            match effect {
                Effect::Boot { server } => self.boot(&server),
                Effect::Stop { server } => {
                    if let Some((machine, _)) = self.machines.get_mut(&server) {
                        machine.ask_to_stop();
                    }
                }
                Effect::Destroy { server } => {
                    self.end(&server);
                    let wiped = machine::wipe(&self.disk(&server));
                    self.note(&server, "its disk cannot be removed", wiped);
                }
            }
        }
        self.look_after_machines();
        self.look_after_strangers();
        self.look_after_gates();
    }

    fn close(&mut self) {
        self.gates.clear();
        let ids: Vec<String> = self.machines.keys().cloned().collect();
        for id in ids {
            self.end(&id);
        }
    }

    fn disk(&self, id: &str) -> PathBuf {
        self.state.join(id)
    }

    fn note<T>(&self, id: &str, what: &str, outcome: io::Result<T>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                lock(&self.sim).world.trouble.push(format!("{id}: {what} ({error})"));
                None
            }
        }
    }

    fn boot(&mut self, id: &str) {
        self.end(id);
        let told = {
            let sim = lock(&self.sim);
            sim.world.servers.get(id).and_then(|server| {
                Some(Told {
                    id: server.id.clone(),
                    name: server.name.replace([' ', '_'], "-"),
                    inside: server.inside?,
                    public_keys: public_keys(&sim.world, server),
                    user_data: server.user_data.get("cloud-init").cloned().unwrap_or_default(),
                    lacks: sim.world.lacks.clone(),
                })
            })
        };
        // Terminated meanwhile.
        let Some(told) = told else { return };
        let service = service::start(&self.sim, &self.runtime, id, told.inside);
        let service = self.note(id, "its metadata service cannot be started", service);
        self.start(id, &told, service, true);
    }

    fn start(&mut self, id: &str, told: &Told, service: Option<Service>, is_ours: bool) {
        let (sim, server) = (self.sim.clone(), id.to_owned());
        let heard = move |word: Word| {
            let world = &mut lock(&sim).world;
            match word {
                Word::Failed(what) => world.trouble.push(format!("{server}: it failed {what}")),
                Word::Fingerprint(line) if is_ours => world.fresh_keys.entry(server.clone()).or_default().push(line),
                Word::Up if is_ours => {
                    // As scw-generate-ssh-keys does at the first boot of a disk.
                    let Some(keys) = world.fresh_keys.remove(&server) else {
                        return;
                    };
                    let now = world.now();
                    if let Some(server) = world.servers.touch(&server, now) {
                        let text = keys.join("\n") + "\n";
                        server.user_data.insert(FINGERPRINTS.to_owned(), text.into_bytes());
                    }
                }
                Word::Fingerprint(_) | Word::Up => {}
            }
        };
        let started = Machine::start(&self.disk(id), told, heard);
        if let Some(machine) = self.note(id, "it cannot be started", started) {
            self.machines.insert(id.to_owned(), (machine, service));
        }
    }

    /// Ends a machine at once, if it runs.
    fn end(&mut self, id: &str) {
        if let Some((machine, _service)) = self.machines.remove(id) {
            let killed = machine.kill();
            self.note(id, "it cannot be ended", killed);
        }
    }

    fn look_after_machines(&mut self) {
        let mut over = Vec::new();
        for (id, (machine, _)) in &mut self.machines {
            match machine.ended() {
                Ok(None) if machine.stopping.is_some_and(|since| since.elapsed() > STOP_LIMIT) => {
                    over.push((id.clone(), None));
                }
                Ok(None) | Err(_) => {}
                Ok(Some(status)) if machine.stopping.is_some() => over.push((id.clone(), Some((status, true)))),
                Ok(Some(status)) => over.push((id.clone(), Some((status, false)))),
            }
        }
        for (id, how) in over {
            self.end(&id);
            // By itself, not because it was told to.
            if let Some((status, false)) = how {
                match status.code() {
                    Some(0) => lock(&self.sim).world.shut_down_inside(&id),
                    Some(REBOOT) => self.boot(&id),
                    _ => {
                        let words = machine::last_words(&self.disk(&id));
                        lock(&self.sim)
                            .world
                            .trouble
                            .push(format!("{id}: it ended ({status}): {words}"));
                    }
                }
            }
        }
    }

    /// Somebody else's machine at an address: one with host keys and nobody's authorized keys.
    fn look_after_strangers(&mut self) {
        let wanted: BTreeSet<Ipv4Addr> = lock(&self.sim).world.foreign.keys().copied().collect();
        for address in wanted.difference(&self.strangers.clone()) {
            let inside = lock(&self.sim).world.fresh_inside();
            let told = Told {
                id: format!("foreign-{address}"),
                name: "somebody-else".to_owned(),
                inside,
                public_keys: Vec::new(),
                user_data: Vec::new(),
                lacks: Vec::new(),
            };
            self.start(&told.id.clone(), &told, None, false);
            lock(&self.sim).world.foreign.insert(*address, Some(inside));
            self.strangers.insert(*address);
        }
        for address in self.strangers.clone().difference(&wanted) {
            let id = format!("foreign-{address}");
            self.end(&id);
            let wiped = machine::wipe(&self.disk(&id));
            self.note(&id, "its disk cannot be removed", wiped);
            self.strangers.remove(address);
        }
    }

    fn look_after_gates(&mut self) {
        let wanted: BTreeSet<Ipv4Addr> = {
            let sim = lock(&self.sim);
            let world = &sim.world;
            let running = world.servers.iter().filter(|server| server.state == State::Running);
            let addresses = running.flat_map(|server| {
                let flexible = server
                    .ips
                    .iter()
                    .filter_map(|ip| world.ips.get(ip)?.address.parse().ok());
                server.dynamic.iter().map(|(_, address)| *address).chain(flexible)
            });
            addresses.chain(world.foreign.keys().copied()).collect()
        };
        self.gates.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if self.gates.contains_key(&address) {
                continue;
            }
            // An address that was closed just now is not free for a moment; the next look tries again.
            if let Ok(gate) = gate::open(&self.sim, &self.runtime, address, self.ssh_port) {
                self.gates.insert(address, gate);
            }
        }
    }
}
