//! User data: what goes into a server before it boots, and what comes out of it (facts/cloud.md §1.6).

use serde_json::json;

use super::server::find;
use crate::scaleway::api::Context;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::world::Server;

/// Older documentation's limits; whether they still hold is not known.
const KEYS: usize = 98;
const VALUE_BYTES: usize = 127 * 1000;

pub(super) fn list(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let server = find(context, zone, id, false)?;
    let keys: Vec<&String> = server.user_data.keys().collect();
    Ok(Reply::json(json!({ "user_data": keys })))
}

pub(super) fn get(context: &Context<'_>, zone: &str, id: &str, key: &str) -> Result<Reply, Failure> {
    let server = find(context, zone, id, false)?;
    match server.user_data.get(key) {
        Some(value) => Ok(Reply::text(value.clone())),
        None => Err(Failure::not_found("user_data", key)),
    }
}

pub(super) fn set(context: &mut Context<'_>, zone: &str, id: &str, key: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    let request = context.request;
    if !request.content_type.starts_with("text/plain") {
        return Err(Failure::argument("content-type", "constraint", "must be text/plain"));
    }
    let now = context.world.now();
    match context.world.servers.touch(id, now) {
        Some(server) => store(server, key, &request.body),
        None => Err(Failure::not_found("instance_server", id)),
    }?;
    Ok(Reply::nothing())
}

/// Sets a value within the limits.
pub(crate) fn store(server: &mut Server, key: &str, value: &[u8]) -> Result<(), Failure> {
    let is_plain = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !is_plain || key.is_empty() {
        return Err(Failure::argument(
            "key",
            "format",
            "only letters, digits, dots, dashes and underscores",
        ));
    }
    if value.len() > VALUE_BYTES {
        return Err(Failure::argument("value", "constraint", "at most 127 KB"));
    }
    if server.user_data.len() >= KEYS && !server.user_data.contains_key(key) {
        return Err(Failure::argument("key", "constraint", "at most 98 keys"));
    }
    server.user_data.insert(key.to_owned(), value.to_vec());
    Ok(())
}

pub(super) fn delete(context: &mut Context<'_>, zone: &str, id: &str, key: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    let now = context.world.now();
    let removed = context
        .world
        .servers
        .touch(id, now)
        .and_then(|server| server.user_data.remove(key));
    match removed {
        Some(_) => Ok(Reply::nothing()),
        None => Err(Failure::not_found("user_data", key)),
    }
}
