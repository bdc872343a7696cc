//! Everything that exists at the simulated Scaleway, and what becomes of it as time passes.
//!
//! One [`World`] behind one lock; nothing in it waits. What takes time is an [`Event`] in a queue that [`World::settle`]
//! works off up to the present, so that an hour that is skipped happens in the right order. What a machine outside has to
//! do about it (start, stop or remove a real instance) is left in `effects`.

mod address;
mod block;
mod group;
mod iam;
mod ip;
mod server;
mod store;
mod volume;

pub(crate) use address::Addresses;
pub(crate) use block::{Block, BlockSnapshot, BlockStatus};
pub(crate) use group::{Group, GroupRule};
pub(crate) use iam::{ApiKey, Application, Caller, Condition, Owner, Policy, PolicyRule, Product, SshKey};
pub(crate) use ip::Ip;
pub(crate) use server::{Disk, FINGERPRINTS, ImageRef, Server, State, Step};
pub(crate) use store::{Life, Resource, Store};
pub(crate) use volume::{Image, Snapshot, Volume};

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tokio::sync::watch;

use super::Options;
use super::billing::{Bill, Meter};
use super::catalogue;
use super::clock::{Clock, Micros, micros};
use super::delays::Delays;
use crate::fixture::random::Random;

/// Something that happens later.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A server's next step, unless it has been told something else meanwhile (its generation moved on).
    Server { id: String, generation: u64, step: Step },
    /// A block volume is made.
    BlockReady { id: String },
    /// A block volume's reference is gone.
    BlockDetached { id: String },
    /// A block volume is gone.
    BlockDeleted { id: String },
}

/// What has to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Start the machine of that server.
    Boot { server: String },
    /// End it; its disk stays.
    Stop { server: String },
    /// End it and throw its disk away.
    Destroy { server: String },
}

/// A project: whose resources they are.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A request that was answered.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Logged {
    pub(crate) at: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// 0: the connection was cut.
    pub(crate) status: u16,
    /// Whose key it was; never the secret.
    pub(crate) access_key: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) delays: Delays,
    /// Whether instances are real machines, which then say themselves when they are up.
    pub(crate) real: bool,
    pub(crate) bill: Bill,
    pub(crate) addresses: Addresses,
    pub(crate) organization: String,
    pub(crate) projects: Vec<Project>,
    pub(crate) servers: Store<Server>,
    pub(crate) volumes: Store<Volume>,
    pub(crate) snapshots: Store<Snapshot>,
    pub(crate) images: Store<Image>,
    pub(crate) blocks: Store<Block>,
    pub(crate) block_snapshots: Store<BlockSnapshot>,
    pub(crate) ips: Store<Ip>,
    pub(crate) groups: Store<Group>,
    pub(crate) ssh_keys: Store<SshKey>,
    pub(crate) applications: Store<Application>,
    pub(crate) policies: Store<Policy>,
    pub(crate) api_keys: Store<ApiKey>,
    pub(crate) log: Vec<Logged>,
    /// Seconds by which the `Date` header is wrong.
    pub(crate) skew: f64,
    /// Addresses at which somebody else's machine answers, whatever server has them, and where that machine is.
    pub(crate) foreign: BTreeMap<Ipv4Addr, Option<Ipv4Addr>>,
    /// Where whoever calls comes from, as the machines see it; unset: from where they do. Connections that are open end when
    /// it changes.
    pub(crate) callers: watch::Sender<Option<Ipv4Addr>>,
    /// What machines that are started from now on do without: programs, and settings of the kernel that cannot be set.
    pub(crate) lacks: Vec<String>,
    /// Fingerprints of host keys that a machine made and has not shown yet.
    pub(crate) fresh_keys: BTreeMap<String, Vec<String>>,
    /// What could not be done with machines.
    pub(crate) trouble: Vec<String>,
    /// Apart, so that what the resources are called does not depend on how many requests were made.
    pub(crate) request_ids: Random,
    /// Left for whoever runs the machines.
    pub(crate) effects: Vec<Effect>,
    events: BTreeMap<(Micros, u64), Event>,
    sequence: u64,
    /// While a due event is worked off: the moment at which it was due.
    during: Option<Micros>,
}

