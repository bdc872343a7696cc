//! Servers: their states, and what each action leaves behind (facts/cloud.md §1.5).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::store::resource;
use super::{Effect, Event, Life, World};
use crate::scaleway::catalogue::{self, IPV4_HOUR};

/// A state as the API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Stopped,
    Starting,
    Running,
    Stopping,
    StoppedInPlace,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::StoppedInPlace => "stopped in place",
        }
    }
}

/// What a server does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Allocated,
    Booted,
    /// Its host keys' fingerprints are in the user data (only of instances that are not real).
    Fingerprints,
    Stopped,
    StoppedInPlace,
    Rebooted,
    Terminated,
}

/// One entry of a server's `volumes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disk {
    /// A volume of the instance API.
    Local(String),
    /// A volume of the block API.
    Block(String),
}

/// What a server was made from.
#[derive(Debug, Clone)]
pub(crate) struct ImageRef {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) commercial_type: &'static catalogue::Type,
    pub(crate) image: Option<ImageRef>,
    pub(crate) disks: BTreeMap<String, Disk>,
    pub(crate) dynamic_ip_required: bool,
    /// Flexible addresses, by id.
    pub(crate) ips: Vec<String>,
    pub(crate) dynamic: Option<(String, Ipv4Addr)>,
    pub(crate) group: String,
    pub(crate) protected: bool,
    pub(crate) boot_type: String,
    pub(crate) state: State,
    pub(crate) detail: &'static str,
    pub(crate) user_data: BTreeMap<String, Vec<u8>>,
    /// Where its machine lives, once it has been started.
    pub(crate) inside: Option<Ipv4Addr>,
    /// Moves on with every action, so that what was under way for an earlier one does not happen any more.
    pub(crate) generation: u64,
}
resource!(Server);

impl Server {
    pub(crate) fn allowed_actions(&self) -> &'static [&'static str] {
        match self.state {
            State::Stopped => &["poweron", "backup"],
            State::Running => &["poweroff", "terminate", "reboot", "stop_in_place", "backup"],
            State::StoppedInPlace => &["poweron", "poweroff", "terminate", "backup"],
            State::Starting | State::Stopping => &[],
        }
    }
}

impl World {
    /// What happens to a server whose action takes time.
    fn begin(&mut self, id: &str, state: State, detail: &'static str, seconds: f64, step: Step) {
        let now = self.now();
        let Some(server) = self.servers.touch(id, now) else {
            return;
        };
        server.state = state;
        server.detail = detail;
        server.generation += 1;
        let generation = server.generation;
        self.later(
            seconds,
            Event::Server {
                id: id.to_owned(),
                generation,
                step,
            },
        );
    }

    /// Starts a server; the caller has seen that it can be.
    pub(crate) fn poweron(&mut self, id: &str) {
        let Some(server) = self.servers.get(id) else { return };
        let (of, project, zone) = (server.commercial_type, server.project.clone(), server.zone.clone());
        // The billing FAQ's reading: compute is billed from power-on (the pricing page says creation).
        self.meter("server", id, of.name, &project, &zone, of.eur_per_hour(&zone));
        self.begin(
            id,
            State::Starting,
            "allocating node",
            self.delays.allocating,
            Step::Allocated,
        );
    }

    pub(crate) fn poweroff(&mut self, id: &str) {
        let Some(server) = self.servers.get(id) else { return };
        let local: f64 = server
            .disks
            .values()
            .filter_map(|disk| match disk {
                Disk::Local(id) => self.volumes.get(id).map(|volume| super::gigabytes(volume.size)),
                Disk::Block(_) => None,
            })
            .sum();
        let seconds = self.delays.stopping + self.delays.archiving * local / 10.0;
        self.effects.push(Effect::Stop { server: id.to_owned() });
        self.begin(id, State::Stopping, "", seconds, Step::Stopped);
    }

    pub(crate) fn stop_in_place(&mut self, id: &str) {
        self.effects.push(Effect::Stop { server: id.to_owned() });
        self.begin(id, State::Stopping, "", self.delays.stopping, Step::StoppedInPlace);
    }

    pub(crate) fn reboot(&mut self, id: &str) {
        self.effects.push(Effect::Stop { server: id.to_owned() });
        self.begin(id, State::Running, "rebooting", self.delays.stopping, Step::Rebooted);
    }

    pub(crate) fn terminate(&mut self, id: &str) {
        self.effects.push(Effect::Destroy { server: id.to_owned() });
        self.begin(
            id,
            State::Stopping,
            "terminating",
            self.delays.terminating,
            Step::Terminated,
        );
    }

    /// The operating system was shut down from inside: the server stays where it is, and is billed as if it ran.
    pub(crate) fn shut_down_inside(&mut self, id: &str) {
        let now = self.now();
        if let Some(server) = self.servers.touch(id, now)
            && server.state == State::Running
        {
            server.generation += 1;
            server.state = State::StoppedInPlace;
            server.detail = "";
        }
    }

