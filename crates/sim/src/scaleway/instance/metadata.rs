//! What an instance is told about itself, and where it leaves word: the metadata service (facts/cloud.md §1.6).

use serde_json::{Value, json};

use crate::scaleway::api::instance::store_user_data;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::api::request::Request;
use crate::scaleway::world::{Server, World};

/// The tag by which a server gets a public SSH key of its own (facts/cloud.md §1.10).
const KEY_TAG: &str = "AUTHORIZED_KEY=";

/// Answers `/conf`, `/user_data` and `/user_data/{key}` for a server that runs.
pub(crate) fn answer(world: &mut World, id: &str, request: &Request, rest: &[&str]) -> Result<Reply, Failure> {
    let server = world
        .servers
        .get(id)
        .ok_or_else(|| Failure::not_found("instance_server", id))?;
    match (request.method.as_str(), rest) {
        ("GET", ["conf"]) => Ok(match request.parameter("format") {
            Some("json") => Reply::json(configuration(world, server)),
            _ => Reply::text(shell(&configuration(world, server)).into_bytes()),
        }),
        ("GET", ["user_data"]) => {
            let keys: Vec<&String> = server.user_data.keys().collect();
            Ok(Reply::json(json!({ "user_data": keys })))
        }
        ("GET", ["user_data", key]) => match server.user_data.get(*key) {
            Some(value) => Ok(Reply::text(value.clone())),
            None => Err(Failure::not_found("user_data", key)),
        },
        ("PATCH", ["user_data", key]) => {
            let now = world.now();
            if let Some(server) = world.servers.touch(id, now) {
                store_user_data(server, key, &request.body)?;
            }
            Ok(Reply::nothing())
        }
        ("DELETE", ["user_data", key]) => {
            let now = world.now();
            if let Some(server) = world.servers.touch(id, now) {
                server.user_data.remove(*key);
            }
            Ok(Reply::nothing())
        }
        _ => Err(Failure::no_route()),
    }
}

fn configuration(world: &World, server: &Server) -> Value {
    let addresses = crate::scaleway::api::instance::view::addresses(world, server);
    let (v6, v4): (Vec<Value>, Vec<Value>) = addresses.into_iter().partition(|ip| ip["family"] == "inet6");
    json!({
        "id": server.id,
        "name": server.name,
        "commercial_type": server.commercial_type.name,
        "hostname": server.name,
        "organization": world.organization,
        "project": server.project,
        "tags": server.tags,
        "state_detail": server.detail,
        "public_ip": v4.first(),
        "public_ips_v4": v4,
        "public_ips_v6": v6,
        "private_ip": null,
        "ssh_public_keys": public_keys(world, server).iter().map(|key| json!({"key": key, "fingerprint": ""}))
            .collect::<Vec<_>>(),
        "location": {"zone_id": server.zone},
        "timezone": "Europe/Paris",
        "volumes": {},
    })
}

/// The keys that may log in as root: those of the project, and the one of the server's tag.
pub(crate) fn public_keys(world: &World, server: &Server) -> Vec<String> {
    let project = world
        .ssh_keys
        .iter()
        .filter(|key| key.project == server.project && !key.disabled)
        .map(|key| key.public_key.clone());
    let tagged = server
        .tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(KEY_TAG))
        .map(|key| key.replace('_', " "));
    project.chain(tagged).collect()
}

/// The older form of `/conf`: shell variables.
fn shell(configuration: &Value) -> String {
    let mut lines = String::new();
    for (name, value) in configuration.as_object().into_iter().flatten() {
        let name = name.to_uppercase();
        match value {
            Value::String(text) => lines.push_str(&format!("{name}='{text}'\n")),
            Value::Array(items) => {
                lines.push_str(&format!("{name}={}\n", items.len()));
                for (at, item) in items.iter().enumerate() {
                    lines.push_str(&format!("{name}_{at}='{}'\n", item.as_str().unwrap_or_default()));
                }
            }
            _ => {}
        }
    }
    lines
}
