//! `/product-catalog/v2alpha1`: the prices that are billed (facts/cloud.md §1.3).

use serde_json::{Value, json};

use super::page;
use super::reply::{Failure, Reply};
use super::request::Request;
use crate::scaleway::catalogue::{BLOCK_5K_GB_HOUR, BLOCK_15K_GB_HOUR, LOCAL_GB_HOUR, TYPES, Type, ZONES};

pub(super) fn products(request: &Request) -> Result<Reply, Failure> {
    let (kinds, statuses) = (request.list("product_types"), request.list("status"));
    let zone = request.parameter("zone");
    let mut all = Vec::new();
    for &in_zone in ZONES.iter().filter(|in_zone| zone.is_none_or(|zone| zone == **in_zone)) {
        if kinds.is_empty() || kinds.contains(&"instance") {
            all.extend(
                TYPES
                    .iter()
                    .filter(|of| of.is_in(in_zone))
                    .map(|of| instance(of, in_zone)),
            );
        }
        for (kind, name, price) in [
            ("block_storage", "sbs_5k", BLOCK_5K_GB_HOUR),
            ("block_storage", "sbs_15k", BLOCK_15K_GB_HOUR),
            ("instance_local_ssd_storage", "l_ssd", LOCAL_GB_HOUR),
        ] {
            if kinds.is_empty() || kinds.contains(&kind) {
                all.push(storage(kind, name, in_zone, price));
            }
        }
    }
    all.retain(|product| statuses.is_empty() || statuses.iter().any(|status| product["status"] == **status));
    page::api(request, "products", all)
}

/// Units and billionths.
fn money(eur: f64) -> Value {
    // Prices are small and not negative.
    let nanos = (eur * 1e9).round() as u64;
    json!({"retail_price": {"currency_code": "EUR", "units": nanos / 1_000_000_000, "nanos": nanos % 1_000_000_000}})
}

/// As a stock keeping unit names a zone: `fr-par-1` is `par1`.
fn short(zone: &str) -> String {
    zone.split_once('-').map_or(zone, |(_, rest)| rest).replace('-', "")
}

fn instance(of: &Type, zone: &str) -> Value {
    let name = of.name.to_lowercase().replace('-', "_");
    let offer = crate::fixture::random::Random::of(of.name).uuid();
    json!({
        "sku": format!("/compute/{name}/run_{}", short(zone)),
        "service_category": "Compute",
        "product_category": "Instance",
        "product": of.name,
        "variant": format!("{} - {zone}", of.name),
        "description": of.name,
        "locality": {"zone": zone},
        "price": money(of.eur_per_hour(zone)),
        "properties": {
            "hardware": {
                "cpu": {"description": "", "arch": if of.arch() == "arm64" { "arm64" } else { "x64" }, "type": "",
                    "threads": of.cpus, "shared": true, "virtual": {"count": of.cpus}},
                "ram": {"description": "", "size": of.ram_gb << 30, "type": "", "ecc_type": "standard"},
                "storage": {"description": "", "total": of.local_gb * 1_000_000_000},
                "network": {"description": "", "internal_bandwidth": of.mbit * 1_000_000,
                    "public_bandwidth": of.mbit * 1_000_000, "max_public_bandwidth": of.mbit * 1_000_000},
            },
            "instance": {"range": of.range(), "offer_id": offer, "recommended_replacement_offer_ids": []},
        },
        "environmental_impact_estimation": null,
        "unit_of_measure": {"unit": "hour", "size": 1},
        "status": if of.ended { "end_of_sale" } else { "general_availability" },
        "end_of_life_at": null,
        "end_of_growth_at": null,
        "badges": [],
    })
}

fn storage(kind: &str, name: &str, zone: &str, eur_per_gb_hour: f64) -> Value {
    json!({
        "sku": format!("/storage/{kind}/{name}_{}", short(zone)),
        "service_category": "Storage",
        "product_category": if kind == "block_storage" { "Block Storage" } else { "Local Storage" },
        "product": name,
        "variant": format!("{name} - {zone}"),
        "description": "per gigabyte and hour",
        "locality": {"zone": zone},
        "price": money(eur_per_gb_hour),
        "properties": {},
        "environmental_impact_estimation": null,
        "unit_of_measure": {"unit": "hour", "size": 1},
        "status": "general_availability",
        "end_of_life_at": null,
        "end_of_growth_at": null,
        "badges": [],
    })
}
