//! Making a server, with the volumes that come along (facts/cloud.md §0.3, §1.4).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::server::check_name;
use super::view;
use crate::scaleway::api::Context;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::catalogue::{self, IMAGE_BYTES, LocalImage, Root};
use crate::scaleway::world::{Block, BlockStatus, Disk, ImageRef, Product, Server, State, Volume};

/// Gigabytes as the API counts them.
const GB: u64 = 1_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    commercial_type: String,
    image: Option<String>,
    volumes: Option<BTreeMap<String, Template>>,
    dynamic_ip_required: Option<bool>,
    #[expect(dead_code, reason = "all servers are routed")]
    routed_ip_enabled: Option<bool>,
    #[expect(dead_code, reason = "all servers are routed")]
    enable_ipv6: Option<bool>,
    protected: Option<bool>,
    public_ip: Option<String>,
    public_ips: Option<Vec<String>>,
    boot_type: Option<String>,
    organization: Option<String>,
    project: Option<String>,
    tags: Option<Vec<String>>,
    security_group: Option<String>,
    placement_group: Option<String>,
    #[expect(dead_code, reason = "for Windows")]
    admin_password_encryption_ssh_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    id: Option<String>,
    #[expect(dead_code, reason = "slot 0 is what boots")]
    boot: Option<bool>,
    name: Option<String>,
    size: Option<u64>,
    volume_type: Option<String>,
    #[expect(dead_code, reason = "nothing is on a disk here")]
    base_snapshot: Option<String>,
    #[expect(dead_code, reason = "the server's")]
    organization: Option<String>,
    #[expect(dead_code, reason = "the server's")]
    project: Option<String>,
}

/// A disk that is to be made, or an existing one.
enum Plan {
    Local { name: String, size: u64, kind: String },
    Block { name: String, size: u64 },
    Existing(Disk),
}

pub(super) fn create(context: &mut Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let body: Create = context.request.fields(&["commercial_type"])?;
    let project = context.project(Product::Instances, body.project, body.organization)?;
    let of = catalogue::find(&body.commercial_type).filter(|of| of.is_in(zone));
    let Some(of) = of else {
        let help = format!("{} is not a commercial type of {zone}", body.commercial_type);
        return Err(Failure::argument("commercial_type", "constraint", &help));
    };
    if of.ended {
        // It was sold out for good; that is all one is told.
        return Err(Failure::quota(of.name, 0, 0));
    }
    let name = body
        .name
        .unwrap_or_else(|| format!("scw-{}", context.world.random.hex(8)));
    check_name(&name)?;
    if body.placement_group.is_some() {
        return Err(Failure::unknown_resource(
            "Placement Group",
            body.placement_group.as_deref().unwrap_or_default(),
        ));
    }
    let image = match &body.image {
        Some(image) => Some(resolve(context, image, of, zone, body.volumes.as_ref())?),
        None => None,
    };
    let plans = plan(context, of, zone, &name, image.as_ref(), body.volumes)?;
    if plans.iter().any(|(_, plan)| matches!(plan, Plan::Block { .. })) {
        context.require(Product::BlockStorage, true, Some(&project))?;
    }
    let ips: Vec<String> = body
        .public_ips
        .unwrap_or_default()
        .into_iter()
        .chain(body.public_ip)
        .collect();
    for ip in &ips {
        match context.world.ips.get(ip) {
            Some(found) if found.zone == zone && found.server.is_none() => {}
            Some(found) if found.zone == zone => return Err(Failure::in_use("the IP is attached to another server")),
            _ => return Err(Failure::not_found("instance_ip", ip)),
        }
    }
    let group = match body.security_group {
        None => context.world.default_group(zone, &project),
        Some(group) if context.world.groups.get(&group).is_some_and(|found| found.zone == zone) => group,
        Some(group) => return Err(Failure::unknown_resource("Security Group", &group)),
    };

    let id = context.world.random.uuid();
    let life = context.world.life();
    let mut disks = BTreeMap::new();
    for (slot, plan) in plans {
        let disk = make(context, plan, zone, &project, &id);
        disks.insert(slot, disk);
    }
    context.world.servers.add(Server {
        id: id.clone(),
        life,
        zone: zone.to_owned(),
        project,
        name,
        tags: body.tags.unwrap_or_default(),
        commercial_type: of,
        image: image.map(|image| ImageRef {
            id: image.id(),
            name: image.image.name.to_owned(),
        }),
        disks,
        dynamic_ip_required: body.dynamic_ip_required.unwrap_or(true),
        ips: Vec::new(),
        dynamic: None,
        group,
        protected: body.protected.unwrap_or(false),
        boot_type: body.boot_type.unwrap_or_else(|| "local".to_owned()),
        state: State::Stopped,
        detail: "",
        user_data: BTreeMap::new(),
        inside: None,
        generation: 0,
    });
    for ip in ips {
        context.world.assign_ip(&ip, Some(&id));
    }
    let location = format!("/instance/v1/zones/{zone}/servers/{id}");
    let server = context
        .world
        .servers
        .get(&id)
        .map(|server| view::server(context.world, server));
    Ok(Reply::created(json!({ "server": server }), location))
}

