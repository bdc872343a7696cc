//! A machine of a cloud for one burst: rented, reached with a host key that its provider vouches for, and ended only when
//! what it made is safe.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Controller;
use super::Alive;
use crate::burst::ledger::{self, JournalLedger};
use crate::burst::phase::Phase;
use crate::burst::quote;
use crate::burst::spec::Lease;
use crate::burst::worker::warden::Warrant;
use crate::clock::{Clock, SystemClock};
use crate::cloud::offer::Offer;
use crate::cloud::price::Euros;
use crate::cloud::provider::{Machine, Order, Provider, Taken};
use crate::cloud::resource::{Kind, Ownership, Resource};
use crate::cloud::scaleway::{Client, Scaleway};
use crate::cloud::{deadline, lifecycle};
use crate::config::rented as outside;
use crate::error::{Error, Result};
use crate::host::{Target, keys, user_data};
use crate::secret::Token;

const IMAGE: &str = "debian_bookworm";
/// cloud-init and the keys of a fresh machine (the earlier scripts gave cloud-init 600 s; facts: legacy §4).
const REACH: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_secs(3);
/// Seconds for which the machine's own key outlives its deadline: what ending it may take.
const KEY_MARGIN: i64 = 3600;
/// Where SSH answers unless the environment of a test says otherwise.
const SSH: u16 = 22;

/// What is known of the machine once it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rented {
    pub(super) server: Resource,
    pub(super) group: Option<Resource>,
    pub(super) address: String,
    pub(super) offer: Offer,
    /// When it has to be gone, by the provider's clock.
    pub(super) deadline: i64,
    /// When it was rented, by the provider's clock.
    pub(super) since: i64,
}

/// The provider, for this burst.
pub(super) struct Cloud {
    provider: Scaleway,
}

impl Cloud {
    /// The account is read now; nothing of it is kept with the burst.
    pub(super) fn of(c: &Controller) -> Result<Self> {
        let account = outside::account(&c.request.config.scaleway)?;
        Ok(Self {
            provider: Scaleway::new(Client::new(&account)?),
        })
    }

    /// Rents one and waits until it runs.
    pub(super) async fn rent(&self, c: &Controller, library_bytes: u64) -> Result<Rented> {
        let config = &c.request.config.scaleway;
        let options = &c.request.options;
        let offers = quote::offers(&self.provider, &c.request.config, options, library_bytes).await?;
        let pair = keys::pair(&ssh_dir(c)?, c.id()).await?;
        let since = self.provider.now().await?;
        let hours = options.max_hours.or(config.max_hours);
        let cost = options.max_cost.or(config.max_cost);
        let until = |offer: &Offer| Ok::<i64, Error>(since + deadline::seconds(&offer.price, hours, cost)?);
        let affordable: Vec<Offer> = offers.iter().filter(|offer| until(offer).is_ok()).cloned().collect();
        if affordable.is_empty() {
            // The reason why the first is none is the one that counts.
            until(&offers[0])?;
        }
        let order = |offer: &Offer| Order {
            owner: Ownership {
                burst: c.id().to_owned(),
                deadline: until(offer).unwrap_or(since),
                is_kept: false,
            },
            offer: offer.clone(),
            since,
            image: config.image.clone().unwrap_or_else(|| IMAGE.to_owned()),
            public_key: pair.public.clone(),
            user_data: user_data::cloud_config(c.id()),
            inbound: config.inbound.clone(),
        };
        for offer in affordable.iter().take(1) {
            c.printer().say(&format!(
                "            {} in {}: {} an hour ({}), gone by itself at the latest in {} h",
                offer.commercial_type,
                offer.zone,
                Euros(offer.price.per_hour()),
                offer.price.source,
                (until(offer)? - since) / 3600
            ));
        }
        let ledger = JournalLedger::new(&c.side, Phase::Provision);
        let say = |text: &str| c.printer().warn(text);
        let known = ledger::known(c.side.journal().entries());
        let (machine, taken) =
            lifecycle::begin(&self.provider, &affordable, order, &known, &ledger, &SystemClock, &say).await?;
        settle(c, machine, taken)
    }

