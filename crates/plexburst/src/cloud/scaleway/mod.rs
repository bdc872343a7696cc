//! Scaleway Instances as a [`Provider`].
//!
//! What decides the design (facts: cloud §0): a server is made stopped and nothing runs until it is powered on; creation
//! has no idempotency key; `terminate` leaves network volumes behind, made without tags behind one's back; a machine that
//! shuts itself down is still billed. So: found by tags before it is made, every id written down as soon as it is known,
//! network volumes tagged at once, a dynamic address (it goes with the machine), and gone only after 404.

mod client;
pub mod config;
mod destroy;
pub mod error;
mod keys;
mod make;
mod model;
mod offers;
mod owned;

use reqwest::Method;

pub use client::Client;
pub use config::Account;
pub use error::{Error, Kind};

use super::lease::{self, Life};
use super::offer::{Offer, Wish};
use super::provider::{Gone, Ledger, Machine, Order, Owned, Provider};
use super::resource::{self, Ownership, Resource};
use crate::error::Result;
use crate::secret::Token;

/// Where the machine's image puts the fingerprints of its host keys (facts: cloud §1.6).
const FINGERPRINTS: &str = "ssh-host-fingerprints";

/// Scaleway.
#[derive(Debug, Clone)]
pub struct Scaleway {
    client: Client,
    zones: Vec<String>,
}

impl Scaleway {
    /// With this client; `zones` are those that are swept.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            zones: config::ZONES
                .iter()
                .chain([&resource::GLOBAL])
                .map(|zone| (*zone).to_owned())
                .collect(),
        }
    }

    /// Servers that the earlier scripts left behind, by their names (`plex-scanner-<epoch>`; facts: legacy §2). Shown to
    /// the user, never touched.
    pub async fn earlier_scripts(&self) -> Vec<Resource> {
        let mut found = Vec::new();
        for zone in self.zones.iter().filter(|zone| *zone != resource::GLOBAL) {
            // A courtesy: a zone that does not answer is reported by whoever asks for what is ours.
            let query = [("project", self.client.project.as_str()), ("name", "plex-scanner-")];
            let servers: Vec<model::Server> = self
                .client
                .list(&path(zone, "servers"), "servers", &query)
                .await
                .unwrap_or_default();
            found.extend(
                servers
                    .iter()
                    .filter(|s| is_of_earlier_scripts(&s.name))
                    .map(|s| machine(zone, s).server),
            );
        }
        found
    }

    async fn server(&self, zone: &str, id: &str) -> Result<Option<model::Server>, Error> {
        let answer: Result<model::ServerAnswer, Error> = self
            .client
            .call(Method::GET, path(zone, &format!("servers/{id}")))
            .read()
            .await;
        found(answer.map(|answer| answer.server))
    }

    async fn user_data(&self, server: &Resource, key: &str) -> Result<Option<String>, Error> {
        let path = path(&server.zone, &format!("servers/{}/user_data/{key}", server.id));
        found(
            self.client
                .call(Method::GET, path)
                .send()
                .await
                .map(|answer| answer.body),
        )
    }
}

fn is_of_earlier_scripts(name: &str) -> bool {
    let epoch = name.strip_prefix("plex-scanner-");
    epoch.is_some_and(|epoch| !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()))
}

/// A path of the instance API.
fn path(zone: &str, rest: &str) -> String {
    format!("/instance/v1/zones/{zone}/{rest}")
}

/// A path of the API of network volumes.
fn block_path(zone: &str, rest: &str) -> String {
    format!("/block/v1/zones/{zone}/{rest}")
}

/// 404 is an answer.
fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn machine(zone: &str, server: &model::Server) -> Machine {
    let public = server.public_ips.iter().chain(&server.public_ip);
    let address = public
        .filter(|ip| ip.family.as_deref() != Some("inet6"))
        .map(|ip| ip.address.clone())
        .next();
    Machine {
        server: Resource {
            kind: resource::Kind::Server,
            id: server.id.clone(),
            zone: zone.to_owned(),
            name: server.name.clone(),
        },
        address,
        is_running: server.state == "running",
        state: if server.state_detail.is_empty() {
            server.state.clone()
        } else {
            format!("{} ({})", server.state, server.state_detail)
        },
    }
}

impl Provider for Scaleway {
    fn name(&self) -> &'static str {
        "Scaleway"
    }

    async fn now(&self) -> Result<i64> {
        if let Some(now) = self.client.now() {
            return Ok(now);
        }
        let zone = self.zones.first().map_or("fr-par-1", String::as_str);
        self.client
            .call(Method::GET, path(zone, "servers"))
            .query("per_page", "1")
            .query("project", &self.client.project)
            .send()
            .await?;
        self.client.now().ok_or_else(|| {
            crate::error::Error::failed("Scaleway's answer does not tell the time, so no deadline can be set")
                .hint("check `scaleway.api_url`")
        })
    }

    async fn offers(&self, wish: &Wish) -> Result<Vec<Offer>> {
        Ok(offers::offers(&self.client, wish).await?)
    }

    async fn make(&self, order: &Order, ledger: &dyn Ledger) -> Result<Machine> {
        make::make(self, order, ledger).await
    }

    async fn machine(&self, server: &Resource) -> Result<Option<Machine>> {
        Ok(self
            .server(&server.zone, &server.id)
            .await?
            .map(|found| machine(&server.zone, &found)))
    }

    async fn host_keys(&self, server: &Resource) -> Result<Vec<String>> {
        let text = self.user_data(server, FINGERPRINTS).await?.unwrap_or_default();
        // As `ssh-keygen -l` prints: bits, fingerprint, comment, (kind).
        let prints = text
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("SHA256:")));
        Ok(prints.map(str::to_owned).collect())
    }

    async fn life(&self, server: &Resource) -> Result<Option<Life>> {
        let text = self.user_data(server, lease::KEY).await?;
        // Half a proof is no proof; the next one is a minute away.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn zones(&self) -> Vec<String> {
        self.zones.clone()
    }

    async fn owned(&self, zone: &str) -> Result<Vec<Owned>> {
        if zone == resource::GLOBAL {
            return Ok(keys::owned(&self.client).await?);
        }
        Ok(owned::owned(&self.client, zone).await?)
    }

    async fn attached(&self, server: &Resource) -> Result<Vec<Resource>> {
        match self.server(&server.zone, &server.id).await? {
            Some(found) => Ok(owned::attached(&self.client, &server.zone, &found).await?),
            None => Ok(Vec::new()),
        }
    }

    async fn is_there(&self, resource: &Resource) -> Result<bool> {
        Ok(owned::is_there(&self.client, resource).await?)
    }

    async fn destroy(&self, resource: &Resource) -> Result<Gone> {
        Ok(destroy::step(&self.client, resource).await?)
    }

    async fn retag(&self, resource: &Resource, owner: &Ownership) -> Result<()> {
        Ok(owned::retag(&self.client, resource, owner).await?)
    }

    async fn make_key(
        &self,
        owner: &Ownership,
        address: std::net::IpAddr,
        expires: i64,
        ledger: &dyn Ledger,
    ) -> Result<Token> {
        keys::make(&self.client, owner, address, expires, ledger).await
    }

    async fn admit(&self, group: &Resource, inbound: &[String]) -> Result<()> {
        Ok(make::admit(&self.client, group, inbound).await?)
    }
}