/// The variant of an image that a create asks for: by its id, or by a label, which means a block volume.
fn resolve(
    context: &Context<'_>,
    image: &str,
    of: &'static catalogue::Type,
    zone: &str,
    volumes: Option<&BTreeMap<String, Template>>,
) -> Result<LocalImage, Failure> {
    let by_label = catalogue::local_images()
        .find(|found| found.image.label == image && found.root == Root::Block && found.zone == zone && found.fits(of));
    let found = catalogue::local_images()
        .find(|found| found.id() == image && found.zone == zone)
        .or(by_label);
    let Some(found) = found else {
        let own = context.world.images.get(image).is_some();
        return Err(match own {
            // Nothing is on a disk here, so nothing can be made of a backup.
            true => Failure::argument("image", "constraint", "the simulator starts nothing from a backup"),
            false => Failure::not_found("instance_image", image),
        });
    };
    if !found.fits(of) {
        let help = format!(
            "image {image} ({}, {}) is not compatible with {}",
            found.arch,
            found.kind(),
            of.name
        );
        return Err(Failure::argument("image", "constraint", &help));
    }
    let root = volumes
        .and_then(|volumes| volumes.get("0"))
        .and_then(|root| root.volume_type.as_deref());
    let wanted = match found.root {
        Root::Local => "l_ssd",
        Root::Block => "sbs_volume",
    };
    if root.is_some_and(|root| root != wanted) {
        let help = format!("image {image} needs a root volume of type {wanted}");
        return Err(Failure::argument("volumes", "constraint", &help));
    }
    Ok(found)
}

