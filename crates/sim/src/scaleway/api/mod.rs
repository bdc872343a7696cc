//! The HTTP API: one function per endpoint, all of them synchronous, behind one table of routes per product.
//!
//! [`Sim::answer`] decides; [`http`] carries the bytes. A request meets, in this order: what happened meanwhile, the fault
//! that was ordered for it, the key's check, the endpoint.

mod account;
mod block;
mod catalog;
mod control;
pub(crate) mod http;
mod iam;
pub(crate) mod instance;
mod marketplace;
mod page;
pub(crate) use control::{bill, resources};
pub(crate) mod reply;
pub(crate) mod request;

use std::time::Duration;

use self::reply::{Failure, Reply};
use self::request::Request;
use super::clock::{Micros, api_time, micros};
use super::faults::{Fault, Faults};
use super::world::{Caller, Logged, Product, World};

/// A simulator's whole state.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) world: World,
    pub(crate) faults: Faults,
    /// Deletions that were said to be done, and will be then.
    postponed: Vec<(Micros, Request)>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Reply),
    /// The connection is cut.
    Cut,
    /// Ask again after that time, with [`Sim::answer_slowly`].
    Later(Duration),
}

/// What an endpoint has at hand.
pub(crate) struct Context<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) request: &'a Request,
    pub(crate) caller: &'a Caller,
}

impl Context<'_> {
    /// Refuses unless the key may do it in that project (unset: in some project).
    pub(crate) fn require(&self, product: Product, write: bool, project: Option<&str>) -> Result<(), Failure> {
        match self.world.may(self.caller, product, write, project) {
            true => Ok(()),
            false => Err(Failure::denied(
                product.resource(),
                if write { "write" } else { "read" },
            )),
        }
    }

    /// The project that a new resource is for: the one that is named, which must exist.
    pub(crate) fn project(
        &self,
        product: Product,
        project: Option<String>,
        organization: Option<String>,
    ) -> Result<String, Failure> {
        let id = match (project, organization) {
            (Some(project), None) => project,
            // The default project has its organization's id.
            (None, Some(organization)) => organization,
            (None, None) => return Err(Failure::argument("project", "required", "required key not provided")),
            (Some(_), Some(_)) => {
                return Err(Failure::argument(
                    "project",
                    "constraint",
                    "project and organization exclude each other",
                ));
            }
        };
        // A project that is not there is told apart from one that is somebody else's by nobody.
        if self.world.project(&id).is_none() {
            return Err(Failure::denied(product.resource(), "write"));
        }
        self.require(product, true, Some(&id))?;
        Ok(id)
    }
}

impl Sim {
    pub(crate) fn new(world: World, faults: Faults) -> Self {
        Self {
            world,
            faults,
            postponed: Vec::new(),
        }
    }

    /// Answers a request, well or badly.
    pub(crate) fn answer(&mut self, request: &Request) -> Outcome {
        if request.segments.first().is_some_and(|first| first == "sim") {
            self.settle();
            return Outcome::Answer(control::answer(self, request).unwrap_or_else(Reply::from));
        }
        self.world.clock.request();
        self.settle();
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let fault = self.faults.take(method, path, is_destruction(request));
        let id = request.segments.get(5).map_or("", String::as_str);
        let outcome = match fault {
            None => Outcome::Answer(self.endpoint(request)),
            Some(Fault::Slow { milliseconds }) => return Outcome::Later(Duration::from_millis(milliseconds)),
            Some(Fault::Cut) => Outcome::Cut,
            Some(Fault::LoseResponse) => {
                self.endpoint(request);
                Outcome::Cut
            }
            Some(Fault::DeleteLies { for_seconds }) => Outcome::Answer(self.lie(request, for_seconds)),
            Some(Fault::Status { code }) => Outcome::Answer(Failure::bare(code).into()),
            Some(Fault::OutOfStock) => Outcome::Answer(Failure::out_of_stock("instance_server").into()),
            Some(Fault::QuotasExceeded) => Outcome::Answer(Failure::quota("instance_server", 1, 1).into()),
            Some(Fault::TransientState) => {
                Outcome::Answer(Failure::transient("instance_server", id, "stopping").into())
            }
            Some(Fault::Denied) => Outcome::Answer(Failure::denied("compute_servers", "write").into()),
            Some(Fault::Expired) => Outcome::Answer(Failure::unauthenticated("expired").into()),
        };
        self.note(request, &outcome);
        outcome
    }

