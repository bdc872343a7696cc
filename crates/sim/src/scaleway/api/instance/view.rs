//! The objects of instance v1 as they were recorded (facts/cloud.md §1.4).

use serde_json::{Map, Value, json};

use crate::scaleway::catalogue;
use crate::scaleway::clock::instance_time;
use crate::scaleway::world::{Disk, Group, GroupRule, Image, Ip, Server, Snapshot, State, Volume, World};

/// A server, with all the fields that the real one sends, used or not.
pub(crate) fn server(world: &World, server: &Server) -> Value {
    let addresses = addresses(world, server);
    let volumes: Map<String, Value> = server
        .disks
        .iter()
        .map(|(slot, disk)| (slot.clone(), disk_of(world, server, disk)))
        .collect();
    let group = world.groups.get(&server.group);
    let has_node = !matches!(server.state, State::Stopped) && server.detail != "allocating node";
    json!({
        "id": server.id,
        "name": server.name,
        "arch": server.commercial_type.arch(),
        "commercial_type": server.commercial_type.name,
        "boot_type": server.boot_type,
        "organization": world.organization,
        "project": server.project,
        "hostname": server.name,
        "image": server.image.as_ref().map(|image| json!({
            "id": image.id,
            "name": image.name,
            "arch": server.commercial_type.arch(),
            "organization": world.organization,
            "project": world.organization,
            "root_volume": root_of(server),
            "extra_volumes": {},
            "default_bootscript": null,
            "creation_date": instance_time(server.life.created),
            "modification_date": instance_time(server.life.created),
            "from_server": null,
            "public": true,
            "state": "available",
            "tags": [],
            "zone": server.zone,
        })),
        "volumes": volumes,
        "tags": server.tags,
        "state": server.state.name(),
        "state_detail": server.detail,
        "protected": server.protected,
        "public_ip": addresses.first(),
        "public_ips": addresses,
        "mac_address": mac(&server.id),
        "routed_ip_enabled": true,
        "ipv6": null,
        "extra_networks": [],
        "dynamic_ip_required": server.dynamic_ip_required,
        "enable_ipv6": false,
        "private_ip": null,
        "bootscript": null,
        "creation_date": instance_time(server.life.created),
        "modification_date": instance_time(server.life.modified),
        "security_group": group.map(|group| json!({"id": group.id, "name": group.name})),
        "location": has_node.then(|| json!({"zone_id": server.zone, "platform_id": "14", "cluster_id": "28",
            "hypervisor_id": "601", "node_id": "7"})),
        "maintenances": [],
        "allowed_actions": server.allowed_actions(),
        "placement_group": null,
        "private_nics": [],
        "zone": server.zone,
        "filesystems": [],
        "end_of_service": server.commercial_type.ended,
        "dns": format!("{}.pub.instances.scw.cloud", server.id),
        "admin_password_encryption_ssh_key_id": null,
        "admin_password_encrypted_value": null,
    })
}

fn root_of(server: &Server) -> Value {
    match server.disks.get("0") {
        Some(Disk::Local(id)) => json!({"id": id, "name": "", "size": 0, "volume_type": "l_ssd"}),
        Some(Disk::Block(id)) => json!({"id": id, "name": "", "size": 0, "volume_type": "sbs_snapshot"}),
        None => Value::Null,
    }
}

/// The addresses that a server has now.
pub(crate) fn addresses(world: &World, server: &Server) -> Vec<Value> {
    let entry = |id: &str, address: &str, v6: bool, dynamic: bool, tags: &[String]| {
        json!({
            "id": id,
            "address": address,
            "gateway": if v6 { "fd00::1" } else { "62.210.0.1" },
            "netmask": if v6 { "64" } else { "32" },
            "family": if v6 { "inet6" } else { "inet" },
            "dynamic": dynamic,
            "provisioning_mode": if v6 { "slaac" } else { "dhcp" },
            "tags": tags,
            "state": "attached",
            "ipam_id": id,
        })
    };
    let flexible = server.ips.iter().filter_map(|id| world.ips.get(id));
    flexible
        .map(|ip| entry(&ip.id, &ip.address, !ip.is_v4(), false, &ip.tags))
        .chain(
            server
                .dynamic
                .iter()
                .map(|(id, address)| entry(id, &address.to_string(), false, true, &[])),
        )
        .collect()
}

fn disk_of(world: &World, server: &Server, disk: &Disk) -> Value {
    match disk {
        // No name, no size, no tags: only the block API knows them.
        Disk::Block(id) => json!({"boot": false, "volume_type": "sbs_volume", "id": id, "state": "available",
            "zone": server.zone}),
        Disk::Local(id) => world.volumes.get(id).map_or(Value::Null, |found| {
            let mut value = volume(world, found);
            value["boot"] = json!(false);
            value
        }),
    }
}

