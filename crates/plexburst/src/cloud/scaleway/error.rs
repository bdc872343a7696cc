//! What Scaleway's API can answer instead of what was asked for, each told apart (facts: cloud §1.11).

use std::time::Duration;

use serde::Deserialize;

use crate::exit;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {kind}")]
pub struct Error {
    /// Method and path, without the query.
    pub call: String,
    /// What happened.
    pub kind: Kind,
}

/// What happened to a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// 404: no such thing. For something that is being destroyed this is success.
    #[error("it does not exist")]
    NotFound,
    /// 401.
    #[error("the key is not accepted ({0})")]
    DeniedAuthentication(String),
    /// 403.
    #[error("the key lacks rights: {0}")]
    PermissionsDenied(String),
    /// The organisation's limits.
    #[error("a quota is used up: {0}")]
    Quota(String),
    /// No machine of that type is left there.
    #[error("{0} is out of stock")]
    OutOfStock(String),
    /// It is between two states; ask again.
    #[error("it is {0} right now")]
    Transient(String),
    /// It is locked by the provider.
    #[error("it is locked by the provider")]
    Locked,
    /// It is past its end.
    #[error("it has expired")]
    Expired,
    /// Something else has to happen first.
    #[error("not possible yet: {0}")]
    Precondition(String),
    /// The call itself is wrong.
    #[error("the call is not accepted: {0}")]
    Invalid(String),
    /// 429.
    #[error("too many calls")]
    TooMany(Option<Duration>),
    /// 5xx.
    #[error("the provider failed with status {0}")]
    Server(u16),
    /// Nobody was reached, so nothing can have happened.
    #[error("not reached: {0}")]
    NotReached(String),
    /// The answer was lost: it may or may not have happened.
    #[error("the answer was lost: {0}")]
    Lost(String),
    /// An answer that this program cannot read.
    #[error("an answer that cannot be read: {0}")]
    Malformed(String),
    /// The answers' own clock and the dates in them are so many seconds apart.
    #[error("its answers are dated {} min apart from what it has just made", .0.abs() / 60)]
    Clock(i64),
    /// Any other status.
    #[error("status {0}: {1}")]
    Status(u16, String),
}

impl Kind {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::TooMany(_) | Self::Server(500 | 502..=504) | Self::NotReached(_) | Self::Lost(_) | Self::Transient(_)
        )
    }

    /// Whether the call may have been carried out although it failed.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Server(_) | Self::Malformed(_))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    r#type: String,
    message: String,
    resource: String,
    current_state: String,
    reason: String,
    method: String,
    precondition: String,
    help_message: String,
    details: Vec<Detail>,
    fields: std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    argument_name: String,
    reason: String,
    help_message: String,
    resource: String,
    action: String,
    quota: u64,
    current: u64,
}