    /// Answers a request that was kept waiting.
    pub(crate) fn answer_slowly(&mut self, request: &Request) -> Outcome {
        self.settle();
        let outcome = Outcome::Answer(self.endpoint(request));
        self.note(request, &outcome);
        outcome
    }

    /// Lets happen what is due.
    pub(crate) fn settle(&mut self) {
        let now = self.world.clock.now();
        let due: Vec<Request> = self
            .postponed
            .extract_if(.., |(at, _)| *at <= now)
            .map(|(_, request)| request)
            .collect();
        for request in due {
            self.endpoint(&request);
        }
        self.world.settle();
    }

    /// Says that something was destroyed when it was not.
    fn lie(&mut self, request: &Request, for_seconds: Option<f64>) -> Reply {
        let mut look = request.clone();
        look.method = "GET".to_owned();
        if look.segments.last().is_some_and(|last| last == "action") {
            look.segments.pop();
        }
        // What is not there is 404 even for a liar.
        let found = self.endpoint(&look);
        if found.status != 200 {
            return found;
        }
        if let Some(seconds) = for_seconds {
            self.postponed
                .push((self.world.clock.now() + micros(seconds), request.clone()));
        }
        match request.method.as_str() {
            "DELETE" => Reply::nothing(),
            _ => {
                let id = request.segments.get(5).cloned().unwrap_or_default();
                instance::accepted(&mut self.world, &id, "server_terminate")
            }
        }
    }

    fn endpoint(&mut self, request: &Request) -> Reply {
        self.route(request).unwrap_or_else(Reply::from)
    }

    fn route(&mut self, request: &Request) -> Result<Reply, Failure> {
        let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let world = &mut self.world;
        // The catalogues need no key.
        match segments[..] {
            ["product-catalog", "v2alpha1", "public-catalog", "products"] => return catalog::products(request),
            ["marketplace", "v2", ref rest @ ..] => return marketplace::answer(world, request, rest),
            _ => {}
        }
        let caller = authenticate(world, request)?;
        let mut context = Context {
            world,
            request,
            caller: &caller,
        };
        match segments[..] {
            ["instance", "v1", "zones", zone, ref rest @ ..] => instance::answer(&mut context, zone, rest),
            ["block", "v1" | "v1alpha1", "zones", zone, ref rest @ ..] => block::answer(&mut context, zone, rest),
            ["iam", "v1alpha1", ref rest @ ..] => iam::answer(&mut context, rest),
            ["account", "v3", ref rest @ ..] => account::answer(&context, rest),
            _ => Err(Failure::no_route()),
        }
    }

    fn note(&mut self, request: &Request, outcome: &Outcome) {
        let key = self
            .world
            .api_keys
            .iter()
            .find(|key| Some(&key.secret) == request.token.as_ref());
        let access_key = key.map(|key| key.id.clone());
        self.world.log.push(Logged {
            at: api_time(self.world.clock.now()),
            method: request.method.clone(),
            path: request.path.clone(),
            status: match outcome {
                Outcome::Answer(reply) => reply.status,
                Outcome::Cut | Outcome::Later(_) => 0,
            },
            access_key,
        });
    }
}

/// Whether a request asks for something to be destroyed.
fn is_destruction(request: &Request) -> bool {
    request.method == "DELETE"
        || request.method == "POST"
            && request.path.ends_with("/action")
            && request.json().is_ok_and(|body| body["action"] == "terminate")
}

fn authenticate(world: &World, request: &Request) -> Result<Caller, Failure> {
    let Some(token) = &request.token else {
        return Err(Failure::unauthenticated("not_found"));
    };
    let is_uuid = token.len() == 36 && token.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_uuid {
        return Err(Failure::unauthenticated("invalid_argument"));
    }
    let Some(key) = world.api_keys.iter().find(|key| &key.secret == token) else {
        return Err(Failure::unauthenticated("not_found"));
    };
    if key.expires.is_some_and(|expires| expires <= world.now()) {
        return Err(Failure::unauthenticated("expired"));
    }
    Ok(Caller {
        owner: key.owner.clone(),
        ip: request.peer,
    })
}
