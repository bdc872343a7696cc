//! Answers and refusals in the forms that the official SDKs tell apart (facts/cloud.md §1.11).

use serde_json::{Value, json};

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The answer's body.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    Text(Vec<u8>),
}

impl Reply {
    pub(crate) fn json(value: Value) -> Self {
        Self {
            status: 200,
            body: Body::Json(value),
            headers: Vec::new(),
        }
    }

    /// 201 with the new resource's path.
    pub(crate) fn created(value: Value, location: String) -> Self {
        Self {
            status: 201,
            body: Body::Json(value),
            headers: vec![("location", location)],
        }
    }

    pub(crate) fn nothing() -> Self {
        Self {
            status: 204,
            body: Body::Empty,
            headers: Vec::new(),
        }
    }

    pub(crate) fn text(bytes: Vec<u8>) -> Self {
        Self {
            status: 200,
            body: Body::Text(bytes),
            headers: Vec::new(),
        }
    }
}

/// A refusal.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
}

impl Failure {
    fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
        }
    }

    /// A status alone, as a gateway answers.
    pub(crate) fn bare(status: u16) -> Self {
        Self { status, body: None }
    }

    pub(crate) fn arguments<'a>(details: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let details: Vec<Value> = details
            .into_iter()
            .map(|(name, reason, help)| json!({"argument_name": name, "reason": reason, "help_message": help}))
            .collect();
        Self::new(
            400,
            json!({"type": "invalid_arguments", "message": "invalid argument(s)", "details": details}),
        )
    }

    pub(crate) fn argument(name: &str, reason: &str, help: &str) -> Self {
        Self::arguments([(name, reason, help)])
    }

    pub(crate) fn not_found(resource: &str, id: &str) -> Self {
        Self::new(
            404,
            json!({"type": "not_found", "message": "resource is not found", "resource": resource, "resource_id": id}),
        )
    }

    /// The form that instance v1 still has for what a request refers to.
    pub(crate) fn unknown_resource(what: &str, id: &str) -> Self {
        Self::new(
            404,
            json!({"type": "unknown_resource", "message": format!("{what} \"{id}\" not found")}),
        )
    }

    pub(crate) fn no_route() -> Self {
        Self::new(404, json!({"message": "404 page not found"}))
    }

    pub(crate) fn unauthenticated(reason: &str) -> Self {
        Self::new(
            401,
            json!({"type": "denied_authentication", "message": "authentication is denied", "method": "api_key",
                "reason": reason}),
        )
    }

    pub(crate) fn denied(resource: &str, action: &str) -> Self {
        Self::new(
            403,
            json!({"type": "permissions_denied", "message": "insufficient permissions",
                "details": [{"resource": resource, "action": action}]}),
        )
    }

    pub(crate) fn quota(resource: &str, quota: u64, current: u64) -> Self {
        Self::new(
            403,
            json!({"type": "quotas_exceeded", "message": "quota(s) exceeded for this resource",
                "details": [{"resource": resource, "quota": quota, "current": current, "scope": "organization"}]}),
        )
    }

    pub(crate) fn out_of_stock(resource: &str) -> Self {
        Self::new(
            412,
            json!({"type": "out_of_stock", "message": "resource is out of stock", "resource": resource}),
        )
    }

    pub(crate) fn transient(resource: &str, id: &str, state: &str) -> Self {
        Self::new(
            409,
            json!({"type": "transient_state", "message": "resource is in a transient state", "resource": resource,
                "resource_id": id, "current_state": state}),
        )
    }

    pub(crate) fn precondition(precondition: &str, help: &str) -> Self {
        Self::new(
            412,
            json!({"type": "precondition_failed", "message": "precondition is not respected",
                "precondition": precondition, "help_message": help}),
        )
    }

    pub(crate) fn in_use(help: &str) -> Self {
        Self::precondition("resource_still_in_use", help)
    }

    /// The older form of instance v1.
    pub(crate) fn invalid_request(message: &str) -> Self {
        Self::new(400, json!({"type": "invalid_request_error", "message": message}))
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.status,
            body: failure.body.map_or(Body::Empty, Body::Json),
            headers: Vec::new(),
        }
    }
}