/// Reads an answer of status ≥ 400.
pub(super) fn of_answer(status: u16, retry_after: Option<Duration>, body: &str) -> Kind {
    let body: Body = serde_json::from_str(body).unwrap_or_default();
    let text = |parts: Vec<String>| {
        if parts.is_empty() {
            body.message.clone()
        } else {
            parts.join("; ")
        }
    };
    let legacy_quota = body.message.to_lowercase().contains("quota exceeded");
    match body.r#type.as_str() {
        "not_found" | "unknown_resource" => Kind::NotFound,
        "denied_authentication" => {
            Kind::DeniedAuthentication(format!("{} {}", body.method, body.reason).trim().to_owned())
        }
        "permissions_denied" => Kind::PermissionsDenied(text(
            body.details
                .iter()
                .map(|d| format!("{} on {}", d.action, d.resource))
                .collect(),
        )),
        "quotas_exceeded" => Kind::Quota(text(
            body.details
                .iter()
                .map(|d| format!("{} ({} of {})", d.resource, d.current, d.quota))
                .collect(),
        )),
        _ if legacy_quota => Kind::Quota(body.message.clone()),
        "out_of_stock" => Kind::OutOfStock(body.resource.clone()),
        "transient_state" => Kind::Transient(body.current_state.clone()),
        "locked" => Kind::Locked,
        "resource_expired" => Kind::Expired,
        "precondition_failed" => Kind::Precondition(if body.help_message.is_empty() {
            body.precondition.clone()
        } else {
            body.help_message.clone()
        }),
        "invalid_arguments" => Kind::Invalid(text(
            body.details
                .iter()
                .map(|d| {
                    format!("{} {} {}", d.argument_name, d.reason, d.help_message)
                        .trim()
                        .to_owned()
                })
                .collect(),
        )),
        "invalid_request_error" => Kind::Invalid(text(
            body.fields
                .iter()
                .map(|(field, why)| format!("{field}: {}", why.join(", ")))
                .collect(),
        )),
        _ => match status {
            404 => Kind::NotFound,
            401 => Kind::DeniedAuthentication("401".to_owned()),
            403 => Kind::PermissionsDenied(body.message.clone()),
            429 => Kind::TooMany(retry_after),
            500.. => Kind::Server(status),
            _ => Kind::Status(status, body.message.clone()),
        },
    }
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        let message = "Scaleway did not do what was asked for";
        let (code, hint) = match &error.kind {
            Kind::DeniedAuthentication(_) => (
                exit::USAGE,
                "check SCW_SECRET_KEY, or the profile in scw's config file; keys can expire",
            ),
            Kind::PermissionsDenied(_) => (
                exit::USAGE,
                "the key needs InstancesFullAccess and BlockStorageFullAccess in the project, and `scaleway.project` (or \
                 SCW_DEFAULT_PROJECT_ID) has to name a project of the key's organization (docs/scaleway.md)",
            ),
            Kind::Quota(_) => (
                exit::REFUSED,
                "take a smaller --instance, or ask Scaleway for a higher quota",
            ),
            Kind::OutOfStock(_) => (
                exit::REFUSED,
                "take another --instance, or set `scaleway.zone` to another zone",
            ),
            Kind::Invalid(_) => (
                exit::USAGE,
                "check `scaleway.zone`, `scaleway.project` and `--instance`",
            ),
            Kind::Clock(_) => (
                exit::HOME_UNCHANGED,
                "no deadline can be relied upon meanwhile: try again later; when `scaleway.api_url` names a proxy, check its clock",
            ),
            Kind::NotReached(_) | Kind::Lost(_) | Kind::Server(_) | Kind::TooMany(_) => (
                exit::HOME_UNCHANGED,
                "`plexburst resume` goes on when Scaleway answers again",
            ),
            _ => (exit::HOME_UNCHANGED, "`plexburst sweep` shows what is there"),
        };
        Self::new(code, message).hint(hint).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_errors_are_told_apart() {
        let invalid = r#"{"type":"invalid_arguments","message":"invalid argument(s)","details":[{"argument_name":"commercial_type","reason":"required","help_message":"required key not provided"}]}"#;
        assert_eq!(
            of_answer(400, None, invalid),
            Kind::Invalid("commercial_type required required key not provided".into())
        );
        let gone =
            r#"{"type":"not_found","message":"resource is not found","resource":"instance_server","resource_id":"x"}"#;
        assert_eq!(of_answer(404, None, gone), Kind::NotFound);
        assert_eq!(
            of_answer(
                403,
                None,
                r#"{"type":"invalid_request_error","message":"Quota exceeded for this resource."}"#
            ),
            Kind::Quota("Quota exceeded for this resource.".into())
        );
        assert_eq!(of_answer(429, None, ""), Kind::TooMany(None));
        assert_eq!(of_answer(503, None, "<html>"), Kind::Server(503));
        assert!(of_answer(503, None, "").is_passing() && of_answer(503, None, "").may_have_happened());
        assert!(!Kind::NotReached(String::new()).may_have_happened());
        let expired = r#"{"type":"denied_authentication","method":"api_key","reason":"expired","message":"authentication is denied"}"#;
        assert_eq!(
            of_answer(401, None, expired),
            Kind::DeniedAuthentication("api_key expired".into())
        );
    }
}
