//! Who may do what, and what a request must look like.

use serde_json::{Value, json};

use crate::support::{Cloud, ZONE, send, text};

fn servers() -> String {
    format!("{ZONE}/servers")
}

#[test]
fn a_key_must_be_there_known_and_not_expired() {
    let cloud = Cloud::new();
    let reason = |token: Option<&str>| {
        let answer = send(cloud.access(), token, "GET", &servers(), "");
        assert_eq!((answer.status, answer.kind().as_str()), (401, "denied_authentication"));
        text(&answer.json()["reason"]).to_owned()
    };
    assert_eq!(reason(None), "not_found");
    assert_eq!(reason(Some("secret")), "invalid_argument");
    assert_eq!(reason(Some("11111111-1111-4111-a111-111111111111")), "not_found");

    let now = cloud.get("/sim/clock").json();
    let now: jiff::Timestamp = text(&now["now"]).parse().unwrap();
    let expires = now + jiff::SignedDuration::from_secs(60);
    let app = cloud
        .ask("POST", "/iam/v1alpha1/applications", json!({"name": "reaper"}))
        .json();
    let body = json!({"application_id": app["id"], "expires_at": expires.to_string(), "description": "for a burst"});
    let key = cloud.ask("POST", "/iam/v1alpha1/api-keys", body).json();
    let secret = text(&key["secret_key"]);
    let denied = send(cloud.access(), Some(secret), "GET", &servers(), "");
    assert_eq!(
        denied.kind(),
        "permissions_denied",
        "a key without a policy may do nothing"
    );
    let rule = json!({"permission_set_names": ["InstancesFullAccess"], "project_ids": [cloud.access().project_id],
        "condition": format!("request.time < timestamp('{expires}')")});
    let policy = json!({"name": "reaper", "application_id": app["id"], "rules": [rule]});
    assert_eq!(cloud.ask("POST", "/iam/v1alpha1/policies", policy).status, 200);
    assert_eq!(send(cloud.access(), Some(secret), "GET", &servers(), "").status, 200);
    let blocks = send(
        cloud.access(),
        Some(secret),
        "GET",
        "/block/v1/zones/fr-par-1/volumes",
        "",
    );
    assert_eq!(blocks.status, 403, "block storage is a set of its own");
    cloud.advance(60.0);
    assert_eq!(reason(Some(secret)), "expired");
    let shown = cloud
        .get(&format!("/iam/v1alpha1/api-keys/{}", text(&key["access_key"])))
        .json();
    assert_eq!(shown["secret_key"], Value::Null, "a secret is shown once");
}

