//! Renting against the simulator of Scaleway, with everything going wrong that can: whatever is killed wherever, nothing is
//! left in the end, nothing that lives is destroyed, and nothing that is not ours is touched.
//!
//! `PLEXBURST_SOAK_BURSTS` is how many bursts are tried (24 when unset), `PLEXBURST_SEED` where chance begins (1).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plexburst::burst::journal::Journal;
use plexburst::burst::ledger::{self, JournalLedger};
use plexburst::burst::phase::Phase;
use plexburst::burst::side::Side;
use plexburst::burst::store;
use plexburst::clock::{Clock, Sleep};
use plexburst::cloud::lifecycle::{self, Known};
use plexburst::cloud::offer::{Offer, Wish};
use plexburst::cloud::provider::{Ledger, Order, Provider, Taken};
use plexburst::cloud::resource::{Kind, Ownership, Resource};
use plexburst::cloud::scaleway::{Account, Client, Scaleway};
use plexburst::cloud::sweep::{self, Local};
use plexburst::error::{Error, Result};
use plexburst::secret::Token;
use plexburst::term::Printer;
use sim::scaleway::{Fault, Options, Pace, Rule};
use tokio::sync::Notify;

const HOUR: u64 = 3600;

/// Chance that can be had again.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next(n) == 0
    }
}

/// Time that is the simulator's, and a kill after so many steps.
struct World {
    cloud: sim::scaleway::Scaleway,
    start: Instant,
    passed: Mutex<Duration>,
    steps_left: AtomicU64,
    killed: Notify,
}

impl World {
    fn new(seed: u64) -> Arc<Self> {
        let options = Options {
            seed,
            pace: Pace::Manual { step_seconds: 0.2 },
            ..Options::default()
        };
        Arc::new(Self {
            cloud: sim::scaleway::Scaleway::start(&options).unwrap(),
            start: Instant::now(),
            passed: Mutex::default(),
            steps_left: AtomicU64::new(u64::MAX),
            killed: Notify::new(),
        })
    }

    fn pass(&self, by: Duration) {
        *self.passed.lock().unwrap() += by;
        self.cloud.advance(by.as_secs_f64());
    }

    /// One step of whoever runs; true when it is the one at which it is killed.
    fn step(&self) -> bool {
        let left = self.steps_left.load(Ordering::SeqCst);
        if left == u64::MAX {
            return false;
        }
        self.steps_left.store(left.saturating_sub(1), Ordering::SeqCst);
        if left <= 1 {
            self.killed.notify_one();
            return true;
        }
        false
    }

    /// Runs `f`, killed after `steps` if that comes first; `None` when it was.
    async fn killed_after<T>(&self, steps: Option<u64>, f: impl Future<Output = T>) -> Option<T> {
        self.steps_left.store(steps.unwrap_or(u64::MAX), Ordering::SeqCst);
        let outcome = tokio::select! {
            biased;
            () = self.killed.notified() => None,
            done = f => Some(done),
        };
        self.steps_left.store(u64::MAX, Ordering::SeqCst);
        outcome
    }

    fn provider(self: &Arc<Self>) -> Scaleway {
        let access = self.cloud.access();
        let account = Account {
            secret_key: Token::new(&access.secret_key),
            project: access.project_id.clone(),
            zone: "fr-par-1".to_owned(),
            api_url: access.url.clone(),
            source: "test".to_owned(),
        };
        Scaleway::new(Client::with_clock(&account, Arc::new(SimClock(Arc::clone(self)))).unwrap())
    }

    /// The provider's time.
    fn time(&self) -> i64 {
        let now = self.cloud.bill()["now"].as_str().unwrap().parse::<jiff::Timestamp>();
        now.unwrap().as_second()
    }

    fn ours(&self) -> Vec<String> {
        let all = self.cloud.resources();
        let ours = all.iter().filter(|r| {
            r["tags"]
                .as_array()
                .unwrap()
                .iter()
                .any(|t| t.as_str().unwrap().starts_with("plexburst-burst="))
        });
        ours.map(|r| format!("{} {}", r["kind"], r["id"])).collect()
    }

    fn everything(&self) -> BTreeSet<String> {
        self.cloud
            .resources()
            .iter()
            .map(|r| format!("{} {}", r["kind"], r["id"]))
            .collect()
    }
}

