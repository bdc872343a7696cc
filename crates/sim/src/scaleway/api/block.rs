//! `/block/v1/zones/{zone}`, which is also answered at `v1alpha1` (facts/cloud.md §1.7).

use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Failure, Reply};
use super::{Context, page};
use crate::scaleway::clock::api_time;
use crate::scaleway::world::{Block, BlockSnapshot, BlockStatus, Product, is_zone};

const GB: u64 = 1_000_000_000;

pub(super) fn answer(context: &mut Context<'_>, zone: &str, rest: &[&str]) -> Result<Reply, Failure> {
    if !is_zone(zone) {
        return Err(Failure::argument(
            "zone",
            "constraint",
            &format!("there is no zone {zone}"),
        ));
    }
    let method = context.request.method.as_str();
    context.require(Product::BlockStorage, method != "GET", None)?;
    match (method, rest) {
        ("GET", ["volume-types"]) => types(context),
        ("GET", ["volumes"]) => list(context, zone),
        ("POST", ["volumes"]) => create(context, zone),
        ("GET", ["volumes", id]) => find(context, zone, id, false).map(|block| Reply::json(view(block))),
        ("PATCH", ["volumes", id]) => update(context, zone, id),
        ("DELETE", ["volumes", id]) => delete(context, zone, id),
        ("GET", ["snapshots"]) => list_snapshots(context, zone),
        ("POST", ["snapshots"]) => create_snapshot(context, zone),
        ("GET", ["snapshots", id]) => find_snapshot(context, zone, id).map(|found| Reply::json(view_snapshot(found))),
        ("DELETE", ["snapshots", id]) => delete_snapshot(context, zone, id),
        _ => Err(Failure::no_route()),
    }
}

fn find<'a>(context: &'a Context<'_>, zone: &str, id: &str, write: bool) -> Result<&'a Block, Failure> {
    let block = context.world.blocks.get(id).filter(|block| block.zone == zone);
    let block = block.ok_or_else(|| Failure::not_found("volume", id))?;
    context.require(Product::BlockStorage, write, Some(&block.project))?;
    Ok(block)
}

fn view(block: &Block) -> Value {
    let references: Vec<Value> = block
        .reference
        .iter()
        .map(|reference| {
            json!({
                "id": reference.id,
                "product_resource_type": "instance_server",
                "product_resource_id": reference.server,
                "created_at": api_time(reference.created),
                "type": "exclusive",
                "status": if reference.detaching { "detaching" } else { "attached" },
            })
        })
        .collect();
    json!({
        "id": block.id,
        "name": block.name,
        "type": format!("sbs_{}k", block.iops / 1000),
        "size": block.size,
        "project_id": block.project,
        "created_at": api_time(block.life.created),
        "updated_at": api_time(block.life.modified),
        "references": references,
        "parent_snapshot_id": block.parent_snapshot,
        "status": block.status.name(),
        "tags": block.tags,
        "specs": {"perf_iops": block.iops, "class": "sbs"},
        "last_detached_at": block.last_detached.map(api_time),
        "zone": block.zone,
    })
}

fn types(context: &Context<'_>) -> Result<Reply, Failure> {
    let types = [(5000, 0.000_118_f64), (15_000, 0.000_19)].map(|(iops, price)| {
        // Billionths of an euro.
        let nanos = (price * 1e9).round();
        json!({"type": format!("sbs_{}k", iops / 1000), "pricing": {"currency_code": "EUR", "units": 0, "nanos": nanos},
            "snapshot_pricing": {"currency_code": "EUR", "units": 0, "nanos": 44_000},
            "specs": {"perf_iops": iops, "class": "sbs"}})
    });
    page::api(context.request, "volume_types", types.to_vec())
}