    pub(super) fn server_step(&mut self, id: &str, generation: u64, step: Step) {
        let now = self.now();
        let delays = self.delays;
        let Some(server) = self.servers.touch(id, now) else {
            return;
        };
        if server.generation != generation {
            return;
        }
        match step {
            Step::Allocated => {
                server.detail = "booting kernel";
                let inside = server.inside;
                if inside.is_none() {
                    let taken = self.fresh_inside();
                    if let Some(server) = self.servers.get_mut(id) {
                        server.inside = Some(taken);
                    }
                }
                self.follow(id, generation, delays.booting, Step::Booted);
            }
            Step::Booted => {
                server.state = State::Running;
                server.detail = "booted";
                self.give_dynamic_address(id);
                self.effects.push(Effect::Boot { server: id.to_owned() });
                if !self.real {
                    self.follow(id, generation, delays.fingerprints, Step::Fingerprints);
                }
            }
            Step::Fingerprints => {
                // Made once, at the first boot of a disk.
                if !server.user_data.contains_key(FINGERPRINTS) {
                    let text = invented_fingerprints(&server.name, id);
                    server.user_data.insert(FINGERPRINTS.to_owned(), text.into_bytes());
                }
            }
            Step::Stopped => {
                server.state = State::Stopped;
                server.detail = "";
                self.take_dynamic_address(id);
                self.bill.close("server", id, now);
            }
            Step::StoppedInPlace => {
                server.state = State::StoppedInPlace;
                server.detail = "";
            }
            Step::Rebooted => {
                server.detail = "booted";
                self.effects.push(Effect::Boot { server: id.to_owned() });
            }
            Step::Terminated => self.remove_server(id, true),
        }
    }

    fn follow(&mut self, id: &str, generation: u64, seconds: f64, step: Step) {
        self.later(
            seconds,
            Event::Server {
                id: id.to_owned(),
                generation,
                step,
            },
        );
    }

    /// Makes the server 404. Local volumes go with a terminated one only; block volumes are let go of and flexible
    /// addresses stay, in either case.
    pub(crate) fn remove_server(&mut self, id: &str, with_local: bool) {
        let now = self.now();
        let Some(server) = self.servers.get(id).cloned() else {
            return;
        };
        self.effects.push(Effect::Destroy { server: id.to_owned() });
        self.take_dynamic_address(id);
        self.bill.close("server", id, now);
        for disk in server.disks.values() {
            match disk {
                Disk::Local(volume) if with_local => self.remove_volume(volume),
                Disk::Local(volume) => {
                    if let Some(volume) = self.volumes.touch(volume, now) {
                        volume.server = None;
                    }
                }
                Disk::Block(block) => self.detach_block(block),
            }
        }
        for ip in &server.ips {
            if let Some(ip) = self.ips.get_mut(ip) {
                ip.server = None;
            }
        }
        self.servers.remove(id, now);
    }

    /// An address for as long as it runs; only when it has no other.
    fn give_dynamic_address(&mut self, id: &str) {
        let Some(server) = self.servers.get(id) else { return };
        if !server.dynamic_ip_required || !server.ips.is_empty() || server.dynamic.is_some() {
            return;
        }
        let (project, zone) = (server.project.clone(), server.zone.clone());
        let address = self.addresses.take();
        let ip = self.random.uuid();
        self.meter("ip", &ip, &format!("dynamic {address}"), &project, &zone, IPV4_HOUR);
        if let Some(server) = self.servers.get_mut(id) {
            server.dynamic = Some((ip, address));
        }
    }

    pub(crate) fn take_dynamic_address(&mut self, id: &str) {
        let now = self.now();
        if let Some(server) = self.servers.get_mut(id)
            && let Some((ip, address)) = server.dynamic.take()
        {
            self.bill.close("ip", &ip, now);
            self.addresses.release(address);
        }
    }

    /// The running server that an address leads to.
    pub(crate) fn server_at(&self, address: Ipv4Addr) -> Option<&Server> {
        self.servers.iter().find(|server| {
            matches!(server.state, State::Running | State::Starting)
                && (server.dynamic.as_ref().is_some_and(|(_, dynamic)| *dynamic == address)
                    || server
                        .ips
                        .iter()
                        .any(|ip| self.ips.get(ip).is_some_and(|ip| ip.address == address.to_string())))
        })
    }
}

/// The key of the official host-key channel (facts/cloud.md §1.6).
pub(crate) const FINGERPRINTS: &str = "ssh-host-fingerprints";

/// Fingerprints of host keys that do not exist, in the form of `ssh-keygen -l`.
fn invented_fingerprints(name: &str, id: &str) -> String {
    use base64::Engine as _;
    let mut random = crate::fixture::random::Random::of(id);
    let mut line = |bits: u32, kind: &str| {
        let bytes: Vec<u8> = (0..4).flat_map(|_| random.next().to_be_bytes()).collect();
        let hash = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        format!("{bits} SHA256:{hash} root@{name} ({kind})\n")
    };
    [line(256, "ECDSA"), line(256, "ED25519"), line(3072, "RSA")].concat()
}
