//! Actions on servers. They are accepted with a task that cannot be asked after any more: one polls the server.

use serde::Deserialize;
use serde_json::json;

use super::server::find;
use crate::scaleway::api::Context;
use crate::scaleway::api::reply::{Body, Failure, Reply};
use crate::scaleway::catalogue::Stock;
use crate::scaleway::clock::instance_time;
use crate::scaleway::world::{BlockSnapshot, Disk, Image, Snapshot, State, World};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    action: String,
    name: Option<String>,
    #[expect(dead_code, reason = "a backup takes all volumes here")]
    volumes: Option<serde_json::Value>,
    #[expect(dead_code, reason = "there is no filesystem to keep")]
    disk_only: Option<bool>,
}

pub(super) fn list(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let server = find(context, zone, id, false)?;
    Ok(Reply::json(json!({"actions": server.allowed_actions()})))
}

pub(super) fn act(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let body: Action = context.request.fields(&["action"])?;
    let server = find(context, zone, id, true)?;
    let (state, protected, of) = (server.state, server.protected, server.commercial_type);
    if matches!(state, State::Starting | State::Stopping) {
        return Err(Failure::transient("instance_server", id, state.name()));
    }
    let needs = |states: &[State], what: &str| match states.contains(&state) {
        true => Ok(()),
        false => Err(Failure::invalid_request(&format!("server should be {what}"))),
    };
    let guard = || match protected {
        true => Err(Failure::precondition(
            "attribute_must_be_set",
            "the server is protected: set protected to false",
        )),
        false => Ok(()),
    };
    let world = &mut *context.world;
    let task = match body.action.as_str() {
        "poweron" => {
            needs(&[State::Stopped, State::StoppedInPlace], "stopped")?;
            // It could be created; that there is no room for it shows only now.
            if of.stock == Stock::Shortage {
                return Err(Failure::out_of_stock("instance_server"));
            }
            world.poweron(id);
            "server_batch_poweron"
        }
        "poweroff" => {
            needs(&[State::Running, State::StoppedInPlace], "running")?;
            guard()?;
            world.poweroff(id);
            "server_poweroff"
        }
        "stop_in_place" => {
            needs(&[State::Running], "running")?;
            guard()?;
            world.stop_in_place(id);
            "server_stop_in_place"
        }
        "reboot" => {
            needs(&[State::Running], "running")?;
            world.reboot(id);
            "server_reboot"
        }
        "terminate" => {
            guard()?;
            world.terminate(id);
            "server_terminate"
        }
        "backup" => {
            backup(world, id, body.name);
            "server_backup"
        }
        "enable_routed_ip" => "server_enable_routed_ip",
        other => {
            return Err(Failure::argument(
                "action",
                "constraint",
                &format!("{other} is not an action"),
            ));
        }
    };
    Ok(accepted(world, id, task))
}

/// 202 with a task.
pub(crate) fn accepted(world: &mut World, id: &str, description: &str) -> Reply {
    let task = world.random.uuid();
    let zone = world
        .servers
        .get(id)
        .map(|server| server.zone.clone())
        .unwrap_or_default();
    let location = format!("/instance/v1/zones/{zone}/tasks/{task}");
    Reply {
        status: 202,
        body: Body::Json(json!({"task": {
            "id": task,
            "description": description,
            "status": "pending",
            "progress": 0,
            "href_from": format!("/servers/{id}/action"),
            "href_result": format!("servers/{id}"),
            "started_at": instance_time(world.now()),
            "terminated_at": null,
            "zone": zone,
        }})),
        headers: vec![("location", location)],
    }
}

/// An image, and a snapshot of each volume; billed until somebody deletes them.
fn backup(world: &mut World, id: &str, name: Option<String>) {
    let Some(server) = world.servers.get(id).cloned() else {
        return;
    };
    let name = name.unwrap_or_else(|| format!("{}-backup", server.name));
    let (mut root, mut size) = (None, 0);
    for (slot, disk) in &server.disks {
        let snapshot = world.random.uuid();
        let life = world.life();
        let taken = match disk {
            Disk::Local(volume) => world.volumes.get(volume).map(|volume| volume.size),
            Disk::Block(block) => world.blocks.get(block).map(|block| block.size),
        };
        let Some(taken) = taken else { continue };
        match disk {
            Disk::Local(volume) => world.add_snapshot(Snapshot {
                id: snapshot.clone(),
                life,
                zone: server.zone.clone(),
                project: server.project.clone(),
                name: format!("{name}_snap_{slot}"),
                size: taken,
                tags: Vec::new(),
                volume: volume.clone(),
            }),
            Disk::Block(block) => world.add_block_snapshot(BlockSnapshot {
                id: snapshot.clone(),
                life,
                zone: server.zone.clone(),
                project: server.project.clone(),
                name: format!("{name}_snap_{slot}"),
                size: taken,
                tags: Vec::new(),
                volume: Some(block.clone()),
            }),
        }
        if slot == "0" {
            (root, size) = (Some(snapshot), taken);
        }
    }
    let image = Image {
        id: world.random.uuid(),
        life: world.life(),
        zone: server.zone.clone(),
        project: server.project.clone(),
        name,
        arch: server.commercial_type.arch(),
        from_server: id.to_owned(),
        root,
        size,
    };
    world.images.add(image);
}