#[test]
fn another_project_is_not_to_be_seen_or_used() {
    let cloud = Cloud::at_once();
    let (own, other) = (
        cloud.access().project_id.clone(),
        cloud.access().other_project_id.clone(),
    );
    let theirs = cloud.server(json!({"project": other, "name": "theirs"}));
    let body = json!({"sets": ["InstancesFullAccess", "BlockStorageFullAccess"], "projects": [own]});
    let key = cloud.ask("POST", "/sim/keys", body).json();
    let ask =
        |method: &str, path: &str, body: &str| send(cloud.access(), Some(text(&key["secret_key"])), method, path, body);
    assert_eq!(ask("GET", &servers(), "").json()["servers"], json!([]));
    assert_eq!(
        ask("GET", &format!("{}/{}", servers(), text(&theirs["id"])), "").status,
        403
    );
    let action = format!("{}/{}/action", servers(), text(&theirs["id"]));
    assert_eq!(
        ask("POST", &action, r#"{"action":"terminate"}"#).kind(),
        "permissions_denied"
    );
    let create = json!({"commercial_type": "PLAY2-NANO", "image": "debian_bookworm", "project": other});
    let refused = ask("POST", &servers(), &create.to_string());
    assert_eq!(refused.json()["details"][0]["action"], "write");
    let nowhere = json!({"commercial_type": "PLAY2-NANO", "image": "debian_bookworm",
        "project": "22222222-2222-4222-a222-222222222222"});
    assert_eq!(cloud.instance("POST", "/servers", nowhere).kind(), "permissions_denied");
    assert_eq!(ask("GET", "/iam/v1alpha1/api-keys", "").status, 403);
}

#[test]
fn a_create_says_what_is_wrong_with_it() {
    let cloud = Cloud::at_once();
    let empty = cloud.instance("POST", "/servers", json!({}));
    assert_eq!(empty.status, 400);
    let detail = &empty.json()["details"][0];
    let expected = json!({"argument_name": "commercial_type", "reason": "required",
        "help_message": "required key not provided"});
    assert_eq!(*detail, expected);

    let project = cloud.access().project_id.clone();
    let (local, block) = (cloud.image("instance_local"), cloud.image("instance_sbs"));
    let l_ssd = |size: u64| json!({"0": {"volume_type": "l_ssd", "size": size}});
    let refused = |body: Value| {
        let mut body = body;
        body["project"] = json!(project);
        let answer = cloud.instance("POST", "/servers", body);
        (answer.status, answer.text.clone())
    };
    for (body, part) in [
        (json!({"commercial_type": "DEV9-S", "image": local}), "commercial_type"),
        (
            json!({"commercial_type": "PLAY2-NANO", "image": local}),
            "not compatible",
        ),
        (
            json!({"commercial_type": "BASIC2-A2C-4G", "image": block}),
            "not compatible",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": local, "volumes": l_ssd(40_000_000_000)}),
            "between 0 and",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": local, "volumes": l_ssd(5_000_000_000)}),
            "10 GB",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": local, "volumes": l_ssd(20_000_000_001)}),
            "512",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": "debian_bookworm", "volumes": l_ssd(20_000_000_000)}),
            "sbs_volume",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": local, "name": "a/b"}),
            "alphanumeric",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": local, "colour": "red"}),
            "extra keys not allowed",
        ),
        (
            json!({"commercial_type": "DEV1-S", "image": local, "security_group": "x"}),
            "unknown_resource",
        ),
        (json!({"commercial_type": "DEV1-S"}), "required"),
        (
            json!({"commercial_type": "START1-S", "image": local}),
            "quotas_exceeded",
        ),
    ] {
        let (status, text) = refused(body.clone());
        assert!(
            (400..500).contains(&status) && text.contains(part),
            "{body}: {status} {text}"
        );
    }
    assert_eq!(
        cloud.scaleway.resources(),
        Vec::<Value>::new(),
        "what was refused left nothing"
    );
}

#[test]
fn user_data_is_plain_text() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({}));
    let path = format!("{ZONE}/servers/{}/user_data", text(&server["id"]));
    let access = cloud.access();
    let token = Some(access.secret_key.as_str());
    let set = send(
        access,
        token,
        "PATCH",
        &format!("{path}/cloud-init"),
        "#cloud-config\nruncmd: []\n",
    );
    assert_eq!((set.status, set.text.as_str()), (204, ""));
    assert_eq!(cloud.get(&path).json(), json!({"user_data": ["cloud-init"]}));
    assert_eq!(
        cloud.get(&format!("{path}/cloud-init")).text,
        "#cloud-config\nruncmd: []\n"
    );
    let large = send(access, token, "PATCH", &format!("{path}/big"), &"x".repeat(127_001));
    assert_eq!(large.status, 400);
    assert_eq!(
        cloud.ask("DELETE", &format!("{path}/cloud-init"), Value::Null).status,
        204
    );
    assert_eq!(cloud.get(&format!("{path}/cloud-init")).status, 404);
}

#[test]
fn a_type_without_stock_can_be_created_and_not_started() {
    let cloud = Cloud::at_once();
    let body = json!({"commercial_type": "PRO2-L", "image": "debian_bookworm", "volumes": {}});
    let server = cloud.server(body);
    let refused = cloud.act(text(&server["id"]), "poweron");
    assert_eq!((refused.status, refused.kind().as_str()), (412, "out_of_stock"));
    assert_eq!(cloud.billed(), ["block_volume"], "what it left is billed");
}
