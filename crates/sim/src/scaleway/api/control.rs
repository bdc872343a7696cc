//! `/sim`: what a test does to the simulator. It needs no key; the real API has nothing of it.
//!
//! ```text
//! GET  /sim/clock                     now, and how time passes
//! POST /sim/clock                     {"advance_seconds": 60} | {"mode": "manual", "step_seconds": 0}
//!                                     | {"mode": "auto", "speed": 60}
//! GET  /sim/bill                      open meters (what is still billed), closed ones, totals
//! GET  /sim/resources                 everything that exists, in every zone and project, without any lag
//! GET  /sim/trouble                   what could not be done with instances that are machines
//! GET  /sim/requests                  every request that was made
//! GET|POST|DELETE /sim/faults         rules (faults.rs), {"kind": "clock_skew", "seconds": s},
//!                                     {"kind": "reuse_addresses"}, {"kind": "foreign_host", "address": a},
//!                                     {"kind": "machines_lack", "what": PROGRAM or SETTING of the kernel}
//! POST /sim/callers                   {"address": a}: whoever calls comes from there from now on; open connections end
//! POST /sim/servers/ID/shutdown       the operating system is shut down from inside
//! GET|PATCH /sim/servers/ID/metadata/…  the metadata service, for an instance that is no machine
//! POST /sim/keys                      {"sets": [..], "projects": [..]}: a key that may do only that
//! ```

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Sim;
use super::reply::{Failure, Reply};
use super::request::Request;
use crate::scaleway::clock::{Pace, api_time, micros, parse};
use crate::scaleway::faults::Rule;
use crate::scaleway::instance::metadata;
use crate::scaleway::world::{Application, Disk, Owner, Policy, PolicyRule, World};

pub(super) fn answer(sim: &mut Sim, request: &Request) -> Result<Reply, Failure> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match (request.method.as_str(), &segments[1..]) {
        ("GET", ["clock"]) => Ok(Reply::json(clock(&sim.world))),
        ("POST", ["clock"]) => move_clock(sim, request),
        ("GET", ["bill"]) => Ok(Reply::json(bill(&sim.world))),
        ("GET", ["resources"]) => Ok(Reply::json(resources(&sim.world))),
        ("GET", ["trouble"]) => Ok(Reply::json(json!({"trouble": sim.world.trouble}))),
        ("GET", ["requests"]) => Ok(Reply::json(json!({"requests": sim.world.log}))),
        ("GET", ["faults"]) => Ok(Reply::json(json!({"faults": sim.faults.rules().collect::<Vec<_>>()}))),
        ("POST", ["faults"]) => add_fault(sim, request),
        ("DELETE", ["faults"]) => {
            sim.faults.clear();
            sim.world.skew = 0.0;
            sim.world.addresses.reuse = false;
            sim.world.foreign.clear();
            sim.world.lacks.clear();
            Ok(Reply::nothing())
        }
        ("POST", ["callers"]) => move_callers(sim, request),
        ("POST", ["servers", id, "shutdown"]) => {
            sim.world
                .servers
                .get(id)
                .ok_or_else(|| Failure::not_found("instance_server", id))?;
            sim.world.shut_down_inside(id);
            Ok(Reply::nothing())
        }
        (_, ["servers", id, "metadata", rest @ ..]) => metadata::answer(&mut sim.world, id, request, rest),
        ("POST", ["keys"]) => restricted_key(&mut sim.world, request),
        _ => Err(Failure::no_route()),
    }
}

fn clock(world: &World) -> Value {
    json!({"now": api_time(world.clock.now()), "pace": world.clock.pace()})
}

fn move_clock(sim: &mut Sim, request: &Request) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        advance_seconds: f64,
    }
    if request.json()?.get("mode").is_some() {
        let pace: Pace = request.fields(&[])?;
        sim.world.clock.set_pace(pace);
    } else {
        let body: Advance = request.fields(&["advance_seconds"])?;
        sim.world.clock.advance(micros(body.advance_seconds));
    }
    sim.settle();
    Ok(Reply::json(clock(&sim.world)))
}

