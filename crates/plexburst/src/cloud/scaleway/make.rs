//! Making a machine: found before it is made, every id written down before the next call.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::model::{SecurityGroup, SecurityGroupAnswer, Server, ServerAnswer};
use super::{Client, Error, Kind, Scaleway, machine, offers, owned, path};
use crate::cloud::provider::{Ledger, Machine, Order};
use crate::cloud::resource::{self, Ownership, Resource, name_of};
use crate::error::Result;

/// How long a thing that was made may be missing in lists: a creation whose answer was lost is looked for as long before it
/// is tried again. Unsure for the real API; generous, since a second machine costs an hour.
const LAG: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);
/// Seconds by which the provider's clocks may differ: far more than an answer is under way.
const CLOCKS_APART: i64 = 10 * 60;

/// See [`crate::cloud::Provider::make`].
pub(super) async fn make(scaleway: &Scaleway, order: &Order, ledger: &dyn Ledger) -> Result<Machine> {
    let client = &scaleway.client;
    let zone = order.offer.zone.as_str();
    let group = group(client, order, ledger).await?;
    admit(client, &group, &order.inbound).await?;
    let (server, is_fresh) = match find_server(client, zone, &order.owner.burst).await? {
        Some(server) => (server, false),
        None => (create_server(client, order, &group, ledger).await?, true),
    };
    let id = server.id.clone();
    ledger.learn(&machine(zone, &server).server)?;
    if is_fresh {
        agree_on_time(client, &server)?;
    }
    for volume in owned::attached(client, zone, &server).await? {
        ledger.learn(&volume)?;
        // The root volume on the network is made without tags; untagged it could not be found once the server is gone.
        if volume.kind == resource::Kind::BlockVolume {
            owned::retag(client, &volume, &order.owner).await?;
        }
    }
    if server.state == "stopped" {
        let user_data = path(zone, &format!("servers/{id}/user_data/cloud-init"));
        client
            .call(Method::PATCH, user_data)
            .text(&order.user_data)
            .send()
            .await?;
        power_on(client, zone, &id).await?;
    }
    let now = scaleway.server(zone, &id).await?.unwrap_or(server);
    Ok(machine(zone, &now))
}

async fn power_on(client: &Client, zone: &str, id: &str) -> Result<(), Error> {
    let action = path(zone, &format!("servers/{id}/action"));
    let sent = client
        .call(Method::POST, action)
        .json(json!({"action": "poweron"}))
        .send()
        .await;
    match sent {
        // Whether it was told is seen by its state; being told twice is harmless.
        Err(error) if error.kind.may_have_happened() || matches!(error.kind, Kind::Transient(_)) => Ok(()),
        other => other.map(drop),
    }
}

async fn group(client: &Client, order: &Order, ledger: &dyn Ledger) -> Result<Resource> {
    let zone = order.offer.zone.as_str();
    let find = async || -> Result<Option<SecurityGroup>, Error> {
        let groups: Vec<SecurityGroup> = client
            .list(
                &path(zone, "security_groups"),
                "security_groups",
                &[("project", &client.project)],
            )
            .await?;
        Ok(groups.into_iter().find(|group| is_of(&group.tags, &order.owner.burst)))
    };
    let found = match find().await? {
        Some(group) => group,
        None => {
            ledger.intend(resource::Kind::SecurityGroup, zone, None)?;
            let body = json!({
                "name": name_of(&order.owner.burst),
                "description": "plexburst: SSH from the machine that began the burst",
                "project": client.project,
                "tags": order.owner.tags(),
                "stateful": true,
                "inbound_default_policy": "drop",
                "outbound_default_policy": "accept",
            });
            let made: Result<SecurityGroupAnswer, Error> = client
                .call(Method::POST, path(zone, "security_groups"))
                .json(body)
                .read()
                .await;
            match made {
                Ok(made) => made.security_group,
                Err(error) if error.kind.may_have_happened() => again(client, error, find).await?,
                Err(error) => {
                    ledger.refused(resource::Kind::SecurityGroup, zone)?;
                    return Err(error.into());
                }
            }
        }
    };
    let resource = Resource {
        kind: resource::Kind::SecurityGroup,
        id: found.id,
        zone: zone.to_owned(),
        name: found.name,
    };
    ledger.learn(&resource)?;
    Ok(resource)
}

