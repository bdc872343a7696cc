//! What a cloud has to be able to do. Small on purpose: another provider is one more implementation of this.
//!
//! Guarantees an implementation gives: [`Provider::make`] writes down every id before it makes the next call, and finds
//! what an earlier try for the same burst made before it makes anything; [`Provider::destroy`] may be repeated, and says
//! [`Gone::Yes`] only after the provider answered that the thing does not exist.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lease::Life;
use super::offer::{Offer, Wish};
use super::resource::{Ownership, Resource};
use crate::error::Result;
use crate::secret::Token;

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose it is, and until when.
    pub owner: Ownership,
    /// What was chosen.
    pub offer: Offer,
    /// When it was asked for, in seconds since 1970 by the provider's clock.
    pub since: i64,
    /// Label of the operating system's image.
    pub image: String,
    /// The burst's public key, as in authorized_keys.
    pub public_key: String,
    /// cloud-init's user data; holds no secret, since everybody on the machine can read it.
    pub user_data: String,
    /// Who may come in over SSH, as CIDR; empty: everybody.
    pub inbound: Vec<String>,
}

/// What was settled for a server before it was asked for. A run that was killed goes on with it, whatever is offered, and
/// for how much, by then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The offer.
    pub offer: Offer,
    /// When it was taken, by the provider's clock.
    pub since: i64,
    /// When the machine has to be gone.
    pub deadline: i64,
}

impl Order {
    /// What is written down before the server is made.
    #[must_use]
    pub fn taken(&self) -> Taken {
        Taken {
            offer: self.offer.clone(),
            since: self.since,
            deadline: self.owner.deadline,
        }
    }

    /// The same order for what an earlier run had settled.
    #[must_use]
    pub fn as_taken(mut self, taken: &Taken) -> Self {
        self.offer = taken.offer.clone();
        self.since = taken.since;
        self.owner.deadline = taken.deadline;
        self
    }
}

/// A machine that runs, or will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The server.
    pub server: Resource,
    /// Address for SSH; `None` until it has one.
    pub address: Option<String>,
    /// Whether the provider says that it runs.
    pub is_running: bool,
    /// The provider's word for its state.
    pub state: String,
}

/// One thing of ours that the provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The thing.
    pub resource: Resource,
    /// Whose it is.
    pub owner: Ownership,
    /// When it was made, in seconds since 1970.
    pub made_at: i64,
}

/// Whether something exists no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The provider answered that it does not exist.
    Yes,
    /// It is on its way; ask again.
    NotYet,
}

/// Where an implementation writes down what it is about to do and what it has learnt, flushed before it goes on.
pub trait Ledger: Send + Sync {
    /// About to make something of this kind in this zone; of a server, what was settled for it.
    ///
    /// # Errors
    /// It cannot be written down; then nothing is made.
    fn intend(&self, kind: super::Kind, zone: &str, taken: Option<&Taken>) -> Result<()>;
    /// The provider refused to make what was intended, so there is nothing to look for.
    ///
    /// # Errors
    /// It cannot be written down.
    fn refused(&self, kind: super::Kind, zone: &str) -> Result<()>;
    /// A thing of ours, as soon as its id is known.
    ///
    /// # Errors
    /// It cannot be written down.
    fn learn(&self, resource: &Resource) -> Result<()>;
    /// Confirmed not to exist any more.
    ///
    /// # Errors
    /// It cannot be written down.
    fn gone(&self, resource: &Resource) -> Result<()>;
}

/// A cloud.
#[allow(async_fn_in_trait)] // Only used with one implementation at a time, never as an object.
pub trait Provider: Send + Sync {
    /// What messages call it.
    fn name(&self) -> &'static str;

    /// The provider's own time, in seconds since 1970: deadlines are compared with nothing else.
    async fn now(&self) -> Result<i64>;

    /// Machines that fit, best first, with their prices.
    async fn offers(&self, wish: &Wish) -> Result<Vec<Offer>>;

    /// Makes the machine of this burst, or goes on with the one that is there; comes back when it was told to start.
    async fn make(&self, order: &Order, ledger: &dyn Ledger) -> Result<Machine>;

    /// The machine as it is now; `None` when it does not exist.
    async fn machine(&self, server: &Resource) -> Result<Option<Machine>>;

    /// Fingerprints of the machine's host keys (`SHA256:…`), from the provider and not from the network; empty until it
    /// has booted.
    async fn host_keys(&self, server: &Resource) -> Result<Vec<String>>;

    /// The worker's own proof of life; `None` before the first.
    async fn life(&self, server: &Resource) -> Result<Option<Life>>;

    /// Every zone in which something of ours could be.
    fn zones(&self) -> Vec<String>;

    /// Everything of ours in a zone, found by tags: all of it, or an error.
    async fn owned(&self, zone: &str) -> Result<Vec<Owned>>;

    /// What came with a server and would outlive it; nothing that somebody else attached to it.
    async fn attached(&self, server: &Resource) -> Result<Vec<Resource>>;

    /// Whether a thing exists: not, when the provider answers that there is none.
    async fn is_there(&self, resource: &Resource) -> Result<bool>;

    /// One step towards the end of a thing; to be repeated until [`Gone::Yes`].
    async fn destroy(&self, resource: &Resource) -> Result<Gone>;

    /// Moves the deadline of a server (`--keep`, a longer run), or marks what hangs on it.
    async fn retag(&self, resource: &Resource, owner: &Ownership) -> Result<()>;

    /// Lets only these in over SSH from now on (the caller's address changed).
    async fn admit(&self, group: &Resource, inbound: &[String]) -> Result<()>;

    /// A key with which the machine can end itself, and which may do as little else as the provider lets be said: for this
    /// burst alone, only from `address`, and until `expires` (seconds since 1970 by the provider's clock). One that an
    /// earlier try made is replaced, since its secret is lost.
    async fn make_key(
        &self,
        owner: &Ownership,
        address: std::net::IpAddr,
        expires: i64,
        ledger: &dyn Ledger,
    ) -> Result<Token>;

    /// How long after creation a machine may be silent before its first proof of life.
    fn boot_grace(&self) -> Duration {
        Duration::from_secs(45 * 60)
    }
}