fn list(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let (tags, ids) = (request.list("tags"), request.list("volume_ids"));
    let blocks = world
        .blocks
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|block| {
            block.zone == zone
                && request
                    .parameter("project_id")
                    .is_none_or(|project| block.project == project)
                && request.parameter("name").is_none_or(|name| block.name.contains(name))
                && (ids.is_empty() || ids.contains(&block.id.as_str()))
                && tags.iter().all(|tag| block.tags.iter().any(|has| has == tag))
                && request.parameter("product_resource_id").is_none_or(|server| {
                    block
                        .reference
                        .as_ref()
                        .is_some_and(|reference| reference.server == server)
                })
                && world.may(context.caller, Product::BlockStorage, false, Some(&block.project))
        });
    page::api(request, "volumes", blocks.map(view).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    project_id: Option<String>,
    perf_iops: Option<u32>,
    from_empty: Option<FromEmpty>,
    from_snapshot: Option<FromSnapshot>,
    tags: Option<Vec<String>>,
    kms_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromEmpty {
    size: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromSnapshot {
    snapshot_id: String,
    size: Option<u64>,
}

fn create(context: &mut Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let body: Create = context.request.fields(&[])?;
    let project = context.project(Product::BlockStorage, body.project_id, None)?;
    let iops = body.perf_iops.unwrap_or(5000);
    if !matches!(iops, 5000 | 15_000) {
        return Err(Failure::argument("perf_iops", "constraint", "must be 5000 or 15000"));
    }
    if body.kms_key_id.is_some() {
        return Err(Failure::argument(
            "kms_key_id",
            "constraint",
            "the simulator has no keys to encrypt with",
        ));
    }
    let (size, parent_snapshot) = match (body.from_empty, body.from_snapshot) {
        (Some(empty), None) => (empty.size, None),
        (None, Some(from)) => {
            let least = find_snapshot(context, zone, &from.snapshot_id)?.size;
            (from.size.unwrap_or(least).max(least), Some(from.snapshot_id))
        }
        _ => {
            return Err(Failure::argument(
                "from",
                "required",
                "one of from_empty and from_snapshot",
            ));
        }
    };
    check_size(size)?;
    let world = &mut *context.world;
    let block = Block {
        id: world.random.uuid(),
        life: world.life(),
        zone: zone.to_owned(),
        project,
        name: body.name.unwrap_or_default(),
        size,
        iops,
        tags: body.tags.unwrap_or_default(),
        status: BlockStatus::Creating,
        reference: None,
        parent_snapshot,
        last_detached: None,
    };
    let value = view(&block);
    world.add_block(block, None);
    Ok(Reply::json(value))
}

fn check_size(size: u64) -> Result<(), Failure> {
    match (GB..=10_000 * GB).contains(&size) {
        true => Ok(()),
        false => Err(Failure::argument(
            "size",
            "constraint",
            "must be between 1 GB and 10 TB",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    size: Option<u64>,
    tags: Option<Vec<String>>,
    perf_iops: Option<u32>,
}

fn update(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let block = find(context, zone, id, true)?;
    let (had, status) = (block.size, block.status);
    let body: Update = context.request.fields(&[])?;
    if status == BlockStatus::Deleting {
        return Err(Failure::transient("volume", id, status.name()));
    }
    if let Some(size) = body.size {
        check_size(size)?;
        if size < had {
            return Err(Failure::argument("size", "constraint", "a volume cannot shrink"));
        }
    }
    let now = context.world.now();
    if let Some(block) = context.world.blocks.touch(id, now) {
        block.name = body.name.unwrap_or_else(|| block.name.clone());
        block.tags = body.tags.unwrap_or_else(|| block.tags.clone());
        block.size = body.size.unwrap_or(block.size);
        block.iops = body.perf_iops.unwrap_or(block.iops);
    }
    find(context, zone, id, false).map(|block| Reply::json(view(block)))
}

fn delete(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let block = find(context, zone, id, true)?;
    match (block.status, &block.reference) {
        (BlockStatus::Available, None) => {}
        (BlockStatus::Deleting | BlockStatus::Creating, _) => {
            return Err(Failure::transient("volume", id, block.status.name()));
        }
        _ => return Err(Failure::in_use("the volume is still referenced by an Instance")),
    }
    context.world.delete_block(id);
    Ok(Reply::nothing())
}

fn find_snapshot<'a>(context: &'a Context<'_>, zone: &str, id: &str) -> Result<&'a BlockSnapshot, Failure> {
    let found = context
        .world
        .block_snapshots
        .get(id)
        .filter(|snapshot| snapshot.zone == zone);
    let found = found.ok_or_else(|| Failure::not_found("snapshot", id))?;
    let write = context.request.method != "GET";
    context.require(Product::BlockStorage, write, Some(&found.project))?;
    Ok(found)
}

fn view_snapshot(snapshot: &BlockSnapshot) -> Value {
    json!({
        "id": snapshot.id,
        "name": snapshot.name,
        "parent_volume": snapshot.volume.as_ref().map(|id| json!({"id": id, "name": "", "type": "sbs_5k",
            "status": "available"})),
        "size": snapshot.size,
        "project_id": snapshot.project,
        "created_at": api_time(snapshot.life.created),
        "updated_at": api_time(snapshot.life.modified),
        "references": [],
        "status": "available",
        "tags": snapshot.tags,
        "zone": snapshot.zone,
        "class": "sbs",
    })
}

fn list_snapshots(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let found = world
        .block_snapshots
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|snapshot| {
            snapshot.zone == zone
                && request
                    .parameter("project_id")
                    .is_none_or(|project| snapshot.project == project)
                && world.may(context.caller, Product::BlockStorage, false, Some(&snapshot.project))
        });
    page::api(request, "snapshots", found.map(view_snapshot).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateSnapshot {
    volume_id: String,
    name: Option<String>,
    project_id: Option<String>,
    tags: Option<Vec<String>>,
}

fn create_snapshot(context: &mut Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let body: CreateSnapshot = context.request.fields(&["volume_id"])?;
    let size = find(context, zone, &body.volume_id, false)?.size;
    let project = context.project(Product::BlockStorage, body.project_id, None)?;
    let world = &mut *context.world;
    let snapshot = BlockSnapshot {
        id: world.random.uuid(),
        life: world.life(),
        zone: zone.to_owned(),
        project,
        name: body.name.unwrap_or_default(),
        size,
        tags: body.tags.unwrap_or_default(),
        volume: Some(body.volume_id),
    };
    let value = view_snapshot(&snapshot);
    world.add_block_snapshot(snapshot);
    Ok(Reply::json(value))
}

fn delete_snapshot(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find_snapshot(context, zone, id)?;
    context.world.remove_block_snapshot(id);
    Ok(Reply::nothing())
}