struct SimClock(Arc<World>);

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.0.start + *self.0.passed.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(async move {
            if self.0.step() {
                std::future::pending::<()>().await;
            }
            self.0.pass(duration);
        })
    }
}

/// A ledger whose process may be killed just before a line is written, or just after.
struct Mortal<'a> {
    inner: JournalLedger<'a>,
    world: &'a World,
}

impl Mortal<'_> {
    fn at(&self, write: impl Fn() -> Result<()>) -> Result<()> {
        let dead = || Err(Error::unexpected("killed"));
        if self.world.step() {
            return dead();
        }
        write()?;
        if self.world.step() { dead() } else { Ok(()) }
    }
}

impl Ledger for Mortal<'_> {
    fn intend(&self, kind: Kind, zone: &str, taken: Option<&Taken>) -> Result<()> {
        self.at(|| self.inner.intend(kind, zone, taken))
    }
    fn refused(&self, kind: Kind, zone: &str) -> Result<()> {
        self.at(|| self.inner.refused(kind, zone))
    }
    fn learn(&self, resource: &Resource) -> Result<()> {
        self.at(|| self.inner.learn(resource))
    }
    fn gone(&self, resource: &Resource) -> Result<()> {
        self.at(|| self.inner.gone(resource))
    }
}

/// A sweep keeps no ledger; it is killed between its steps all the same.
struct Nowhere<'a>(&'a World);

impl Ledger for Nowhere<'_> {
    fn intend(&self, _: Kind, _: &str, _: Option<&Taken>) -> Result<()> {
        Ok(())
    }
    fn refused(&self, _: Kind, _: &str) -> Result<()> {
        Ok(())
    }
    fn learn(&self, _: &Resource) -> Result<()> {
        if self.0.step() {
            Err(Error::unexpected("killed"))
        } else {
            Ok(())
        }
    }
    fn gone(&self, _: &Resource) -> Result<()> {
        if self.0.step() {
            Err(Error::unexpected("killed"))
        } else {
            Ok(())
        }
    }
}

/// One burst, as far as it matters here: its journal, and whether its machine is at work.
struct Burst {
    id: String,
    dir: tempfile::TempDir,
    server: Option<Resource>,
    /// By the simulator's clock.
    deadline: i64,
    has_ended: bool,
}

impl Burst {
    fn new(number: u64) -> Self {
        Self {
            id: ulid::Ulid::from_parts(1_700_000_000_000 + number, u128::from(number)).to_string(),
            dir: tempfile::tempdir().unwrap(),
            server: None,
            deadline: 0,
            has_ended: false,
        }
    }

    fn known(&self) -> Known {
        let path = store::journal_path(self.dir.path());
        if path.exists() {
            ledger::known(&Journal::read(&path).unwrap())
        } else {
            Known::default()
        }
    }

    async fn begin(&mut self, world: &Arc<World>, offers: &[Offer], kill: Option<u64>) -> bool {
        let known = self.known();
        let provider = world.provider();
        let side = Side::open(self.dir.path(), Printer::new(true)).unwrap();
        let mortal = Mortal {
            inner: JournalLedger::new(&side, Phase::Provision),
            world,
        };
        let id = self.id.clone();
        let now = provider.now().await;
        let Ok(now) = now else { return false };
        // A server that an earlier try made has that try's deadline.
        if self.deadline == 0 {
            self.deadline = now + 12 * HOUR as i64;
        }
        let deadline = self.deadline;
        let order = |offer: &Offer| Order {
            owner: Ownership {
                burst: id.clone(),
                deadline,
                is_kept: false,
            },
            offer: offer.clone(),
            since: now,
            image: "debian_bookworm".to_owned(),
            public_key: "ssh-ed25519 AAAA test".to_owned(),
            user_data: "#cloud-config\n{}\n".to_owned(),
            inbound: Vec::new(),
        };
        let clock = SimClock(Arc::clone(world));
        let begun = lifecycle::begin(&provider, offers, order, &known, &mortal, &clock, &|_| ());
        match world.killed_after(kill, begun).await {
            Some(Ok((machine, _))) => {
                self.server = Some(machine.server);
                true
            }
            _ => false,
        }
    }