/// Their line got another address, as those of a household do.
fn move_callers(sim: &mut Sim, request: &Request) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Callers {
        address: Ipv4Addr,
    }
    let body: Callers = request.fields(&["address"])?;
    if !body.address.is_loopback() {
        return Err(Failure::argument("address", "constraint", "an address of loopback"));
    }
    sim.world.callers.send_replace(Some(body.address));
    Ok(Reply::nothing())
}

/// What is billed now, what was, and how much it comes to.
pub(crate) fn bill(world: &World) -> Value {
    let now = world.clock.now();
    let view = |meter: &crate::scaleway::billing::Meter| {
        json!({"kind": meter.kind, "id": meter.id, "what": meter.what, "project": meter.project, "zone": meter.zone,
            "eur_per_hour": meter.eur_per_hour, "opened": api_time(meter.opened),
            "closed": meter.closed.map(api_time), "eur": meter.eur(now)})
    };
    let open: Vec<Value> = world.bill.open_meters().map(view).collect();
    let closed: Vec<Value> = world
        .bill
        .meters()
        .iter()
        .filter(|meter| meter.closed.is_some())
        .map(view)
        .collect();
    json!({
        "now": api_time(now),
        "open": open,
        "closed": closed,
        "open_eur_per_hour": world.bill.open_meters().map(|meter| meter.eur_per_hour).sum::<f64>(),
        "total_eur": world.bill.total(now),
    })
}

/// The truth: whatever a list shows or does not show yet.
pub(crate) fn resources(world: &World) -> Value {
    let mut all = Vec::new();
    let mut add = |kind: &str, id: &str, name: &str, project: &str, zone: &str, tags: &[String], state: &str| {
        all.push(
            json!({"kind": kind, "id": id, "name": name, "project": project, "zone": zone, "tags": tags,
            "state": state}),
        );
    };
    for server in world.servers.iter() {
        let disks = server.disks.values().map(|disk| match disk {
            Disk::Local(id) | Disk::Block(id) => id.as_str(),
        });
        let state = format!(
            "{}; volumes {}",
            server.state.name(),
            disks.collect::<Vec<_>>().join(" ")
        );
        add(
            "server",
            &server.id,
            &server.name,
            &server.project,
            &server.zone,
            &server.tags,
            &state,
        );
    }
    for volume in world.volumes.iter() {
        let state = if volume.server.is_some() {
            "attached"
        } else {
            "detached"
        };
        add(
            "volume",
            &volume.id,
            &volume.name,
            &volume.project,
            &volume.zone,
            &volume.tags,
            state,
        );
    }
    for block in world.blocks.iter() {
        add(
            "block_volume",
            &block.id,
            &block.name,
            &block.project,
            &block.zone,
            &block.tags,
            block.status.name(),
        );
    }
    for snapshot in world.snapshots.iter() {
        add(
            "snapshot",
            &snapshot.id,
            &snapshot.name,
            &snapshot.project,
            &snapshot.zone,
            &snapshot.tags,
            "available",
        );
    }
    for snapshot in world.block_snapshots.iter() {
        let (name, tags) = (&snapshot.name, &snapshot.tags);
        add(
            "block_snapshot",
            &snapshot.id,
            name,
            &snapshot.project,
            &snapshot.zone,
            tags,
            "available",
        );
    }
    for image in world.images.iter() {
        add(
            "image",
            &image.id,
            &image.name,
            &image.project,
            &image.zone,
            &[],
            "available",
        );
    }
    for ip in world.ips.iter() {
        let state = if ip.server.is_some() { "attached" } else { "detached" };
        add("ip", &ip.id, &ip.address, &ip.project, &ip.zone, &ip.tags, state);
    }
    for group in world.groups.iter().filter(|group| !group.project_default) {
        add(
            "security_group",
            &group.id,
            &group.name,
            &group.project,
            &group.zone,
            &group.tags,
            "available",
        );
    }
    for key in world.ssh_keys.iter() {
        add("ssh_key", &key.id, &key.name, &key.project, "", &[], "available");
    }
    for found in world.applications.iter() {
        add("application", &found.id, &found.name, "", "", &found.tags, "available");
    }
    for policy in world.policies.iter() {
        add("policy", &policy.id, &policy.name, "", "", &policy.tags, "available");
    }
    for key in world
        .api_keys
        .iter()
        .filter(|key| matches!(key.owner, Owner::Application(_)))
    {
        add(
            "api_key",
            &key.id,
            &key.description,
            &key.default_project,
            "",
            &[],
            "available",
        );
    }
    json!({ "resources": all })
}

