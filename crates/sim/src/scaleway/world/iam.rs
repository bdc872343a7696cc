//! Keys and what they may do (facts/cloud.md §1.10, §1.13): as far as a burst and its self-destruct key need.

use std::net::IpAddr;

use super::store::resource;
use super::{Life, World};
use crate::scaleway::clock::{self, Micros};

/// A public SSH key of a project.
#[derive(Debug, Clone)]
pub(crate) struct SshKey {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) public_key: String,
    pub(crate) disabled: bool,
}

/// Somebody who is no person.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
}

/// What an application may do.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) application: Option<String>,
    pub(crate) rules: Vec<PolicyRule>,
}

/// One rule of a policy.
#[derive(Debug, Clone)]
pub(crate) struct PolicyRule {
    pub(crate) id: String,
    pub(crate) sets: Vec<String>,
    /// Empty: the whole organization.
    pub(crate) projects: Vec<String>,
    pub(crate) condition: String,
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A person who may do everything.
    User(String),
    Application(String),
}

/// A key. Its id is the access key.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) secret: String,
    pub(crate) owner: Owner,
    pub(crate) description: String,
    pub(crate) default_project: String,
    pub(crate) expires: Option<Micros>,
}
resource!(SshKey, Application, Policy, ApiKey);

/// Who makes a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) owner: Owner,
    pub(crate) ip: IpAddr,
}

/// What permissions are given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Instances,
    BlockStorage,
    Iam,
    SshKeys,
    Projects,
}

impl Product {
    /// The permission sets that allow to read, and to write.
    fn sets(self) -> (&'static str, &'static str) {
        match self {
            Product::Instances => ("InstancesReadOnly", "InstancesFullAccess"),
            Product::BlockStorage => ("BlockStorageReadOnly", "BlockStorageFullAccess"),
            Product::Iam => ("IAMReadOnly", "IAMManager"),
            Product::SshKeys => ("SSHKeysReadOnly", "SSHKeysFullAccess"),
            Product::Projects => ("ProjectReadOnly", "ProjectManager"),
        }
    }

    /// As a refusal names it.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Product::Instances => "compute_servers",
            Product::BlockStorage => "block_storage",
            Product::Iam => "iam",
            Product::SshKeys => "ssh_keys",
            Product::Projects => "project",
        }
    }
}

impl World {
    pub(crate) fn new_api_key(&mut self, owner: Owner, description: &str, expires: Option<Micros>) -> ApiKey {
        const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let access: String = (0..17).map(|_| char::from(*self.random.pick(LETTERS))).collect();
        ApiKey {
            id: format!("SCW{access}"),
            life: self.life(),
            secret: self.random.uuid(),
            owner,
            description: description.to_owned(),
            default_project: self.organization.clone(),
            expires,
        }
    }

    /// Whether the caller may do that in the project; unset: in any.
    pub(crate) fn may(&self, caller: &Caller, product: Product, write: bool, project: Option<&str>) -> bool {
        let Owner::Application(application) = &caller.owner else {
            return true;
        };
        let (read_set, write_set) = product.sets();
        let is_enough = |set: &String| {
            set == write_set
                || set == "AllProductsFullAccess" && product != Product::Iam
                || !write && (set == read_set || set == "AllProductsReadOnly" && product != Product::Iam)
        };
        self.policies
            .iter()
            .filter(|policy| policy.application.as_ref() == Some(application))
            .flat_map(|policy| &policy.rules)
            .filter(|rule| {
                project.is_none_or(|project| rule.projects.is_empty() || rule.projects.iter().any(|of| of == project))
            })
            .filter(|rule| rule.sets.iter().any(is_enough))
            .any(|rule| {
                Condition::parse(&rule.condition).is_some_and(|condition| condition.holds(caller.ip, self.now()))
            })
    }

    /// The permission sets that exist here.
    pub(crate) fn permission_sets() -> Vec<&'static str> {
        let mut sets = vec!["AllProductsFullAccess", "AllProductsReadOnly"];
        for product in [
            Product::Instances,
            Product::BlockStorage,
            Product::Iam,
            Product::SshKeys,
            Product::Projects,
        ] {
            let (read, write) = product.sets();
            sets.extend([read, write]);
        }
        sets
    }
}

/// The part of the condition language that is understood: terms joined by `&&` over `request.ip` and `request.time`.
/// What is not understood cannot be set, so that nothing is taken for a limit that is none.
#[derive(Debug)]
pub(crate) struct Condition(Vec<Term>);

#[derive(Debug)]
enum Term {
    IpIn(String),
    Before(Micros),
    After(Micros),
}

impl Condition {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let terms = text.split("&&").map(str::trim).filter(|term| !term.is_empty());
        terms.map(Term::parse).collect::<Option<Vec<_>>>().map(Self)
    }

    fn holds(&self, ip: IpAddr, now: Micros) -> bool {
        self.0.iter().all(|term| match term {
            Term::IpIn(range) => super::group::in_range(ip, range),
            Term::Before(limit) => now < *limit,
            Term::After(limit) => now > *limit,
        })
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let time = |text: &str| {
            let inner = text
                .trim_start_matches('=')
                .trim()
                .strip_prefix("timestamp(")?
                .strip_suffix(')')?;
            clock::parse(unquote(inner)?)
        };
        if let Some(arguments) = text.strip_prefix("inIpRange(").and_then(|rest| rest.strip_suffix(')')) {
            let (subject, range) = arguments.split_once(',')?;
            return (subject.trim() == "request.ip").then_some(Self::IpIn(unquote(range.trim())?.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("request.ip") {
            return Some(Self::IpIn(unquote(rest.trim().strip_prefix("==")?.trim())?.to_owned()));
        }
        let rest = text.strip_prefix("request.time")?.trim();
        match rest.split_at_checked(1)? {
            ("<", rest) => Some(Self::Before(time(rest)?)),
            (">", rest) => Some(Self::After(time(rest)?)),
            _ => None,
        }
    }
}

fn unquote(text: &str) -> Option<&str> {
    let quoted = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_a_self_destruct_key_has() {
        let text = "inIpRange(request.ip, '127.64.0.0/10') && request.time < timestamp(\"2026-07-01T00:00:00Z\")";
        let condition = Condition::parse(text).unwrap();
        let at = |text: &str| clock::parse(text).unwrap();
        let (own, other) = ("127.65.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert!(condition.holds(own, at("2026-06-30T23:59:59Z")));
        assert!(!condition.holds(own, at("2026-07-01T00:00:00Z")));
        assert!(!condition.holds(other, at("2026-06-30T00:00:00Z")));
        assert!(Condition::parse("").unwrap().holds(other, 0));
        for strange in ["resource.id == 'x'", "request.time", "request.ip == x", "true || false"] {
            assert!(Condition::parse(strange).is_none(), "{strange}");
        }
    }
}