    async fn end(&mut self, world: &Arc<World>, kill: Option<u64>) -> bool {
        // From here on it is told to go, however far that comes.
        self.server = None;
        let known = self.known();
        let provider = world.provider();
        let side = Side::open(self.dir.path(), Printer::new(true)).unwrap();
        let mortal = Mortal {
            inner: JournalLedger::new(&side, Phase::Destroy),
            world,
        };
        let clock = SimClock(Arc::clone(world));
        let ending = lifecycle::end(&provider, &self.id, &known, &mortal, &clock, lifecycle::END);
        let ended = matches!(world.killed_after(kill, ending).await, Some(Ok(())));
        if ended {
            self.has_ended = true;
        }
        ended
    }

    /// What its worker says of itself.
    async fn live(&self, world: &Arc<World>) {
        let Some(server) = &self.server else { return };
        let now = world.time();
        let life = serde_json::json!({"at": now, "burst": self.id, "phase": "index", "is_safe": false});
        let url = format!(
            "{}/sim/servers/{}/metadata/user_data/plexburst-life",
            world.cloud.access().url,
            server.id
        );
        reqwest::Client::new()
            .patch(url)
            .body(life.to_string())
            .send()
            .await
            .unwrap();
    }
}

async fn sweep_once(world: &Arc<World>, local: &BTreeMap<String, Local>, kill: Option<u64>) {
    let provider = world.provider();
    let clock = SimClock(Arc::clone(world));
    let sweeping = async {
        if let Ok(findings) = sweep::look(&provider, local).await {
            // What cannot be ended now is ended by a later sweep.
            let _ = sweep::destroy(&provider, &findings, &Nowhere(world), &clock, lifecycle::END).await;
        }
    };
    world.killed_after(kill, sweeping).await;
}

/// What else is in the account: somebody's server with volumes and an address, things that only look like ours.
async fn strangers(world: &World) {
    let access = world.cloud.access();
    let http = reqwest::Client::new();
    for (name, project, tags, volume) in [
        (
            "the household's own",
            &access.project_id,
            vec!["production"],
            "sbs_volume",
        ),
        ("plexburst", &access.project_id, vec!["plexburst"], "sbs_volume"),
        (
            "plexburst-burst=x",
            &access.project_id,
            vec!["plexburst", "plexburst-burst=not-an-id"],
            "sbs_volume",
        ),
        ("other work", &access.other_project_id, vec!["ci"], "sbs_volume"),
        ("plex-scanner-1700000000", &access.project_id, vec![], "sbs_volume"),
    ] {
        let body = serde_json::json!({
            "name": name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', " "), "commercial_type": "DEV1-S", "image": "debian_bookworm", "project": project,
            "tags": tags, "volumes": {"0": {"volume_type": volume, "size": 10_000_000_000_u64}},
        });
        let url = format!("{}/instance/v1/zones/fr-par-1/servers", access.url);
        let made = http
            .post(url)
            .header("X-Auth-Token", &access.secret_key)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(made.status().is_success(), "{}", made.text().await.unwrap());
    }
    let ip = serde_json::json!({"project": access.project_id, "type": "routed_ipv4", "tags": ["production"]});
    let url = format!("{}/instance/v1/zones/fr-par-1/ips", access.url);
    let made = http
        .post(url)
        .header("X-Auth-Token", &access.secret_key)
        .json(&ip)
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success());
}

async fn offers(world: &Arc<World>, types: &[&str]) -> Vec<Offer> {
    let wish = Wish {
        types: types.iter().map(|t| (*t).to_owned()).collect(),
        volume_gb: 15,
        zones: vec!["fr-par-1".to_owned(), "nl-ams-1".to_owned()],
        needs_x86_64: true,
    };
    let offers = world.provider().offers(&wish).await.unwrap();
    assert!(!offers.is_empty(), "{types:?}");
    offers
}