fn add_fault(sim: &mut Sim, request: &Request) -> Result<Reply, Failure> {
    const KEYS: [&str; 12] = [
        "kind",
        "method",
        "path",
        "skip",
        "times",
        "probability",
        "code",
        "milliseconds",
        "for_seconds",
        "seconds",
        "address",
        "what",
    ];
    let body = request.json()?;
    // A key that is not understood would be a fault that never happens.
    let unknown = body
        .as_object()
        .and_then(|body| body.keys().find(|key| !KEYS.contains(&key.as_str())));
    if let Some(key) = unknown {
        return Err(Failure::argument(key, "unknown", "extra keys not allowed"));
    }
    match body["kind"].as_str() {
        Some("clock_skew") => {
            let seconds = body["seconds"].as_f64();
            sim.world.skew = seconds.ok_or_else(|| Failure::argument("seconds", "required", "a number"))?;
        }
        Some("reuse_addresses") => sim.world.addresses.reuse = true,
        Some("foreign_host") => {
            let address = body["address"].as_str().and_then(|text| text.parse().ok());
            let address = address.ok_or_else(|| Failure::argument("address", "format", "an IPv4 address"))?;
            sim.world.foreign.insert(address, None);
        }
        Some("machines_lack") => {
            let what = body["what"].as_str().filter(|what| !what.is_empty());
            let what = what.ok_or_else(|| Failure::argument("what", "required", "a program or a setting"))?;
            sim.world.lacks.push(what.to_owned());
        }
        _ => {
            let rule: Rule = request.fields(&["kind"])?;
            if let Some(objection) = rule.objection() {
                return Err(Failure::argument("fault", "constraint", &objection));
            }
            sim.faults.add(rule);
        }
    }
    Ok(Reply::nothing())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestrictedKey {
    sets: Vec<String>,
    projects: Vec<String>,
    expires_at: Option<String>,
}

/// A key of an application of its own, made without anybody's rights.
fn restricted_key(world: &mut World, request: &Request) -> Result<Reply, Failure> {
    let body: RestrictedKey = request.fields(&["sets", "projects"])?;
    let expires = match body.expires_at {
        Some(text) => Some(parse(&text).ok_or_else(|| Failure::argument("expires_at", "format", "not a moment"))?),
        None => None,
    };
    let application = Application {
        id: world.random.uuid(),
        life: world.life(),
        name: "restricted".to_owned(),
        description: String::new(),
        tags: Vec::new(),
    };
    let policy = Policy {
        id: world.random.uuid(),
        life: world.life(),
        name: "restricted".to_owned(),
        description: String::new(),
        tags: Vec::new(),
        application: Some(application.id.clone()),
        rules: vec![PolicyRule {
            id: world.random.uuid(),
            sets: body.sets,
            projects: body.projects,
            condition: String::new(),
        }],
    };
    let key = world.new_api_key(Owner::Application(application.id.clone()), "restricted", expires);
    let value = json!({"access_key": key.id, "secret_key": key.secret, "application_id": application.id});
    world.applications.add(application);
    world.policies.add(policy);
    world.api_keys.add(key);
    Ok(Reply::json(value))
}