fn plan(
    context: &Context<'_>,
    of: &'static catalogue::Type,
    zone: &str,
    server: &str,
    image: Option<&LocalImage>,
    templates: Option<BTreeMap<String, Template>>,
) -> Result<Vec<(String, Plan)>, Failure> {
    let refuse = |help: &str| Err(Failure::argument("volumes", "constraint", help));
    let most = of.local_gb * GB;
    let mut plans = Vec::new();
    for (slot, template) in templates.unwrap_or_default() {
        if slot.parse::<u8>().is_err() {
            return refuse("volumes are numbered: \"0\", \"1\", …");
        }
        if let Some(id) = template.id {
            plans.push((slot, Plan::Existing(existing(context, zone, &id)?)));
            continue;
        }
        let root = slot == "0";
        let size = template.size.unwrap_or(if root { IMAGE_BYTES } else { 0 });
        if size == 0 || !size.is_multiple_of(512) {
            return refuse("the size of a volume must be a multiple of 512");
        }
        if root && size < IMAGE_BYTES {
            return refuse("the system's volume must have 10 GB at least");
        }
        let default = image.map_or("sbs_volume", |image| {
            if image.root == Root::Local {
                "l_ssd"
            } else {
                "sbs_volume"
            }
        });
        let plan = match template.volume_type.as_deref().unwrap_or(default) {
            kind @ ("l_ssd" | "scratch") => Plan::Local {
                name: template.name.unwrap_or_else(|| format!("{server}-{slot}")),
                size,
                kind: kind.to_owned(),
            },
            "sbs_volume" => Plan::Block {
                name: template.name.unwrap_or_else(|| block_name(image, server, &slot)),
                size,
            },
            other => return refuse(&format!("{other} is not a type of volume any more")),
        };
        plans.push((slot, plan));
    }
    // Without a word about it the image brings its own disk: a local one of all the type may have, or a block volume that
    // carries neither the server's name nor its tags.
    if let Some(image) = image
        && !plans.iter().any(|(slot, _)| slot == "0")
    {
        let plan = match image.root {
            Root::Local => Plan::Local {
                name: image.image.name.to_owned(),
                size: most,
                kind: "l_ssd".to_owned(),
            },
            Root::Block => Plan::Block {
                name: block_name(Some(image), server, "0"),
                size: IMAGE_BYTES,
            },
        };
        plans.push(("0".to_owned(), plan));
    }
    if !plans.iter().any(|(slot, _)| slot == "0") {
        return Err(Failure::argument(
            "image",
            "required",
            "an image or a root volume is needed",
        ));
    }
    let local: u64 = plans
        .iter()
        .map(|(_, plan)| match plan {
            Plan::Local { size, kind, .. } if kind == "l_ssd" => *size,
            _ => 0,
        })
        .sum();
    if local > most {
        return refuse(&format!(
            "the total size of local volumes of a {} must be between 0 and {most} bytes, not {local}",
            of.name
        ));
    }
    Ok(plans)
}

fn block_name(image: Option<&LocalImage>, server: &str, slot: &str) -> String {
    match image {
        Some(image) => format!("{}_sbs_volume_{slot}", image.image.name),
        None => format!("{server}_sbs_volume_{slot}"),
    }
}

fn existing(context: &Context<'_>, zone: &str, id: &str) -> Result<Disk, Failure> {
    let world = &*context.world;
    if let Some(volume) = world.volumes.get(id).filter(|volume| volume.zone == zone) {
        return match volume.server {
            None => Ok(Disk::Local(id.to_owned())),
            Some(_) => Err(Failure::in_use("the volume is attached to another server")),
        };
    }
    match world.blocks.get(id).filter(|block| block.zone == zone) {
        Some(block) if block.status == BlockStatus::Available => Ok(Disk::Block(id.to_owned())),
        Some(_) => Err(Failure::in_use("the volume is not available")),
        None => Err(Failure::not_found("instance_volume", id)),
    }
}

fn make(context: &mut Context<'_>, plan: Plan, zone: &str, project: &str, server: &str) -> Disk {
    let world = &mut *context.world;
    match plan {
        Plan::Local { name, size, kind } => {
            let volume = Volume {
                id: world.random.uuid(),
                life: world.life(),
                zone: zone.to_owned(),
                project: project.to_owned(),
                name,
                size,
                kind,
                tags: Vec::new(),
                server: Some(server.to_owned()),
            };
            let id = volume.id.clone();
            world.add_volume(volume);
            Disk::Local(id)
        }
        Plan::Block { name, size } => {
            let snapshot = world.random.uuid();
            let block = Block {
                id: world.random.uuid(),
                life: world.life(),
                zone: zone.to_owned(),
                project: project.to_owned(),
                name,
                size,
                iops: 5000,
                tags: Vec::new(),
                status: BlockStatus::Creating,
                reference: None,
                parent_snapshot: Some(snapshot),
                last_detached: None,
            };
            Disk::Block(world.add_block(block, Some(server)))
        }
        Plan::Existing(disk) => {
            let now = world.now();
            match &disk {
                Disk::Local(id) => {
                    if let Some(volume) = world.volumes.touch(id, now) {
                        volume.server = Some(server.to_owned());
                    }
                }
                Disk::Block(id) => world.attach_block(id, server),
            }
            disk
        }
    }
}
