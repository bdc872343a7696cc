//! Flexible addresses (facts/cloud.md §1.8).

use serde::Deserialize;
use serde_json::{Value, json};

use super::view;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::api::{Context, page};
use crate::scaleway::world::{Ip, Product};

/// The id of the address in that zone that is named by id or by address.
fn find(context: &Context<'_>, zone: &str, which: &str, write: bool) -> Result<String, Failure> {
    let world = &*context.world;
    let found = world
        .ips
        .iter()
        .find(|ip| ip.zone == zone && (ip.id == which || ip.address == which));
    let Some(ip) = found else {
        // An address that is somebody else's is named with its length, as recorded.
        let id = match which.parse::<std::net::Ipv4Addr>() {
            Ok(address) => format!("{address}/32"),
            Err(_) => which.to_owned(),
        };
        return Err(Failure::not_found("instance_ip", &id));
    };
    context.require(Product::Instances, write, Some(&ip.project))?;
    Ok(ip.id.clone())
}

pub(super) fn list(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let tags = request.list("tags");
    let ips = world.ips.listed(world.now(), world.lag()).into_iter().filter(|ip| {
        ip.zone == zone
            && request.parameter("project").is_none_or(|project| ip.project == project)
            && request.parameter("name").is_none_or(|name| ip.address.contains(name))
            && request.parameter("type").is_none_or(|kind| ip.kind == kind)
            && tags.iter().all(|tag| ip.tags.iter().any(|has| has == tag))
            && world.may(context.caller, Product::Instances, false, Some(&ip.project))
    });
    page::instance(request, "ips", ips.map(|ip| view::ip(world, ip)).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    project: Option<String>,
    organization: Option<String>,
    tags: Option<Vec<String>>,
    server: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

pub(super) fn create(context: &mut Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let body: Create = context.request.fields(&[])?;
    let project = context.project(Product::Instances, body.project, body.organization)?;
    let kind = body.kind.unwrap_or_else(|| "routed_ipv4".to_owned());
    let world = &mut *context.world;
    if let Some(server) = &body.server
        && world.servers.get(server).is_none_or(|server| server.zone != zone)
    {
        return Err(Failure::not_found("instance_server", server));
    }
    let address = match kind.as_str() {
        "routed_ipv4" => world.addresses.take().to_string(),
        "routed_ipv6" => format!("fd00:{}:{}::/64", world.random.hex(4), world.random.hex(4)),
        other => {
            return Err(Failure::argument(
                "type",
                "constraint",
                &format!("{other} is not a type of address"),
            ));
        }
    };
    let ip = Ip {
        id: world.random.uuid(),
        life: world.life(),
        zone: zone.to_owned(),
        project,
        address,
        kind,
        tags: body.tags.unwrap_or_default(),
        reverse: None,
        server: None,
    };
    let id = ip.id.clone();
    world.add_ip(ip);
    world.assign_ip(&id, body.server.as_deref());
    Ok(Reply::created(
        body_of(context, &id),
        format!("/instance/v1/zones/{zone}/ips/{id}"),
    ))
}

fn body_of(context: &Context<'_>, id: &str) -> Value {
    json!({"ip": context.world.ips.get(id).map(|ip| view::ip(context.world, ip))})
}

pub(super) fn get(context: &Context<'_>, zone: &str, which: &str) -> Result<Reply, Failure> {
    let id = find(context, zone, which, false)?;
    Ok(Reply::json(body_of(context, &id)))
}

pub(super) fn update(context: &mut Context<'_>, zone: &str, which: &str) -> Result<Reply, Failure> {
    let id = find(context, zone, which, true)?;
    // A null says more here than nothing does, so the fields are looked at one by one.
    let body = context.request.json()?;
    let world = &mut *context.world;
    let now = world.now();
    match body.get("server") {
        None => {}
        Some(Value::Null) => world.assign_ip(&id, None),
        Some(Value::String(server)) if world.servers.get(server).is_some_and(|server| server.zone == zone) => {
            let server = server.clone();
            world.assign_ip(&id, Some(&server));
        }
        Some(other) => {
            return Err(Failure::not_found(
                "instance_server",
                other.as_str().unwrap_or_default(),
            ));
        }
    }
    if let Some(ip) = world.ips.touch(&id, now) {
        if let Some(tags) = body.get("tags").filter(|tags| !tags.is_null()) {
            ip.tags = serde_json::from_value(tags.clone())
                .map_err(|_| Failure::argument("tags", "format", "expected a list of strings"))?;
        }
        if let Some(reverse) = body.get("reverse") {
            ip.reverse = reverse.as_str().map(str::to_owned);
        }
    }
    Ok(Reply::json(body_of(context, &id)))
}

pub(super) fn delete(context: &mut Context<'_>, zone: &str, which: &str) -> Result<Reply, Failure> {
    let id = find(context, zone, which, true)?;
    // Whether the real API takes an address away from its server is not known: the client has to do it first.
    if context.world.ips.get(&id).is_some_and(|ip| ip.server.is_some()) {
        return Err(Failure::in_use("the IP is attached to a server"));
    }
    context.world.remove_ip(&id);
    Ok(Reply::nothing())
}