    /// How the machine is reached, with a host key that Scaleway vouches for.
    pub(super) async fn reach(&self, c: &Controller, rented: &Rented) -> Result<Target> {
        let dir = ssh_dir(c)?;
        let known_hosts = dir.join("known_hosts");
        let target = target(rented, &dir, &known_hosts);
        let clock = SystemClock;
        let begun = clock.now();
        let mut last;
        // A machine that was reached before may let in another address than this machine has by now.
        let mut may_be_closed = c.side.attempts(Phase::Reach) > 1;
        loop {
            last = match self.provider.host_keys(&rented.server).await {
                Ok(vouched) if vouched.is_empty() => "it has not made its host keys yet".to_owned(),
                Ok(vouched) => match keys::prove(&rented.address, ssh_port(), &vouched, &known_hosts).await {
                    Ok(()) => return Ok(target),
                    Err(error) if error.exit() == crate::exit::REFUSED => return Err(error),
                    Err(error) => {
                        if std::mem::take(&mut may_be_closed) {
                            self.open_again(c, rented).await?;
                        }
                        error.chain()
                    }
                },
                Err(error) => error.chain(),
            };
            if clock.now() - begun > REACH {
                return Err(Error::failed(format!(
                    "{} at {} cannot be reached within {} min; last: {last}",
                    rented.server,
                    rented.address,
                    REACH.as_secs() / 60
                ))
                .hint("`plexburst resume` tries again, `plexburst cancel` ends the machine"));
            }
            c.printer().progress(&format!("waiting for {}: {last}", rented.address));
            clock.sleep(LOOK).await;
        }
    }

