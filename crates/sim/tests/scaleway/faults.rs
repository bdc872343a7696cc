//! What goes wrong on request.

use serde_json::{Value, json};
use sim::scaleway::{Fault, Rule};

use crate::support::{Cloud, text};

#[test]
fn a_lost_answer_leaves_the_server() {
    let cloud = Cloud::at_once();
    cloud
        .scaleway
        .fault(Rule::new(Fault::LoseResponse).on("POST", "/servers$").times(1));
    let body = json!({"commercial_type": "PLAY2-NANO", "image": "debian_bookworm", "name": "burst",
        "project": cloud.access().project_id});
    assert_eq!(cloud.instance("POST", "/servers", body.clone()).status, 0);
    assert_eq!(cloud.instance("POST", "/servers", body).status, 201);
    let servers = cloud.instance("GET", "/servers?name=burst", Value::Null).json();
    assert_eq!(
        servers["servers"].as_array().unwrap().len(),
        2,
        "creating is not idempotent"
    );
}

#[test]
fn a_cut_connection_did_nothing() {
    let cloud = Cloud::at_once();
    cloud.scaleway.fault(Rule::new(Fault::Cut).on("POST", "/ips$").times(1));
    let body = json!({"project": cloud.access().project_id});
    assert_eq!(cloud.instance("POST", "/ips", body).status, 0);
    assert_eq!(cloud.scaleway.resources(), Vec::<Value>::new());
}

#[test]
fn a_gateway_answers_without_a_body() {
    let cloud = Cloud::at_once();
    cloud
        .scaleway
        .fault(Rule::new(Fault::Status { code: 429 }).on("GET", "/servers").times(2));
    for _ in 0..2 {
        let answer = cloud.instance("GET", "/servers", Value::Null);
        assert_eq!(
            (answer.status, answer.text.as_str(), answer.header("retry-after")),
            (429, "", None)
        );
    }
    assert_eq!(cloud.instance("GET", "/servers", Value::Null).status, 200);
}

#[test]
fn a_terminate_that_lies_is_true_later_or_never() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    cloud.act(id, "poweron");
    cloud
        .scaleway
        .fault(Rule::new(Fault::DeleteLies { for_seconds: None }).times(1));
    assert_eq!(cloud.act(id, "terminate").status, 202);
    cloud.advance(3600.0);
    assert_eq!(cloud.state(id), "running");
    cloud.scaleway.fault(
        Rule::new(Fault::DeleteLies {
            for_seconds: Some(30.0),
        })
        .times(1),
    );
    assert_eq!(cloud.act(id, "terminate").status, 202);
    cloud.advance(29.0);
    assert_eq!(cloud.state(id), "running");
    cloud.advance(1.0);
    assert_eq!(cloud.state(id), "404");
    assert_eq!(
        cloud.act(id, "terminate").status,
        404,
        "what is gone cannot be lied about"
    );
}

#[test]
fn a_delete_that_lies_leaves_the_volume_billed() {
    let cloud = Cloud::at_once();
    let body = json!({"name": "v", "project_id": cloud.access().project_id, "from_empty": {"size": 1_000_000_000}});
    let volume = cloud.ask("POST", "/block/v1/zones/fr-par-1/volumes", body).json();
    let path = format!("/block/v1/zones/fr-par-1/volumes/{}", text(&volume["id"]));
    cloud.scaleway.fault(
        Rule::new(Fault::DeleteLies { for_seconds: None })
            .on("DELETE", "/volumes/")
            .times(1),
    );
    assert_eq!(cloud.ask("DELETE", &path, Value::Null).status, 204);
    assert_eq!(
        (cloud.get(&path).status, cloud.billed()),
        (200, vec!["block_volume".to_owned()])
    );
    assert_eq!(cloud.ask("DELETE", &path, Value::Null).status, 204);
    assert_eq!((cloud.get(&path).status, cloud.billed()), (404, Vec::new()));
}

#[test]
fn typed_refusals_on_request() {
    let cloud = Cloud::at_once();
    for (fault, status, kind) in [
        (Fault::OutOfStock, 412, "out_of_stock"),
        (Fault::QuotasExceeded, 403, "quotas_exceeded"),
        (Fault::TransientState, 409, "transient_state"),
        (Fault::Denied, 403, "permissions_denied"),
        (Fault::Expired, 401, "denied_authentication"),
    ] {
        cloud.scaleway.fault(Rule::new(fault).times(1));
        let answer = cloud.instance("POST", "/servers", json!({}));
        assert_eq!((answer.status, answer.kind().as_str()), (status, kind));
    }
}

#[test]
fn the_control_endpoints_do_the_same() {
    let cloud = Cloud::at_once();
    let post = |body: Value| cloud.ask("POST", "/sim/faults", body).status;
    assert_eq!(
        post(json!({"kind": "status", "code": 503, "method": "GET", "path": "/ips", "times": 1})),
        204
    );
    assert_eq!(post(json!({"kind": "status", "code": 503, "tiems": 1})), 400);
    assert_eq!(post(json!({"kind": "dance"})), 400);
    assert_eq!(cloud.instance("GET", "/ips", Value::Null).status, 503);
    assert_eq!(post(json!({"kind": "clock_skew", "seconds": 86_400})), 204);
    let date = |cloud: &Cloud| {
        cloud
            .instance("GET", "/ips", Value::Null)
            .header("date")
            .unwrap()
            .to_owned()
    };
    let skewed = date(&cloud);
    assert_eq!(cloud.ask("DELETE", "/sim/faults", Value::Null).status, 204);
    assert_ne!(skewed, date(&cloud));

    let moved = cloud
        .ask("POST", "/sim/clock", json!({"mode": "manual", "step_seconds": 10.0}))
        .json();
    assert_eq!(moved["pace"], json!({"mode": "manual", "step_seconds": 10.0}));
    cloud.instance("GET", "/ips", Value::Null);
    let now = |value: &Value| text(&value["now"]).parse::<jiff::Timestamp>().unwrap();
    let later = now(&cloud.get("/sim/clock").json());
    assert_eq!(later - now(&moved), jiff::SignedDuration::from_secs(10));
    let log = cloud.get("/sim/requests").json();
    assert_eq!(log["requests"].as_array().unwrap().last().unwrap()["status"], 200);
}

#[test]
fn an_address_is_given_out_again() {
    let cloud = Cloud::at_once();
    assert_eq!(
        cloud
            .ask("POST", "/sim/faults", json!({"kind": "reuse_addresses"}))
            .status,
        204
    );
    let address = |id: &str| {
        cloud.act(id, "poweron");
        let server = cloud.instance("GET", &format!("/servers/{id}"), Value::Null).json();
        text(&server["server"]["public_ip"]["address"]).to_owned()
    };
    let first = cloud.server(json!({}));
    let had = address(text(&first["id"]));
    cloud.act(text(&first["id"]), "terminate");
    let theirs = cloud.server(json!({"project": cloud.access().other_project_id}));
    assert_eq!(address(text(&theirs["id"])), had);
}
