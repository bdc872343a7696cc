//! One step towards the end of a thing. Done is only what the API answers 404 for.

use reqwest::Method;
use serde_json::json;

use super::model::{BlockVolume, LocalVolume, ServerAnswer};
use super::{Client, Error, Kind, block_path, found, keys, path};
use crate::cloud::provider::Gone;
use crate::cloud::resource::{self, Resource};

/// See [`crate::cloud::Provider::destroy`].
pub(super) async fn step(client: &Client, resource: &Resource) -> Result<Gone, Error> {
    let (zone, id) = (resource.zone.as_str(), resource.id.as_str());
    match resource.kind {
        resource::Kind::Server => server(client, zone, id).await,
        resource::Kind::BlockVolume => {
            let at = block_path(zone, &format!("volumes/{id}"));
            let Some(volume) = found(client.call(Method::GET, at.clone()).read::<BlockVolume>().await)? else {
                return Ok(Gone::Yes);
            };
            // A volume that a server has just left is still in use for some seconds (facts: cloud §1.7).
            let is_free = volume.references.is_empty() && volume.status != "in_use";
            if is_free {
                delete(client, at).await
            } else {
                Ok(Gone::NotYet)
            }
        }
        resource::Kind::LocalVolume => {
            #[derive(serde::Deserialize)]
            struct Answer {
                volume: LocalVolume,
            }
            let at = path(zone, &format!("volumes/{id}"));
            let Some(answer) = found(client.call(Method::GET, at.clone()).read::<Answer>().await)? else {
                return Ok(Gone::Yes);
            };
            let is_free = answer.volume.server.as_ref().is_none_or(serde_json::Value::is_null);
            if is_free {
                delete(client, at).await
            } else {
                Ok(Gone::NotYet)
            }
        }
        resource::Kind::Ip => look_and_delete(client, path(zone, &format!("ips/{id}"))).await,
        resource::Kind::SecurityGroup => look_and_delete(client, path(zone, &format!("security_groups/{id}"))).await,
        resource::Kind::ApiKey | resource::Kind::Policy | resource::Kind::Application => {
            look_and_delete(client, keys::path(resource.kind, id)).await
        }
    }
}

async fn look_and_delete(client: &Client, at: String) -> Result<Gone, Error> {
    match found(client.call(Method::GET, at.clone()).send().await)? {
        None => Ok(Gone::Yes),
        Some(_) => delete(client, at).await,
    }
}

async fn server(client: &Client, zone: &str, id: &str) -> Result<Gone, Error> {
    let at = path(zone, &format!("servers/{id}"));
    let Some(ServerAnswer { server }) = found(client.call(Method::GET, at.clone()).read().await)? else {
        return Ok(Gone::Yes);
    };
    if server.protected {
        client
            .call(Method::PATCH, at.clone())
            .json(json!({"protected": false}))
            .send()
            .await?;
    }
    match server.state.as_str() {
        // Between two states it takes no action; one that is on its way out needs none.
        "starting" | "stopping" => Ok(Gone::NotYet),
        _ => {
            let told = client
                .call(Method::POST, format!("{at}/action"))
                .json(json!({"action": "terminate"}))
                .send()
                .await;
            settled(told.map(drop))
        }
    }
}

async fn delete(client: &Client, at: String) -> Result<Gone, Error> {
    settled(client.call(Method::DELETE, at).send().await.map(drop))
}

/// What was told to go is looked for again; what cannot go yet is told again.
fn settled(told: Result<(), Error>) -> Result<Gone, Error> {
    match told {
        Ok(()) => Ok(Gone::NotYet),
        Err(error) => match error.kind {
            Kind::NotFound => Ok(Gone::Yes),
            Kind::Transient(_) | Kind::Precondition(_) | Kind::Lost(_) | Kind::Server(_) | Kind::TooMany(_) => {
                Ok(Gone::NotYet)
            }
            // "instance should be powered off", and the like: the wording of the older API (facts: cloud §1.5).
            Kind::Invalid(_) | Kind::Status(400 | 409 | 412, _) => Ok(Gone::NotYet),
            _ => Err(error),
        },
    }
}