    /// Lets nobody in but the address that the machine sees us come from.
    pub(super) async fn close_to_others(&self, c: &Controller, rented: &Rented, seen_from: &str) -> Result<()> {
        let Some(group) = &rented.group else { return Ok(()) };
        if !c.request.config.scaleway.inbound.is_empty() {
            return Ok(());
        }
        let Ok(address) = seen_from.parse::<std::net::IpAddr>() else {
            return Ok(());
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        self.provider.admit(group, &[format!("{address}/{bits}")]).await
    }

    /// Lets everybody with the key in again: this machine's address may have changed. Where addresses are configured, those.
    pub(super) async fn open_again(&self, c: &Controller, rented: &Rented) -> Result<()> {
        match &rented.group {
            Some(group) => {
                let inbound = &c.request.config.scaleway.inbound;
                self.provider.admit(group, inbound).await
            }
            None => Ok(()),
        }
    }

    /// How long the worker has given no proof of life, in seconds by the provider's clock; none before the first.
    pub(super) async fn silent_for(&self, rented: &Rented) -> Result<Option<i64>> {
        let life = self.provider.life(&rented.server).await?;
        let now = self.provider.now().await?;
        Ok(life.map(|life| now - life.at))
    }

    /// Whether the machine exists and runs, as its provider says.
    pub(super) async fn is_running(&self, rented: &Rented) -> Result<Alive> {
        Ok(match self.provider.machine(&rented.server).await? {
            Some(machine) if machine.is_running => Alive::Unknown,
            _ => Alive::No,
        })
    }

    pub(super) async fn lease(&self, c: &Controller, rented: &Rented, clock_offset: i64) -> Result<Lease> {
        let now = self.provider.now().await?;
        Ok(Lease {
            burst: c.id().to_owned(),
            deadline: rented.deadline,
            work_until: deadline::work_until(now, rented.deadline),
            clock_offset,
        })
    }

    /// What the machine's warden is told, with a key that may do only that; none when the user does not allow one.
    pub(super) async fn warrant(&self, c: &Controller, rented: &Rented, work_dir: &str) -> Result<Option<Warrant>> {
        let config = &c.request.config.scaleway;
        let account = outside::account(config)?;
        let address: std::net::IpAddr = rented
            .address
            .parse()
            .map_err(|e| Error::unexpected(format!("{} is no address", rented.address)).because(e))?;
        let key = if let Some(file) = &config.self_destruct_key_file {
            let text = std::fs::read_to_string(file).map_err(|e| {
                Error::usage(format!("cannot read {}", file.display()))
                    .hint("correct `scaleway.self_destruct_key_file`")
                    .because(e)
            })?;
            Token::new(&text)
        } else if config.self_destruct {
            let owner = Ownership {
                burst: c.id().to_owned(),
                deadline: rented.deadline,
                is_kept: false,
            };
            let ledger = JournalLedger::new(&c.side, Phase::Provision);
            let expires = rented.deadline + KEY_MARGIN;
            self.provider.make_key(&owner, address, expires, &ledger).await?
        } else {
            return Ok(None);
        };
        Ok(Some(Warrant {
            burst: c.id().to_owned(),
            server: rented.server.clone(),
            deadline: rented.deadline,
            keep: c.request.options.keep,
            address,
            api_url: account.api_url,
            project: account.project,
            secret_key: key.reveal().to_owned(),
            work_dir: work_dir.into(),
        }))
    }

    /// The provider's time.
    pub(super) async fn now(&self) -> Result<i64> {
        self.provider.now().await
    }

    /// Marks the machine as kept until its deadline, and says what that costs and how to end it.
    pub(super) async fn keep(&self, c: &Controller, rented: &Rented) -> Result<()> {
        let owner = Ownership {
            burst: c.id().to_owned(),
            deadline: rented.deadline,
            is_kept: true,
        };
        self.provider.retag(&rented.server, &owner).await?;
        c.printer().warn(&format!(
            "{} is kept: {} an hour, until its deadline at the latest; `plexburst sweep --kept` ends it now",
            rented.server,
            Euros(rented.offer.price.per_hour())
        ));
        Ok(())
    }

    /// Ends everything of this burst.
    pub(super) async fn end(&self, c: &Controller, phase: Phase) -> Result<()> {
        let known = ledger::known(c.side.journal().entries());
        if known.zones.is_empty() {
            return Ok(());
        }
        let ledger = JournalLedger::new(&c.side, phase);
        lifecycle::end(&self.provider, c.id(), &known, &ledger, &SystemClock, lifecycle::END).await
    }
}

fn settle(c: &Controller, machine: Machine, taken: Taken) -> Result<Rented> {
    let known = ledger::known(c.side.journal().entries());
    Ok(Rented {
        deadline: taken.deadline,
        group: known
            .resources
            .iter()
            .find(|r| r.kind == Kind::SecurityGroup && r.zone == machine.server.zone)
            .cloned(),
        address: machine
            .address
            .ok_or_else(|| Error::unexpected("a machine that runs has no address"))?,
        server: machine.server,
        offer: taken.offer,
        since: taken.since,
    })
}

/// Whether the burst's key is on this machine: one that took the burst over has none.
pub(super) fn has_key(c: &Controller) -> bool {
    c.dir.join("ssh/id_ed25519").is_file()
}

fn ssh_dir(c: &Controller) -> Result<PathBuf> {
    let dir = c.dir.join("ssh");
    super::super::make_private(&dir).map_err(|e| Error::failed(format!("cannot make {}", dir.display())).because(e))?;
    Ok(dir)
}

fn target(rented: &Rented, dir: &std::path::Path, known_hosts: &std::path::Path) -> Target {
    Target {
        destination: format!("root@{}", rented.address),
        port: Some(ssh_port()),
        key: Some(dir.join("id_ed25519")),
        known_hosts: Some(known_hosts.to_path_buf()),
        config: None,
    }
}

/// 22; a simulated machine may have to take another, where an ordinary user cannot have that one.
fn ssh_port() -> u16 {
    outside::ssh_port().unwrap_or(SSH)
}
