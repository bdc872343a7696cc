//! The key with which a machine ends itself: an application of the burst's own, a policy that lets it do nothing but what
//! ending takes, only from the machine's address and only until a little after its deadline, and one key of it
//! (facts: cloud §1.13). All three are found again like everything else: by tags, or through what has the tags.

use std::net::IpAddr;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::make::again;
use super::{Client, Error, Kind};
use crate::cloud::provider::{Ledger, Owned};
use crate::cloud::resource::{self, GLOBAL, Ownership, Resource, name_of};
use crate::error::Result;
use crate::secret::Token;

const IAM: &str = "/iam/v1alpha1";
/// What ending a machine and its volumes takes; there is no smaller set.
const RIGHTS: [&str; 2] = ["InstancesFullAccess", "BlockStorageFullAccess"];

/// An application, or a policy.
#[derive(Debug, Clone, Deserialize)]
struct Tagged {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    created_at: Option<jiff::Timestamp>,
}

#[derive(Debug, Deserialize)]
struct ApiKey {
    access_key: String,
    #[serde(default)]
    secret_key: Option<String>,
    #[serde(default)]
    created_at: Option<jiff::Timestamp>,
}

/// Where one of them is.
pub(super) fn path(kind: resource::Kind, id: &str) -> String {
    let folder = match kind {
        resource::Kind::ApiKey => "api-keys",
        resource::Kind::Policy => "policies",
        _ => "applications",
    };
    format!("{IAM}/{folder}/{id}")
}

/// The organization that the project is in: IAM knows nothing smaller.
async fn organization(client: &Client) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Project {
        organization_id: String,
    }
    let at = format!("/account/v3/projects/{}", client.project);
    let project: Project = client.call(Method::GET, at).read().await?;
    Ok(project.organization_id)
}

async fn tagged(client: &Client, organization: &str, folder: &str) -> Result<Vec<Tagged>, Error> {
    let query = [("organization_id", organization), ("tag", resource::TAG)];
    client.list_newer(&format!("{IAM}/{folder}"), folder, &query).await
}

async fn keys_of(client: &Client, organization: &str, application: &str) -> Result<Vec<ApiKey>, Error> {
    let query = [("organization_id", organization), ("bearer_id", application)];
    client.list_newer(&format!("{IAM}/api-keys"), "api_keys", &query).await
}

fn resource(kind: resource::Kind, id: &str, name: &str) -> Resource {
    Resource {
        kind,
        id: id.to_owned(),
        zone: GLOBAL.to_owned(),
        name: name.to_owned(),
    }
}

/// Everything of ours that belongs to keys. A key of the account's that may not look at IAM made none of it.
pub(super) async fn owned(client: &Client) -> Result<Vec<Owned>, Error> {
    match all(client).await {
        Err(error) if matches!(error.kind, Kind::PermissionsDenied(_) | Kind::NotFound) => Ok(Vec::new()),
        other => other,
    }
}

async fn all(client: &Client) -> Result<Vec<Owned>, Error> {
    let organization = organization(client).await?;
    let mut all = Vec::new();
    let seconds = |at: Option<jiff::Timestamp>| at.map_or(0, jiff::Timestamp::as_second);
    for found in tagged(client, &organization, "applications").await? {
        let Some(owner) = Ownership::of(&found.tags) else {
            continue;
        };
        for key in keys_of(client, &organization, &found.id).await? {
            all.push(Owned {
                resource: resource(resource::Kind::ApiKey, &key.access_key, &found.name),
                owner: owner.clone(),
                made_at: seconds(key.created_at),
            });
        }
        all.push(Owned {
            resource: resource(resource::Kind::Application, &found.id, &found.name),
            owner,
            made_at: seconds(found.created_at),
        });
    }
    for found in tagged(client, &organization, "policies").await? {
        if let Some(owner) = Ownership::of(&found.tags) {
            all.push(Owned {
                resource: resource(resource::Kind::Policy, &found.id, &found.name),
                owner,
                made_at: seconds(found.created_at),
            });
        }
    }
    Ok(all)
}