fn misfortune(dice: &mut Dice) -> Vec<Rule> {
    let mut rules = Vec::new();
    for _ in 0..dice.next(4) {
        let some = 0.02 + dice.next(20) as f64 / 100.0;
        rules.push(match dice.next(11) {
            0 => Rule::new(Fault::LoseResponse).on("POST", "/servers$").times(1),
            1 => Rule::new(Fault::LoseResponse).on("POST", "/security_groups").times(1),
            2 => Rule::new(Fault::LoseResponse).probability(some),
            3 => Rule::new(Fault::Cut).probability(some),
            4 => Rule::new(Fault::Status { code: 429 }).probability(some),
            5 => Rule::new(Fault::Status { code: 503 }).probability(some),
            6 => Rule::new(Fault::OutOfStock)
                .on("POST", "/servers$")
                .times(1 + dice.next(2) as u32),
            7 => Rule::new(Fault::QuotasExceeded).on("POST", "/servers$").times(1),
            8 => Rule::new(Fault::TransientState).on("POST", "/action").times(2),
            9 => Rule::new(Fault::DeleteLies {
                for_seconds: Some(40.0),
            })
            .probability(0.5)
            .times(3),
            _ => Rule::new(Fault::DeleteLies { for_seconds: None })
                .probability(0.5)
                .times(2),
        });
    }
    rules
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_nothing_alive_is_destroyed_nothing_foreign_is_touched() {
    let (count, seed) = (number("PLEXBURST_SOAK_BURSTS", 24), number("PLEXBURST_SEED", 1));
    println!("seed {seed}, {count} bursts");
    let world = World::new(seed);
    strangers(&world).await;
    let foreign = world.everything();
    let mut dice = Dice(seed);
    let choices = [
        offers(&world, &["DEV1-S", "DEV1-M"]).await,
        offers(&world, &["PRO2-XS", "PLAY2-MICRO"]).await,
    ];
    let mut bursts: Vec<Burst> = Vec::new();
    let (mut kills, mut swept) = (0, 0);
    for number in 0..count {
        let mut burst = Burst::new(number);
        for rule in misfortune(&mut dice) {
            world.cloud.fault(rule);
        }
        let offers = &choices[dice.next(2) as usize];
        let mut runs = false;
        for _ in 0..1 + dice.next(3) {
            let kill = dice.one_in(2).then(|| 1 + dice.next(16));
            kills += u64::from(kill.is_some());
            runs = burst.begin(&world, offers, kill).await;
            if runs {
                break;
            }
        }
        burst.live(&world).await;
        // Whoever sweeps, wherever and whenever, lets a machine live that shows that it does.
        if dice.one_in(3) {
            swept += 1;
            let kill = dice.one_in(3).then(|| 1 + dice.next(8));
            for other in &bursts {
                other.live(&world).await;
            }
            sweep_once(&world, &BTreeMap::new(), kill).await;
            let swept_at = world.time();
            let there = world.everything();
            for one in bursts.iter().chain([&burst]) {
                // Past its deadline it goes, whatever it says of itself.
                if let Some(server) = one.server.as_ref().filter(|_| swept_at < one.deadline) {
                    assert!(
                        there.contains(&format!("\"server\" \"{}\"", server.id)),
                        "seed {seed}: burst {number}: a sweep destroyed {server}, which lives"
                    );
                }
            }
        }
        // Some are ended in order, with kills; some are forgotten for ever.
        if !dice.one_in(4) {
            for _ in 0..1 + dice.next(3) {
                let kill = dice.one_in(2).then(|| 1 + dice.next(10));
                kills += u64::from(kill.is_some());
                if burst.end(&world, kill).await {
                    break;
                }
            }
        }
        if runs && dice.one_in(2) {
            world.pass(Duration::from_secs(60 * dice.next(20)));
        }
        if burst.has_ended {
            let mine = world.ours().len();
            let tag = format!("plexburst-burst={}", burst.id);
            let left: Vec<_> = world
                .cloud
                .resources()
                .into_iter()
                .filter(|r| r["tags"].as_array().unwrap().iter().any(|t| t.as_str() == Some(&tag)))
                .collect();
            assert!(
                left.is_empty(),
                "seed {seed}: burst {number} says that all is gone ({mine} of ours): {left:?}"
            );
        }
        assert!(
            foreign.is_subset(&world.everything()),
            "seed {seed}: burst {number}: something foreign is gone"
        );
        world.cloud.clear_faults();
        bursts.push(burst);
    }
    let forgotten = bursts.iter().filter(|b| !b.has_ended).count();
    // Past every deadline, `sweep` from a machine that knows nothing: killed, then again.
    world.pass(Duration::from_secs(13 * HOUR));
    sweep_once(&world, &BTreeMap::new(), Some(5)).await;
    for _ in 0..3 {
        sweep_once(&world, &BTreeMap::new(), None).await;
        world.pass(Duration::from_secs(60));
    }
    let left: Vec<_> = world.everything().difference(&foreign).cloned().collect();
    assert!(left.is_empty(), "seed {seed}: left: {left:?}");
    assert_eq!(foreign, world.everything(), "seed {seed}: something foreign is gone");
    println!("{count} bursts, {kills} kills, {swept} sweeps between, {forgotten} forgotten: nothing left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_told_apart_and_leaves_nothing() {
    let world = World::new(7);
    let offers = offers(&world, &["DEV1-S"]).await;
    let cases = [
        (Fault::OutOfStock, plexburst::exit::REFUSED, "out of stock"),
        (Fault::QuotasExceeded, plexburst::exit::REFUSED, "quota"),
        (Fault::Denied, plexburst::exit::USAGE, "rights"),
        (Fault::Expired, plexburst::exit::USAGE, "expired"),
    ];
    for (number, (fault, exit, word)) in cases.into_iter().enumerate() {
        let burst = Burst::new(1000 + number as u64);
        let side = Side::open(burst.dir.path(), Printer::new(true)).unwrap();
        let ledger = JournalLedger::new(&side, Phase::Provision);
        let provider = world.provider();
        let now = provider.now().await.unwrap();
        world.cloud.fault(Rule::new(fault).on("POST", "/servers$"));
        let order = |offer: &Offer| Order {
            owner: Ownership {
                burst: burst.id.clone(),
                deadline: now + 3600,
                is_kept: false,
            },
            offer: offer.clone(),
            since: now,
            image: "debian_bookworm".to_owned(),
            public_key: "ssh-ed25519 AAAA test".to_owned(),
            user_data: String::new(),
            inbound: Vec::new(),
        };
        let clock = SimClock(Arc::clone(&world));
        let known = Known::default();
        let error = lifecycle::begin(&provider, &offers, order, &known, &ledger, &clock, &|_| ())
            .await
            .unwrap_err();
        let said = format!("{} {}", error.chain(), error.hint_text().unwrap_or_default());
        assert_eq!(error.exit(), exit, "{said}");
        assert!(said.to_lowercase().contains(word), "{said}");
        world.cloud.clear_faults();
        let known = ledger::known(side.journal().entries());
        let ledger = JournalLedger::new(&side, Phase::Destroy);
        lifecycle::end(&provider, &burst.id, &known, &ledger, &clock, lifecycle::END)
            .await
            .unwrap();
        assert!(world.ours().is_empty(), "{:?}", world.ours());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_still_be_billed_is_said_with_the_command_that_ends_it() {
    let world = World::new(8);
    let offers = offers(&world, &["DEV1-S"]).await;
    let mut burst = Burst::new(2000);
    assert!(burst.begin(&world, &offers, None).await);
    world.cloud.fault(Rule::new(Fault::DeleteLies { for_seconds: None }));
    let side = Side::open(burst.dir.path(), Printer::new(true)).unwrap();
    let ledger = JournalLedger::new(&side, Phase::Destroy);
    let known = ledger::known(side.journal().entries());
    let clock = SimClock(Arc::clone(&world));
    let error = lifecycle::end(&world.provider(), &burst.id, &known, &ledger, &clock, lifecycle::END)
        .await
        .unwrap_err();
    assert_eq!(error.exit(), plexburst::exit::MAYBE_BILLED);
    assert!(
        error.chain().contains(&burst.server.as_ref().unwrap().id),
        "{}",
        error.chain()
    );
    assert!(error.hint_text().unwrap().contains("plexburst sweep"));
    world.cloud.clear_faults();
    let local = BTreeMap::from([(
        burst.id.clone(),
        Local {
            has_ended: true,
            known: ledger::known(side.journal().entries()),
        },
    )]);
    sweep_once(&world, &local, None).await;
    assert!(world.ours().is_empty(), "{:?}", world.ours());
    let bill = world.cloud.bill();
    assert!(bill["open"].as_array().unwrap().is_empty(), "{bill}");
}