/// SSH from these addresses and nothing else; from everywhere when none is named.
pub(super) async fn admit(client: &Client, group: &Resource, inbound: &[String]) -> Result<(), Error> {
    let everywhere = ["0.0.0.0/0".to_owned()];
    let ranges = if inbound.is_empty() { &everywhere[..] } else { inbound };
    let rules: Vec<_> = ranges
        .iter()
        .enumerate()
        .map(|(position, range)| {
            json!({
                "protocol": "TCP", "direction": "inbound", "action": "accept", "ip_range": range,
                "dest_port_from": 22, "dest_port_to": null, "position": position + 1,
            })
        })
        .collect();
    let path = path(&group.zone, &format!("security_groups/{}/rules", group.id));
    client
        .call(Method::PUT, path)
        .json(json!({"rules": rules}))
        .send()
        .await
        .map(drop)
}

async fn create_server(client: &Client, order: &Order, group: &Resource, ledger: &dyn Ledger) -> Result<Server> {
    let offer = &order.offer;
    let zone = offer.zone.as_str();
    let image = offers::image(client, &order.image, offer).await?;
    let mut tags = order.owner.tags();
    // The key of this burst alone, without a key in the account (facts: cloud §1.10).
    tags.push(format!("AUTHORIZED_KEY={}", order.public_key.trim().replace(' ', "_")));
    let volume_type = if offer.is_local { "l_ssd" } else { "sbs_volume" };
    let body = json!({
        "name": name_of(&order.owner.burst),
        "commercial_type": offer.commercial_type,
        "image": image,
        "project": client.project,
        "tags": tags,
        "dynamic_ip_required": true,
        "security_group": group.id,
        "boot_type": "local",
        "volumes": {"0": {"boot": true, "volume_type": volume_type, "size": offer.volume_gb * 1_000_000_000}},
    });
    ledger.intend(resource::Kind::Server, zone, Some(&order.taken()))?;
    let made: Result<ServerAnswer, Error> = client.call(Method::POST, path(zone, "servers")).json(body).read().await;
    match made {
        Ok(made) => Ok(made.server),
        Err(error) if error.kind.may_have_happened() => {
            let find = async || find_server(client, zone, &order.owner.burst).await;
            Ok(again(client, error, find).await?)
        }
        Err(error) => {
            ledger.refused(resource::Kind::Server, zone)?;
            Err(error.into())
        }
    }
}

/// The deadline of a machine and its age are told apart by two clocks of the provider's: that of its answers, and the one
/// that it dates what is made with. Where they disagree, a deadline means nothing, and a sweep would judge wrongly.
fn agree_on_time(client: &Client, server: &Server) -> Result<(), Error> {
    let (Some(now), Some(made)) = (client.now(), server.creation_date) else {
        return Ok(());
    };
    let apart = now - made.as_second();
    if apart.abs() <= CLOCKS_APART {
        return Ok(());
    }
    Err(Error {
        call: "POST /servers".to_owned(),
        kind: Kind::Clock(apart),
    })
}

/// After a creation whose answer was lost: looks for what it made for as long as lists may lag behind. Not found is the
/// error that it was; whoever tries again looks first.
pub(super) async fn again<T>(
    client: &Client,
    error: Error,
    find: impl AsyncFn() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let begun = client.clock().now();
    loop {
        if let Some(found) = find().await? {
            return Ok(found);
        }
        if client.clock().now() - begun > LAG {
            return Err(error);
        }
        client.clock().sleep(LOOK).await;
    }
}

/// The server of a burst; the first made when there are several, the others are found by tags when all is destroyed.
async fn find_server(client: &Client, zone: &str, burst: &str) -> Result<Option<Server>, Error> {
    let servers: Vec<Server> = client
        .list(
            &path(zone, "servers"),
            "servers",
            &[("project", &client.project), ("tags", resource::TAG)],
        )
        .await?;
    let mut ours: Vec<Server> = servers
        .into_iter()
        .filter(|server| is_of(&server.tags, burst))
        .collect();
    ours.sort_by_key(|server| (server.creation_date, server.id.clone()));
    Ok(ours.into_iter().next())
}

fn is_of(tags: &[String], burst: &str) -> bool {
    Ownership::of(tags).is_some_and(|owner| owner.burst == burst)
}