/// See [`crate::cloud::Provider::make_key`].
pub(super) async fn make(
    client: &Client,
    owner: &Ownership,
    address: IpAddr,
    expires: i64,
    ledger: &dyn Ledger,
) -> Result<Token> {
    let explain = |error: Error| match error.kind {
        Kind::PermissionsDenied(_) => crate::error::Error::from(error).hint(
            "making a key takes IAMManager and ProjectReadOnly in the organization; without them unset \
             `scaleway.self_destruct`, or name a key of your own in `scaleway.self_destruct_key_file`",
        ),
        _ => error.into(),
    };
    let organization = organization(client).await.map_err(explain)?;
    let name = name_of(&owner.burst);
    let application = one(
        client,
        ledger,
        owner,
        resource::Kind::Application,
        &organization,
        json!({"name": name, "organization_id": organization, "tags": owner.tags(),
            "description": "plexburst: the rented machine ends itself"}),
    )
    .await
    .map_err(|e| e.map(explain))
    .map_err(Failed::settled)?;
    let until = stamp(expires);
    let rule = json!({
        "permission_set_names": RIGHTS, "project_ids": [client.project],
        "condition": format!("request.ip == '{address}' && request.time < timestamp(\"{until}\")"),
    });
    one(
        client,
        ledger,
        owner,
        resource::Kind::Policy,
        &organization,
        json!({"name": name, "organization_id": organization, "application_id": application.id, "tags": owner.tags(),
            "description": "plexburst: what ending a rented machine takes", "rules": [rule]}),
    )
    .await
    .map_err(|e| e.map(explain))
    .map_err(Failed::settled)?;
    for old in keys_of(client, &organization, &application.id).await.map_err(explain)? {
        let old = resource(resource::Kind::ApiKey, &old.access_key, &name);
        ledger.learn(&old)?;
        // Whoever had its secret is gone, and so is the secret.
        client
            .call(Method::DELETE, path(old.kind, &old.id))
            .send()
            .await
            .map_err(explain)?;
    }
    ledger.intend(resource::Kind::ApiKey, GLOBAL, None)?;
    let made: Result<ApiKey, Error> = client
        .call(Method::POST, format!("{IAM}/api-keys"))
        .json(
            json!({"application_id": application.id, "expires_at": until, "default_project_id": client.project,
            "description": name}),
        )
        .read()
        .await;
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            if !error.kind.may_have_happened() {
                ledger.refused(resource::Kind::ApiKey, GLOBAL)?;
            }
            return Err(explain(error));
        }
    };
    ledger.learn(&resource(resource::Kind::ApiKey, &made.access_key, &name))?;
    made.secret_key.as_deref().map(Token::new).ok_or_else(|| {
        crate::error::Error::failed("Scaleway made a key and did not tell its secret")
            .hint("`plexburst resume` makes another")
    })
}

/// The provider's failure, which has still to be explained, or one of this program's own.
enum Failed {
    Provider(Error),
    Explained(crate::error::Error),
}

impl Failed {
    fn map(self, explain: impl Fn(Error) -> crate::error::Error) -> Self {
        match self {
            Self::Provider(error) => Self::Explained(explain(error)),
            explained @ Self::Explained(_) => explained,
        }
    }

    fn settled(self) -> crate::error::Error {
        match self {
            Self::Provider(error) => error.into(),
            Self::Explained(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Provider(error)
    }
}

impl From<crate::error::Error> for Failed {
    fn from(error: crate::error::Error) -> Self {
        Self::Explained(error)
    }
}

/// The application or the policy of this burst, made when it is not there. A policy that is there may be for another
/// address, so it is made anew.
async fn one(
    client: &Client,
    ledger: &dyn Ledger,
    owner: &Ownership,
    kind: resource::Kind,
    organization: &str,
    body: Value,
) -> Result<Tagged, Failed> {
    let folder = if kind == resource::Kind::Policy {
        "policies"
    } else {
        "applications"
    };
    let find = async || -> Result<Option<Tagged>, Error> {
        let found = tagged(client, organization, folder).await?;
        Ok(found
            .into_iter()
            .find(|one| Ownership::of(&one.tags).is_some_and(|o| o.burst == owner.burst)))
    };
    match find().await? {
        Some(found) if kind == resource::Kind::Policy => {
            ledger.learn(&resource(kind, &found.id, &found.name))?;
            client.call(Method::DELETE, path(kind, &found.id)).send().await?;
        }
        Some(found) => {
            ledger.learn(&resource(kind, &found.id, &found.name))?;
            return Ok(found);
        }
        None => {}
    }
    ledger.intend(kind, GLOBAL, None)?;
    let made = match post(client, &format!("{IAM}/{folder}"), body).await {
        Ok(made) => made,
        Err(error) if error.kind.may_have_happened() => again(client, error, find).await?,
        Err(error) => {
            ledger.refused(kind, GLOBAL)?;
            return Err(error.into());
        }
    };
    ledger.learn(&resource(kind, &made.id, &made.name))?;
    Ok(made)
}

async fn post<T: DeserializeOwned>(client: &Client, at: &str, body: Value) -> Result<T, Error> {
    client.call(Method::POST, at).json(body).read().await
}

fn stamp(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
