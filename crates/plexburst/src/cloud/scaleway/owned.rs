//! What is ours: found by tags in a zone, marked, and what came with a server.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::model::{BlockVolume, Ip, LocalVolume, SecurityGroup, Server};
use super::{Client, Error, block_path, found, keys, path};
use crate::cloud::provider::Owned;
use crate::cloud::resource::{self, Kind, Ownership, Resource};

/// Everything of ours in a zone.
pub(super) async fn owned(client: &Client, zone: &str) -> Result<Vec<Owned>, Error> {
    let ours = [("project", client.project.as_str()), ("tags", resource::TAG)];
    let newer = [("project_id", client.project.as_str()), ("tags", resource::TAG)];
    let mut all = Vec::new();
    let mut add = |kind, id: String, name: String, tags: &[String], made: Option<jiff::Timestamp>| {
        // The API's own filter is not relied upon.
        if let Some(owner) = Ownership::of(tags) {
            all.push(Owned {
                resource: Resource {
                    kind,
                    id,
                    zone: zone.to_owned(),
                    name,
                },
                owner,
                made_at: made.map_or(0, jiff::Timestamp::as_second),
            });
        }
    };
    for s in in_zone(client.list::<Server>(&path(zone, "servers"), "servers", &ours).await)? {
        add(Kind::Server, s.id, s.name, &s.tags, s.creation_date);
    }
    for v in in_zone(
        client
            .list_newer::<BlockVolume>(&block_path(zone, "volumes"), "volumes", &newer)
            .await,
    )? {
        add(Kind::BlockVolume, v.id, v.name, &v.tags, v.created_at);
    }
    for v in in_zone(
        client
            .list::<LocalVolume>(&path(zone, "volumes"), "volumes", &ours)
            .await,
    )? {
        add(Kind::LocalVolume, v.id, v.name, &v.tags, v.creation_date);
    }
    for ip in in_zone(client.list::<Ip>(&path(zone, "ips"), "ips", &ours).await)? {
        add(Kind::Ip, ip.id, ip.address, &ip.tags, None);
    }
    let groups = client
        .list::<SecurityGroup>(&path(zone, "security_groups"), "security_groups", &ours)
        .await;
    for g in in_zone(groups)? {
        add(Kind::SecurityGroup, g.id, g.name, &g.tags, g.creation_date);
    }
    Ok(all)
}

/// A zone that does not have such things has none of ours.
fn in_zone<T>(list: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    Ok(found(list)?.unwrap_or_default())
}

/// What came with a server: its root volume, and volumes that carry the tags of the same burst. Whatever else somebody
/// attached to it is theirs.
pub(super) async fn attached(client: &Client, zone: &str, server: &Server) -> Result<Vec<Resource>, Error> {
    let owner = Ownership::of(&server.tags);
    let mut all = Vec::new();
    for (slot, volume) in &server.volumes {
        let kind = match volume.volume_type.as_str() {
            "sbs_volume" => Kind::BlockVolume,
            "scratch" => continue,
            _ => Kind::LocalVolume,
        };
        let is_ours = slot == "0" || {
            let tags = tags_of(client, kind, zone, &volume.id).await?;
            owner.is_some() && Ownership::of(&tags).map(|o| o.burst) == owner.as_ref().map(|o| o.burst.clone())
        };
        if is_ours {
            all.push(Resource {
                kind,
                id: volume.id.clone(),
                zone: zone.to_owned(),
                name: String::new(),
            });
        }
    }
    Ok(all)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tagged {
    tags: Vec<String>,
}

async fn tags_of(client: &Client, kind: Kind, zone: &str, id: &str) -> Result<Vec<String>, Error> {
    let (at, inside) = place(kind, zone, id);
    let mut body: serde_json::Value = client.call(Method::GET, at).read().await?;
    let body = match inside {
        Some(field) => body[field].take(),
        None => body,
    };
    Ok(serde_json::from_value::<Tagged>(body).unwrap_or_default().tags)
}

/// Where a thing is, and the field of the answer that holds it.
fn place(kind: Kind, zone: &str, id: &str) -> (String, Option<&'static str>) {
    match kind {
        Kind::Server => (path(zone, &format!("servers/{id}")), Some("server")),
        Kind::BlockVolume => (block_path(zone, &format!("volumes/{id}")), None),
        Kind::LocalVolume => (path(zone, &format!("volumes/{id}")), Some("volume")),
        Kind::Ip => (path(zone, &format!("ips/{id}")), Some("ip")),
        Kind::SecurityGroup => (path(zone, &format!("security_groups/{id}")), Some("security_group")),
        Kind::ApiKey | Kind::Policy | Kind::Application => (keys::path(kind, id), None),
    }
}

/// See [`crate::cloud::Provider::is_there`].
pub(super) async fn is_there(client: &Client, resource: &Resource) -> Result<bool, Error> {
    let (at, _) = place(resource.kind, &resource.zone, &resource.id);
    Ok(found(client.call(Method::GET, at).send().await)?.is_some())
}

/// Replaces our tags and leaves all others.
pub(super) async fn retag(client: &Client, resource: &Resource, owner: &Ownership) -> Result<(), Error> {
    let before = tags_of(client, resource.kind, &resource.zone, &resource.id).await?;
    let mut tags: Vec<String> = before
        .iter()
        .filter(|tag| !tag.starts_with(resource::TAG))
        .cloned()
        .collect();
    tags.extend(owner.tags());
    let is_same = before.len() == tags.len() && tags.iter().all(|tag| before.contains(tag));
    if is_same {
        return Ok(());
    }
    let (at, _) = place(resource.kind, &resource.zone, &resource.id);
    client
        .call(Method::PATCH, at)
        .json(json!({"tags": tags}))
        .send()
        .await
        .map(drop)
}