impl World {
    /// An organization with a default project, a second project that belongs to other work, and one key that may do
    /// everything.
    pub(crate) fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let organization = random.uuid();
        let projects = vec![
            // The default project has the id of its organization.
            Project {
                id: organization.clone(),
                name: "default".to_owned(),
            },
            Project {
                id: random.uuid(),
                name: "other".to_owned(),
            },
        ];
        let mut world = Self {
            clock: Clock::new(options.pace),
            random,
            delays: options.delays,
            real: options.instances != super::Instances::None,
            bill: Bill::default(),
            addresses: Addresses::new((options.instances != super::Instances::None).then_some(options.ssh_port)),
            organization,
            projects,
            servers: Store::default(),
            volumes: Store::default(),
            snapshots: Store::default(),
            images: Store::default(),
            blocks: Store::default(),
            block_snapshots: Store::default(),
            ips: Store::default(),
            groups: Store::default(),
            ssh_keys: Store::default(),
            applications: Store::default(),
            policies: Store::default(),
            api_keys: Store::default(),
            log: Vec::new(),
            skew: 0.0,
            foreign: BTreeMap::new(),
            callers: watch::Sender::default(),
            lacks: Vec::new(),
            fresh_keys: BTreeMap::new(),
            trouble: Vec::new(),
            request_ids: Random::new(options.seed.wrapping_add(1)),
            effects: Vec::new(),
            events: BTreeMap::new(),
            sequence: 0,
            during: None,
        };
        let owner = world.random.uuid();
        let key = world.new_api_key(iam::Owner::User(owner), "owner", None);
        world.api_keys.add(key);
        world
    }

    /// Now; while something overdue is worked off: when it was due.
    pub(crate) fn now(&self) -> Micros {
        self.during.unwrap_or_else(|| self.clock.now())
    }

    /// Lets happen what is due.
    pub(crate) fn settle(&mut self) {
        let now = self.clock.now();
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= now
        {
            let ((due, _), event) = entry.remove_entry();
            self.during = Some(due);
            self.happen(event);
            self.during = None;
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Server { id, generation, step } => self.server_step(&id, generation, step),
            Event::BlockReady { id } => self.block_ready(&id),
            Event::BlockDetached { id } => self.block_detached(&id),
            Event::BlockDeleted { id } => self.block_deleted(&id),
        }
    }

    /// Lets something happen so many seconds from now.
    pub(crate) fn later(&mut self, seconds: f64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now() + micros(seconds), self.sequence), event);
    }

    /// A fresh life; made first, so that lists have the order of creation.
    pub(crate) fn life(&mut self) -> Life {
        self.sequence += 1;
        Life::new(self.now(), self.sequence)
    }

    pub(crate) fn project(&self, id: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == id)
    }

    /// How long a change takes to show in lists.
    pub(crate) fn lag(&self) -> Micros {
        micros(self.delays.list_lag)
    }

    /// An inner address for a machine.
    pub(crate) fn fresh_inside(&mut self) -> Ipv4Addr {
        address::inside(self.addresses.fresh())
    }

    fn meter(&mut self, kind: &'static str, id: &str, what: &str, project: &str, zone: &str, eur_per_hour: f64) {
        let opened = self.now();
        self.bill.open(Meter {
            kind,
            id: id.to_owned(),
            what: what.to_owned(),
            project: project.to_owned(),
            zone: zone.to_owned(),
            eur_per_hour,
            opened,
            closed: None,
        });
    }
}

/// Bytes in gigabytes, as storage is priced.
pub(crate) fn gigabytes(bytes: u64) -> f64 {
    // Exact up to eight petabytes.
    bytes as f64 / 1e9
}

/// Whether a zone exists.
pub(crate) fn is_zone(zone: &str) -> bool {
    catalogue::ZONES.contains(&zone)
}
