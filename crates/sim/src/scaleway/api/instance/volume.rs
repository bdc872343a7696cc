//! Local volumes, their snapshots and images; attaching and detaching. Block volumes are unknown here: 404.

use serde::Deserialize;
use serde_json::{Value, json};

use super::server::find as find_server;
use super::view;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::api::{Context, page};
use crate::scaleway::catalogue;
use crate::scaleway::world::{BlockStatus, Disk, Product, State, Volume};

fn find<'a>(context: &'a Context<'_>, zone: &str, id: &str, write: bool) -> Result<&'a Volume, Failure> {
    let volume = context.world.volumes.get(id).filter(|volume| volume.zone == zone);
    let volume = volume.ok_or_else(|| Failure::not_found("instance_volume", id))?;
    context.require(Product::Instances, write, Some(&volume.project))?;
    Ok(volume)
}

pub(super) fn list(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let tags = request.list("tags");
    let volumes = world
        .volumes
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|volume| {
            volume.zone == zone
                && request
                    .parameter("project")
                    .is_none_or(|project| volume.project == project)
                && request.parameter("name").is_none_or(|name| volume.name.contains(name))
                && request.parameter("volume_type").is_none_or(|kind| volume.kind == kind)
                && tags.iter().all(|tag| volume.tags.iter().any(|has| has == tag))
                && world.may(context.caller, Product::Instances, false, Some(&volume.project))
        });
    page::instance(
        request,
        "volumes",
        volumes.map(|volume| view::volume(world, volume)).collect(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    organization: Option<String>,
    project: Option<String>,
    tags: Option<Vec<String>>,
    volume_type: Option<String>,
    size: Option<u64>,
    base_snapshot: Option<String>,
}

pub(super) fn create(context: &mut Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let body: Create = context.request.fields(&["size"])?;
    let project = context.project(Product::Instances, body.project, body.organization)?;
    let kind = body.volume_type.unwrap_or_else(|| "l_ssd".to_owned());
    if !matches!(kind.as_str(), "l_ssd" | "scratch") {
        return Err(Failure::argument(
            "volume_type",
            "constraint",
            "must be l_ssd or scratch",
        ));
    }
    if body.base_snapshot.is_some() {
        return Err(Failure::argument(
            "base_snapshot",
            "constraint",
            "the simulator makes nothing from a snapshot",
        ));
    }
    let size = body.size.unwrap_or_default();
    if size == 0 || !size.is_multiple_of(512) {
        return Err(Failure::argument("size", "constraint", "must be a multiple of 512"));
    }
    let world = &mut *context.world;
    let volume = Volume {
        id: world.random.uuid(),
        life: world.life(),
        zone: zone.to_owned(),
        project,
        name: body.name.unwrap_or_default(),
        size,
        kind,
        tags: body.tags.unwrap_or_default(),
        server: None,
    };
    let id = volume.id.clone();
    let value = json!({"volume": view::volume(world, &volume)});
    world.add_volume(volume);
    Ok(Reply::created(value, format!("/instance/v1/zones/{zone}/volumes/{id}")))
}

pub(super) fn get(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let volume = find(context, zone, id, false)?;
    Ok(Reply::json(json!({"volume": view::volume(context.world, volume)})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    tags: Option<Vec<String>>,
    #[expect(dead_code, reason = "local volumes cannot grow")]
    size: Option<u64>,
}

pub(super) fn update(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    let body: Update = context.request.fields(&[])?;
    let now = context.world.now();
    if let Some(volume) = context.world.volumes.touch(id, now) {
        volume.name = body.name.unwrap_or_else(|| volume.name.clone());
        volume.tags = body.tags.unwrap_or_else(|| volume.tags.clone());
    }
    get(context, zone, id)
}

pub(super) fn delete(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    if find(context, zone, id, true)?.server.is_some() {
        return Err(Failure::in_use("the volume is attached to a server"));
    }
    context.world.remove_volume(id);
    Ok(Reply::nothing())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    volume_id: String,
    volume_type: Option<String>,
    #[expect(dead_code, reason = "slot 0 is what boots")]
    boot: Option<bool>,
}

pub(super) fn attach(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let body: Attach = context.request.fields(&["volume_id"])?;
    let server = find_server(context, zone, id, true)?;
    let slot = (0..=15_u8)
        .map(|slot| slot.to_string())
        .find(|slot| !server.disks.contains_key(slot));
    let Some(slot) = slot else {
        return Err(Failure::quota("instance_volumes_per_server", 16, 16));
    };
    let stopped = matches!(server.state, State::Stopped);
    let volume = body.volume_id;
    let now = context.world.now();
    let disk = match body.volume_type.as_deref() {
        Some("sbs_volume") => {
            let block = context.world.blocks.get(&volume).filter(|block| block.zone == zone);
            match block.map(|block| block.status) {
                None => return Err(Failure::not_found("volume", &volume)),
                Some(BlockStatus::Available) => {}
                Some(status) => return Err(Failure::transient("volume", &volume, status.name())),
            }
            context.world.attach_block(&volume, id);
            Disk::Block(volume)
        }
        _ => {
            if find(context, zone, &volume, true)?.server.is_some() {
                return Err(Failure::in_use("the volume is attached to a server"));
            }
            if !stopped {
                return Err(Failure::invalid_request("instance should be powered off"));
            }
            if let Some(volume) = context.world.volumes.touch(&volume, now) {
                volume.server = Some(id.to_owned());
            }
            Disk::Local(volume)
        }
    };
    if let Some(server) = context.world.servers.touch(id, now) {
        server.disks.insert(slot, disk);
    }
    super::server::get(context, zone, id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detach {
    volume_id: String,
}

pub(super) fn detach(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let body: Detach = context.request.fields(&["volume_id"])?;
    let server = find_server(context, zone, id, true)?;
    let stopped = matches!(server.state, State::Stopped | State::StoppedInPlace);
    let found = server
        .disks
        .iter()
        .find(|(_, disk)| matches!(disk, Disk::Local(of) | Disk::Block(of) if *of == body.volume_id))
        .map(|(slot, disk)| (slot.clone(), disk.clone()));
    let Some((slot, disk)) = found else {
        return Err(Failure::not_found("instance_volume", &body.volume_id));
    };
    if !stopped && (slot == "0" || matches!(disk, Disk::Local(_))) {
        return Err(Failure::invalid_request("instance should be powered off"));
    }
    let now = context.world.now();
    match &disk {
        Disk::Block(block) => context.world.detach_block(block),
        Disk::Local(volume) => {
            if let Some(volume) = context.world.volumes.touch(volume, now) {
                volume.server = None;
            }
        }
    }
    if let Some(server) = context.world.servers.touch(id, now) {
        server.disks.remove(&slot);
    }
    super::server::get(context, zone, id)
}

pub(super) fn list_snapshots(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let world = &*context.world;
    let project = context.request.parameter("project");
    let snapshots = world
        .snapshots
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|snapshot| snapshot.zone == zone && project.is_none_or(|project| snapshot.project == project));
    let snapshots = snapshots.map(|snapshot| view::snapshot(world, snapshot)).collect();
    page::instance(context.request, "snapshots", snapshots)
}

pub(super) fn get_snapshot(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    match context.world.snapshots.get(id).filter(|snapshot| snapshot.zone == zone) {
        Some(snapshot) => Ok(Reply::json(
            json!({"snapshot": view::snapshot(context.world, snapshot)}),
        )),
        None => Err(Failure::not_found("instance_snapshot", id)),
    }
}

pub(super) fn delete_snapshot(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    get_snapshot(context, zone, id)?;
    if context
        .world
        .images
        .iter()
        .any(|image| image.root.as_deref() == Some(id))
    {
        return Err(Failure::in_use("an image is made of the snapshot"));
    }
    context.world.remove_snapshot(id);
    Ok(Reply::nothing())
}

pub(super) fn list_images(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let wants_public = request.parameter("public").is_none_or(|public| public == "true");
    let wants_own = request.parameter("public").is_none_or(|public| public == "false");
    let name = request.parameter("name");
    let own = world
        .images
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|image| {
            wants_own
                && image.zone == zone
                && request
                    .parameter("project")
                    .is_none_or(|project| image.project == project)
                && name.is_none_or(|name| image.name.contains(name))
        });
    let own = own.map(|image| view::image(world, image));
    let public = catalogue::local_images()
        .filter(|image| wants_public && image.zone == zone && name.is_none_or(|name| image.image.name.contains(name)))
        .map(|image| view::public_image(world, &image));
    page::instance(request, "images", own.chain(public).collect::<Vec<Value>>())
}

pub(super) fn get_image(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let world = &*context.world;
    let own = world
        .images
        .get(id)
        .filter(|image| image.zone == zone)
        .map(|image| view::image(world, image));
    let public = || {
        catalogue::local_images()
            .find(|image| image.zone == zone && image.id() == id)
            .map(|image| view::public_image(world, &image))
    };
    match own.or_else(public) {
        Some(image) => Ok(Reply::json(json!({ "image": image }))),
        None => Err(Failure::not_found("instance_image", id)),
    }
}

pub(super) fn delete_image(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    if context.world.images.get(id).is_none_or(|image| image.zone != zone) {
        return Err(Failure::not_found("instance_image", id));
    }
    let now = context.world.now();
    context.world.images.remove(id, now);
    Ok(Reply::nothing())
}
