//! What can be ordered, as instance v1 tells it (facts/cloud.md §0.7, §1.3).

use serde_json::{Value, json};

use super::server::find;
use crate::scaleway::api::Context;
use crate::scaleway::api::page;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::catalogue::{TYPES, Type};

const GB: u64 = 1_000_000_000;

pub(super) fn servers(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    page::instance_map(context.request, "servers", each(zone, |of| product(of, zone)))
}

pub(super) fn availability(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let all = each(zone, |of| json!({"availability": of.stock.name()}));
    page::instance_map(context.request, "servers", all)
}

fn each(zone: &str, value: impl Fn(&Type) -> Value) -> Vec<(String, Value)> {
    TYPES
        .iter()
        .filter(|of| of.is_in(zone))
        .map(|of| (of.name.to_owned(), value(of)))
        .collect()
}

fn product(of: &Type, zone: &str) -> Value {
    let price = of.listed_eur_per_hour(zone);
    // The API holds prices as single floats, and that shows.
    let single = f64::from(price as f32);
    json!({
        "alt_names": [],
        "arch": of.arch(),
        "ncpus": of.cpus,
        "ram": of.ram_gb << 30,
        "gpu": 0,
        "gpu_info": null,
        "mig_profile": null,
        "volumes_constraint": {"min_size": 0, "max_size": of.local_gb * GB},
        "per_volume_constraint": {"l_ssd": {"min_size": if of.local_gb > 0 { GB } else { 0 },
            "max_size": if of.local_gb > 0 { 800 * GB } else { 0 }}},
        "scratch_storage_max_size": 0,
        "monthly_price": single * 730.0,
        "hourly_price": single,
        "capabilities": {"boot_types": ["local", "rescue"], "placement_groups": true, "block_storage": true,
            "hot_snapshots_local_volume": true, "private_network": 8, "max_file_systems": 0},
        "network": {"ipv6_support": true, "sum_internal_bandwidth": of.mbit * 1_000_000,
            "sum_internet_bandwidth": of.mbit * 1_000_000, "interfaces": [{"internal_bandwidth": null,
            "internet_bandwidth": of.mbit * 1_000_000}]},
        "block_bandwidth": u64::from(of.cpus) * 20_971_520,
        "end_of_service": of.ended,
    })
}

pub(super) fn volumes(context: &Context<'_>) -> Result<Reply, Failure> {
    let of = |name: &str, max: u64| {
        (
            name.to_owned(),
            json!({"display_name": name, "capabilities": {"snapshot": true},
        "constraints": {"min": GB, "max": max}}),
        )
    };
    page::instance_map(
        context.request,
        "volumes",
        vec![of("l_ssd", 800 * GB), of("scratch", 0), of("sbs_volume", 10_000 * GB)],
    )
}

pub(super) fn compatible(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let server = find(context, zone, id, false)?;
    let arch = server.commercial_type.arch();
    let names: Vec<&str> = TYPES
        .iter()
        .filter(|of| of.is_in(zone) && of.arch() == arch && !of.ended)
        .map(|of| of.name)
        .collect();
    Ok(Reply::json(json!({ "compatible_types": names })))
}

/// Counts, of what there is now.
pub(super) fn dashboard(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let world = &*context.world;
    let project = context.request.parameter("project");
    let counts = |of: &str, in_zone: &str| in_zone == zone && project.is_none_or(|project| project == of);
    let mut by_type = serde_json::Map::new();
    let mut servers = 0_u64;
    let mut running = 0_u64;
    for server in world
        .servers
        .iter()
        .filter(|server| counts(&server.project, &server.zone))
    {
        servers += 1;
        running += u64::from(server.state.name() == "running");
        let name = server.commercial_type.name;
        let before = by_type.get(name).and_then(Value::as_u64).unwrap_or(0);
        by_type.insert(name.to_owned(), json!(before + 1));
    }
    Ok(Reply::json(json!({"dashboard": {
        "servers_count": servers,
        "servers_by_types": by_type,
        "running_servers_count": running,
        "volumes_count": world.volumes.iter().filter(|volume| counts(&volume.project, &volume.zone)).count(),
        "images_count": world.images.iter().filter(|image| counts(&image.project, &image.zone)).count(),
        "snapshots_count": world.snapshots.iter().filter(|snapshot| counts(&snapshot.project, &snapshot.zone)).count(),
        "ips_count": world.ips.iter().filter(|ip| counts(&ip.project, &ip.zone)).count(),
        "ips_unused": world.ips.iter().filter(|ip| counts(&ip.project, &ip.zone) && ip.server.is_none()).count(),
        "security_groups_count": world.groups.iter().filter(|group| counts(&group.project, &group.zone)).count(),
        "placement_groups_count": 0,
        "private_nics_count": 0,
    }})))
}
