//! From creation to 404, and what is billed meanwhile and afterwards.

use serde_json::{Value, json};

use crate::support::{Cloud, text};

#[test]
fn nothing_runs_until_it_is_powered_on() {
    let cloud = Cloud::new();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    assert_eq!(
        (text(&server["state"]), &server["public_ip"]),
        ("stopped", &Value::Null)
    );
    assert_eq!(server["allowed_actions"], json!(["poweron", "backup"]));
    assert_eq!(cloud.billed(), ["volume"]);

    let accepted = cloud.act(id, "poweron");
    assert_eq!(
        (accepted.status, accepted.json()["task"]["description"].clone()),
        (202, json!("server_batch_poweron"))
    );
    let starting = cloud.instance("GET", &format!("/servers/{id}"), Value::Null).json()["server"].clone();
    assert_eq!(
        (text(&starting["state"]), text(&starting["state_detail"])),
        ("starting", "allocating node")
    );
    assert_eq!(cloud.act(id, "poweroff").kind(), "transient_state");
    cloud.advance(3.0);
    let booting = cloud.instance("GET", &format!("/servers/{id}"), Value::Null).json()["server"].clone();
    assert_eq!(
        (text(&booting["state_detail"]), &booting["public_ip"]),
        ("booting kernel", &Value::Null)
    );
    cloud.advance(9.0);
    let running = cloud.instance("GET", &format!("/servers/{id}"), Value::Null).json()["server"].clone();
    assert_eq!(text(&running["state"]), "running");
    assert_eq!(running["public_ip"]["dynamic"], json!(true));
    assert_eq!(cloud.billed(), ["ip", "server", "volume"]);
}

#[test]
fn fingerprints_are_there_once_it_has_booted() {
    let cloud = Cloud::new();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    let key = format!("/servers/{id}/user_data/ssh-host-fingerprints");
    cloud.act(id, "poweron");
    cloud.advance(12.5);
    assert_eq!(cloud.state(id), "running");
    assert_eq!(cloud.instance("GET", &key, Value::Null).status, 404);
    cloud.advance(12.0);
    let found = cloud.instance("GET", &key, Value::Null);
    assert_eq!(found.header("content-type"), Some("text/plain"));
    assert!(
        found.text.contains("256 SHA256:") && found.text.contains("(ED25519)"),
        "{}",
        found.text
    );
}

#[test]
fn terminate_takes_local_volumes_and_leaves_the_rest() {
    let cloud = Cloud::new();
    let ip = cloud.instance(
        "POST",
        "/ips",
        json!({"project": cloud.access().project_id, "type": "routed_ipv4"}),
    );
    assert_eq!(ip.status, 201);
    let ip = ip.json()["ip"]["id"].clone();
    let volumes = json!({"0": {"volume_type": "l_ssd", "size": 20_000_000_000_u64},
        "1": {"volume_type": "sbs_volume", "size": 50_000_000_000_u64}});
    let server = cloud.server(json!({"volumes": volumes, "public_ips": [ip], "tags": ["mine"]}));
    let (id, block) = (text(&server["id"]), text(&server["volumes"]["1"]["id"]));
    assert!(
        server["volumes"]["1"].get("name").is_none(),
        "an entry of a block volume has an id and no name"
    );
    cloud.act(id, "poweron");
    cloud.advance(30.0);
    assert_eq!(cloud.billed(), ["block_volume", "ip", "server", "volume"]);

    assert_eq!(cloud.act(id, "terminate").status, 202);
    assert_eq!(cloud.state(id), "stopping");
    cloud.advance(8.0);
    assert_eq!(cloud.state(id), "404");
    assert_eq!(cloud.billed(), ["block_volume", "ip"]);
    // The reference hangs on for a while, and as long as it does the volume cannot be deleted.
    let path = format!("/block/v1/zones/fr-par-1/volumes/{block}");
    let hanging = cloud.get(&path).json();
    assert_eq!(
        (text(&hanging["status"]), text(&hanging["references"][0]["status"])),
        ("in_use", "detaching")
    );
    assert_eq!(
        cloud.instance("GET", &format!("/volumes/{block}"), Value::Null).status,
        404,
        "not the block API"
    );
    let refused = cloud.ask("DELETE", &path, Value::Null);
    assert_eq!(
        (refused.status, refused.json()["precondition"].clone()),
        (412, json!("resource_still_in_use"))
    );
    cloud.advance(6.0);
    assert_eq!(text(&cloud.get(&path).json()["status"]), "available");
    assert_eq!(cloud.ask("DELETE", &path, Value::Null).status, 204);
    assert_eq!(text(&cloud.get(&path).json()["status"]), "deleting");
    assert_eq!(cloud.billed(), ["block_volume", "ip"]);
    cloud.advance(4.0);
    assert_eq!(cloud.get(&path).status, 404);
    assert_eq!(
        cloud
            .instance("DELETE", &format!("/ips/{}", text(&ip)), Value::Null)
            .status,
        204
    );
    assert_eq!(cloud.billed(), Vec::<String>::new());
    assert_eq!(cloud.scaleway.resources(), Vec::<Value>::new());
}

