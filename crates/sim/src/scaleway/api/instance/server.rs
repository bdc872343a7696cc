//! Servers: listing, looking, renaming, deleting.

use serde::Deserialize;
use serde_json::json;

use super::view;
use crate::scaleway::api::Context;
use crate::scaleway::api::page;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::world::{Product, Server, State};

/// The server of that id in that zone, which the key may see or change.
pub(super) fn find<'a>(context: &'a Context<'_>, zone: &str, id: &str, write: bool) -> Result<&'a Server, Failure> {
    let server = context.world.servers.get(id).filter(|server| server.zone == zone);
    let server = server.ok_or_else(|| Failure::not_found("instance_server", id))?;
    context.require(Product::Instances, write, Some(&server.project))?;
    Ok(server)
}

pub(super) fn list(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let project = request.parameter("project").or_else(|| request.parameter("project_id"));
    let tags = request.list("tags");
    let ids = request.list("servers");
    let servers = world
        .servers
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|server| {
            server.zone == zone
            && project.is_none_or(|project| server.project == project)
            && request.parameter("organization").is_none_or(|organization| organization == world.organization)
            // Part of a name is enough: "server1" finds "server100".
            && request.parameter("name").is_none_or(|name| server.name.contains(name))
            && tags.iter().all(|tag| server.tags.iter().any(|has| has == tag))
            && (ids.is_empty() || ids.contains(&server.id.as_str()))
            && request.parameter("commercial_type").is_none_or(|of| server.commercial_type.name == of)
            && request.parameter("state").is_none_or(|state| server.state.name() == state)
            && world.may(context.caller, Product::Instances, false, Some(&server.project))
        });
    let servers = servers.map(|server| view::server(world, server)).collect();
    page::instance(request, "servers", servers)
}

pub(super) fn get(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let server = find(context, zone, id, false)?;
    Ok(Reply::json(json!({"server": view::server(context.world, server)})))
}

pub(super) fn no_nics(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, false)?;
    page::instance(context.request, "private_nics", Vec::new())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    tags: Option<Vec<String>>,
    protected: Option<bool>,
    dynamic_ip_required: Option<bool>,
    security_group: Option<GroupOf>,
    public_ips: Option<Vec<String>>,
    boot_type: Option<String>,
    #[expect(dead_code, reason = "all servers are routed")]
    routed_ip_enabled: Option<bool>,
    #[expect(dead_code, reason = "all servers are routed")]
    enable_ipv6: Option<bool>,
}

#[derive(Deserialize)]
struct GroupOf {
    id: String,
}

pub(super) fn update(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    let body: Update = context.request.fields(&[])?;
    if let Some(name) = &body.name {
        check_name(name)?;
    }
    if let Some(group) = &body.security_group {
        let known = context
            .world
            .groups
            .get(&group.id)
            .is_some_and(|group| group.zone == zone);
        if !known {
            return Err(Failure::unknown_resource("Security Group", &group.id));
        }
    }
    for ip in body.public_ips.iter().flatten() {
        if context.world.ips.get(ip).is_none_or(|ip| ip.zone != zone) {
            return Err(Failure::not_found("instance_ip", ip));
        }
    }
    let now = context.world.now();
    if let Some(server) = context.world.servers.touch(id, now) {
        server.name = body.name.unwrap_or_else(|| server.name.clone());
        server.tags = body.tags.unwrap_or_else(|| server.tags.clone());
        server.protected = body.protected.unwrap_or(server.protected);
        server.dynamic_ip_required = body.dynamic_ip_required.unwrap_or(server.dynamic_ip_required);
        server.group = body
            .security_group
            .map_or_else(|| server.group.clone(), |group| group.id);
        server.boot_type = body.boot_type.unwrap_or_else(|| server.boot_type.clone());
    }
    if let Some(wanted) = body.public_ips {
        let has = context
            .world
            .servers
            .get(id)
            .map(|server| server.ips.clone())
            .unwrap_or_default();
        for ip in has.iter().filter(|ip| !wanted.contains(ip)) {
            context.world.assign_ip(ip, None);
        }
        for ip in wanted.iter().filter(|ip| !has.contains(ip)) {
            context.world.assign_ip(ip, Some(id));
        }
    }
    get(context, zone, id)
}

/// Removes the server and nothing else.
pub(super) fn delete(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let server = find(context, zone, id, true)?;
    if server.protected {
        return Err(Failure::precondition(
            "attribute_must_be_set",
            "the server is protected: set protected to false",
        ));
    }
    match server.state {
        State::Stopped => {}
        State::Starting | State::Stopping => {
            return Err(Failure::transient("instance_server", id, server.state.name()));
        }
        State::Running | State::StoppedInPlace => {
            return Err(Failure::invalid_request("instance should be powered off"));
        }
    }
    context.world.remove_server(id, false);
    Ok(Reply::nothing())
}

/// Refuses what is no name of a server.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ' ' | '-' | '_'));
    match is_plain && (1..=128).contains(&name.len()) {
        true => Ok(()),
        false => Err(Failure::argument(
            "name",
            "format",
            "only alphanumeric characters, dots, spaces and dashes, at most 128 of them",
        )),
    }
}