pub(crate) fn volume(world: &World, volume: &Volume) -> Value {
    let server = volume.server.as_ref().and_then(|id| world.servers.get(id));
    json!({
        "id": volume.id,
        "name": volume.name,
        "size": volume.size,
        "volume_type": volume.kind,
        "export_uri": null,
        "creation_date": instance_time(volume.life.created),
        "modification_date": instance_time(volume.life.modified),
        "organization": world.organization,
        "project": volume.project,
        "server": server.map(|server| json!({"id": server.id, "name": server.name})),
        "state": "available",
        "tags": volume.tags,
        "zone": volume.zone,
    })
}

pub(crate) fn snapshot(world: &World, snapshot: &Snapshot) -> Value {
    json!({
        "id": snapshot.id,
        "name": snapshot.name,
        "organization": world.organization,
        "project": snapshot.project,
        "tags": snapshot.tags,
        "volume_type": "l_ssd",
        "size": snapshot.size,
        "state": "available",
        "base_volume": {"id": snapshot.volume, "name": ""},
        "creation_date": instance_time(snapshot.life.created),
        "modification_date": instance_time(snapshot.life.modified),
        "zone": snapshot.zone,
        "error_reason": null,
    })
}

pub(crate) fn image(world: &World, image: &Image) -> Value {
    json!({
        "id": image.id,
        "name": image.name,
        "arch": image.arch,
        "organization": world.organization,
        "project": image.project,
        "root_volume": image.root.as_ref().map(|id| json!({"id": id, "name": image.name, "size": image.size,
            "volume_type": "l_ssd"})),
        "extra_volumes": {},
        "default_bootscript": null,
        "from_server": image.from_server,
        "public": false,
        "state": "available",
        "tags": [],
        "creation_date": instance_time(image.life.created),
        "modification_date": instance_time(image.life.modified),
        "zone": image.zone,
    })
}

/// An image of the marketplace, as `images/{id}` shows it.
pub(crate) fn public_image(world: &World, image: &catalogue::LocalImage) -> Value {
    let since = instance_time(world.clock.now());
    json!({
        "id": image.id(),
        "name": image.image.name,
        "arch": image.arch,
        "organization": "51b656e3-4865-41e8-adbc-0c45bdd780db",
        "project": "51b656e3-4865-41e8-adbc-0c45bdd780db",
        "root_volume": {"id": image.id(), "name": "", "size": catalogue::IMAGE_BYTES,
            "volume_type": if image.root == catalogue::Root::Block { "sbs_snapshot" } else { "l_ssd" }},
        "extra_volumes": {},
        "default_bootscript": null,
        "from_server": null,
        "public": true,
        "state": "available",
        "tags": [],
        "creation_date": since,
        "modification_date": since,
        "zone": image.zone,
    })
}

pub(crate) fn ip(world: &World, ip: &Ip) -> Value {
    let server = ip.server.as_ref().and_then(|id| world.servers.get(id));
    json!({
        "id": ip.id,
        "address": ip.is_v4().then_some(&ip.address),
        "prefix": (!ip.is_v4()).then_some(&ip.address),
        "reverse": ip.reverse,
        "server": server.map(|server| json!({"id": server.id, "name": server.name})),
        "organization": world.organization,
        "project": ip.project,
        "tags": ip.tags,
        "type": ip.kind,
        "state": if server.is_some() { "attached" } else { "detached" },
        "ipam_id": ip.id,
        "zone": ip.zone,
    })
}

pub(crate) fn group(world: &World, group: &Group) -> Value {
    let servers: Vec<Value> = world
        .servers
        .iter()
        .filter(|server| server.group == group.id)
        .map(|server| json!({"id": server.id, "name": server.name}))
        .collect();
    json!({
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "enable_default_security": group.default_security,
        "inbound_default_policy": group.inbound,
        "outbound_default_policy": group.outbound,
        "organization": world.organization,
        "project": group.project,
        "tags": group.tags,
        "organization_default": false,
        "project_default": group.project_default,
        "creation_date": instance_time(group.life.created),
        "modification_date": instance_time(group.life.modified),
        "servers": servers,
        "stateful": group.stateful,
        "state": "available",
        "zone": group.zone,
    })
}

pub(crate) fn rule(group: &Group, rule: &GroupRule, position: usize) -> Value {
    json!({
        "id": rule.id,
        "protocol": rule.protocol,
        "direction": rule.direction,
        "action": rule.action,
        "ip_range": rule.ip_range,
        "dest_port_from": rule.from,
        "dest_port_to": rule.to,
        "position": position + 1,
        "editable": true,
        "zone": group.zone,
    })
}

/// The same for the same server, always.
fn mac(id: &str) -> String {
    let hex: String = id.chars().filter(char::is_ascii_hexdigit).take(6).collect();
    format!("de:00:00:{}:{}:{}", &hex[..2], &hex[2..4], &hex[4..6])
}