#[test]
fn a_label_makes_a_block_volume_that_carries_no_tags() {
    let cloud = Cloud::at_once();
    let body = json!({"commercial_type": "PLAY2-NANO", "image": "debian_bookworm", "volumes": {}, "tags": ["burst"],
        "name": "burst-1"});
    let server = cloud.server(body);
    let block = cloud
        .get(&format!(
            "/block/v1/zones/fr-par-1/volumes/{}",
            text(&server["volumes"]["0"]["id"])
        ))
        .json();
    assert_eq!(
        (text(&block["name"]), &block["tags"]),
        ("Debian Bookworm_sbs_volume_0", &json!([]))
    );
    let found = cloud.get("/block/v1alpha1/zones/fr-par-1/volumes?tags=burst").json();
    assert_eq!(found["total_count"], 0, "a reaper that looks by tag misses it");
    // DELETE removes the record of the server alone.
    assert_eq!(
        cloud
            .instance("DELETE", &format!("/servers/{}", text(&server["id"])), Value::Null)
            .status,
        204
    );
    assert_eq!(cloud.billed(), ["block_volume"]);
}

#[test]
fn delete_needs_a_stopped_server_and_leaves_every_volume() {
    let cloud = Cloud::new();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    cloud.act(id, "poweron");
    cloud.advance(30.0);
    let path = format!("/servers/{id}");
    let refused = cloud.instance("DELETE", &path, Value::Null);
    assert_eq!(
        (refused.status, refused.kind().as_str()),
        (400, "invalid_request_error")
    );
    cloud.act(id, "poweroff");
    assert_eq!(cloud.instance("DELETE", &path, Value::Null).kind(), "transient_state");
    // Eight seconds for the stop, and the local disk is archived.
    cloud.advance(9.0);
    assert_eq!(cloud.state(id), "stopping");
    cloud.advance(9.0);
    assert_eq!(cloud.state(id), "stopped");
    assert_eq!(cloud.billed(), ["volume"], "no compute, no dynamic address");
    assert_eq!(cloud.instance("DELETE", &path, Value::Null).status, 204);
    assert_eq!(cloud.billed(), ["volume"]);
    let volume = text(&server["volumes"]["0"]["id"]);
    assert_eq!(
        cloud
            .instance("DELETE", &format!("/volumes/{volume}"), Value::Null)
            .status,
        204
    );
    assert_eq!(cloud.billed(), Vec::<String>::new());
}

#[test]
fn a_shutdown_from_inside_is_billed_on() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    cloud.act(id, "poweron");
    assert_eq!(
        cloud
            .ask("POST", &format!("/sim/servers/{id}/shutdown"), Value::Null)
            .status,
        204
    );
    assert_eq!(cloud.state(id), "stopped in place");
    assert_eq!(cloud.billed(), ["ip", "server", "volume"]);
    cloud.act(id, "terminate");
    cloud.advance(0.0);
    assert_eq!(cloud.billed(), Vec::<String>::new());
}

#[test]
fn what_is_protected_stays_until_it_is_not() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({"protected": true}));
    let id = text(&server["id"]);
    cloud.act(id, "poweron");
    for action in ["terminate", "poweroff", "stop_in_place"] {
        assert_eq!(cloud.act(id, action).kind(), "precondition_failed", "{action}");
    }
    assert_eq!(
        cloud
            .instance("PATCH", &format!("/servers/{id}"), json!({"protected": false}))
            .status,
        200
    );
    assert_eq!(cloud.act(id, "terminate").status, 202);
    assert_eq!(cloud.state(id), "404");
}

#[test]
fn an_hour_at_least_for_each_resource() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    cloud.act(id, "poweron");
    cloud.advance(120.0);
    cloud.act(id, "terminate");
    cloud.advance(7200.0);
    let total = cloud.scaleway.bill()["total_eur"].as_f64().unwrap();
    let expected = 0.008_976 + 0.004 + 20.0 * 0.000_044;
    assert!((total - expected).abs() < 1e-9, "{total}");
}

#[test]
fn a_backup_costs_until_somebody_deletes_it() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    assert_eq!(cloud.act(id, "backup").status, 202);
    cloud.act(id, "terminate");
    cloud.advance(0.0);
    assert_eq!(cloud.billed(), ["snapshot"]);
    let images = cloud.instance("GET", "/images?public=false", Value::Null).json();
    let (image, snapshot) = (&images["images"][0]["id"], &images["images"][0]["root_volume"]["id"]);
    let path = format!("/snapshots/{}", text(snapshot));
    assert_eq!(cloud.instance("DELETE", &path, Value::Null).status, 412);
    assert_eq!(
        cloud
            .instance("DELETE", &format!("/images/{}", text(image)), Value::Null)
            .status,
        204
    );
    assert_eq!(cloud.instance("DELETE", &path, Value::Null).status, 204);
    assert_eq!(cloud.billed(), Vec::<String>::new());
}

#[test]
fn a_group_in_use_stays() {
    let cloud = Cloud::at_once();
    let project = &cloud.access().project_id;
    let group = json!({"name": "g", "project": project, "inbound_default_policy": "drop", "tags": ["mine"]});
    let group = cloud.instance("POST", "/security_groups", group).json()["security_group"]["id"].clone();
    let rules = format!("/security_groups/{}/rules", text(&group));
    let rule = json!({"protocol": "TCP", "direction": "inbound", "action": "accept", "ip_range": "127.0.0.1/32",
        "dest_port_from": 22});
    let set = cloud.instance("PUT", &rules, json!({ "rules": [rule] }));
    assert_eq!(
        (set.status, set.json()["rules"][0]["position"].clone()),
        (200, json!(1))
    );
    let server = cloud.server(json!({"security_group": group}));
    let path = format!("/security_groups/{}", text(&group));
    assert_eq!(cloud.instance("DELETE", &path, Value::Null).status, 400);
    cloud.act(text(&server["id"]), "terminate");
    cloud.advance(0.0);
    assert_eq!(cloud.instance("DELETE", &path, Value::Null).status, 204);
}
