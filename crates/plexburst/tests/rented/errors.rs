//! What goes wrong when a machine is rented and reached: each is told apart, says what to do, and leaves nothing.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sim::scaleway::{Fault, Rule, Scaleway};

use crate::common::{World, part_count};
use crate::support::{begun_and_left, cloud, prepared, world};

/// One thing that goes wrong.
struct Row {
    what: &'static str,
    inject: Inject,
    exit: i32,
    says: &'static str,
    hint: &'static str,
}

enum Inject {
    /// A fault of the API's.
    Fault(Rule),
    /// What `/sim/faults` takes.
    Told(Value),
    /// A key that may do only this, or expires.
    Key(Value),
    /// A variable of the environment.
    Variable(&'static str, &'static str),
    /// Somebody else's machine has the address that the next one is given.
    Foreign,
    /// A machine without these programs, and with settings that cannot be set.
    Lacks(&'static [&'static str]),
    /// The controller is gone while the machine works; when another comes, the machine's keys have changed.
    NewKeys,
}

fn rows() -> Vec<Row> {
    use Inject::{Foreign, Key, Lacks, NewKeys, Told, Variable};
    let fault = |fault| Inject::Fault(Rule::new(fault).on("POST", "/servers$"));
    let row = |what, inject, exit, says, hint| Row {
        what,
        inject,
        exit,
        says,
        hint,
    };
    let may_look = json!({"sets": ["InstancesReadOnly", "BlockStorageReadOnly"], "projects": []});
    let is_over = json!({"sets": ["AllProductsFullAccess"], "projects": [], "expires_at": "2020-01-01T00:00:00Z"});
    vec![
        row("no stock", fault(Fault::OutOfStock), 3, "out of stock", "--instance"),
        row("no quota", fault(Fault::QuotasExceeded), 3, "quota", "higher quota"),
        row("no rights", Key(may_look), 2, "lacks rights", "InstancesFullAccess"),
        row("an expired key", Key(is_over), 2, "expired", "SCW_SECRET_KEY"),
        row(
            "no such zone",
            Variable("SCW_DEFAULT_ZONE", "fr-par-9"),
            2,
            "no zone \"fr-par-9\"",
            "it-mil-1",
        ),
        row(
            "a zone without the type",
            Variable("SCW_DEFAULT_ZONE", "it-mil-1"),
            3,
            "DEV1-S is not offered in it-mil-1",
            "scaleway.zone",
        ),
        row(
            "no such project",
            Variable("SCW_DEFAULT_PROJECT_ID", "11111111-2222-4333-8444-555555555555"),
            2,
            "lacks rights",
            "scaleway.project",
        ),
        row(
            "clocks that differ",
            Told(json!({"kind": "clock_skew", "seconds": 7200})),
            4,
            "dated 120 min apart",
            "clock",
        ),
        row(
            "a foreign machine at an address that was used before",
            Foreign,
            3,
            "not the one that was rented",
            "plexburst",
        ),
        row(
            "a machine that lacks what the worker needs",
            Lacks(&["bwrap", "iptables", "vm.swappiness"]),
            3,
            "lacks bwrap|vm.swappiness = 10 (it is 60|containers from the machine's metadata (iptables is not installed)",
            "apt-get install bubblewrap",
        ),
        // It holds work, so whoever comes back is asked; what it costs meanwhile is said.
        row(
            "a machine whose keys changed",
            NewKeys,
            5,
            "not the one that was rented",
            "plexburst cancel",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_a_clear_error_and_leaves_nothing() {
    let Some((cloud, image)) = cloud("what goes wrong with a rented machine") else {
        return;
    };
    let (world, section) = world(image.path()).await;
    for row in rows() {
        let output = met(&row, &world, &cloud).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let context = format!("{}: {said}", row.what);
        assert_eq!(output.status.code(), Some(row.exit), "{context}");
        let error = said.lines().rfind(|line| line.starts_with("error: ")).expect(&context);
        for words in row.says.split('|') {
            assert!(error.contains(words), "{words}: {context}");
        }
        let hint = said.lines().rfind(|line| line.starts_with("hint: ")).expect(&context);
        assert!(hint.contains(row.hint), "{context}");
        if row.exit != 5 {
            // Whatever was made is gone already.
            nothing_is_left(row.what, &world, &cloud).await;
        }
        told(&cloud, "DELETE", "faults", &Value::Null).await;
        cloud.clear_faults();
        cancel_all(&world, &cloud);
        nothing_is_left(row.what, &world, &cloud).await;
        assert_eq!(part_count(&world.tracks(section).await), 4, "{}", row.what);
    }
}

/// The command's end when this goes wrong.
async fn met(row: &Row, world: &World, cloud: &Scaleway) -> Output {
    let mut sync = prepared(
        world,
        cloud,
        &[
            "sync",
            "--on",
            "scaleway",
            "--instance",
            "lite",
            "--quick",
            "--max-cost",
            "1",
        ],
    );
    match &row.inject {
        Inject::Fault(rule) => cloud.fault(rule.clone()),
        Inject::Told(fault) => {
            told(cloud, "POST", "faults", fault).await;
        }
        Inject::Key(key) => {
            let made = told(cloud, "POST", "keys", key).await;
            sync.env("SCW_SECRET_KEY", made["secret_key"].as_str().unwrap());
        }
        Inject::Variable(name, value) => {
            sync.env(name, value);
        }
        Inject::Lacks(all) => {
            for what in *all {
                told(cloud, "POST", "faults", &json!({"kind": "machines_lack", "what": what})).await;
            }
        }
        Inject::Foreign => {
            let address = used_address(cloud).await;
            told(cloud, "POST", "faults", &json!({"kind": "reuse_addresses"})).await;
            let foreign = json!({"kind": "foreign_host", "address": address});
            told(cloud, "POST", "faults", &foreign).await;
        }
        Inject::NewKeys => {
            begun_and_left(world, cloud);
            change_keys(world);
            sync = prepared(world, cloud, &["resume"]);
        }
    }
    sync.output().unwrap()
}

pub(crate) async fn told(cloud: &Scaleway, method: &str, what: &str, body: &Value) -> Value {
    let url = format!("{}/sim/{what}", cloud.access().url);
    let request = reqwest::Client::new().request(method.parse().unwrap(), url).json(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{method} {what}: {}", answer.status());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null)
}

async fn call(cloud: &Scaleway, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", cloud.access().url);
    let mut request = reqwest::Client::new()
        .request(method.parse().unwrap(), url)
        .header("X-Auth-Token", &cloud.access().secret_key);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null),
    )
}

/// Where the rules of the one security group of ours are.
fn rules_of_ours(cloud: &Scaleway) -> String {
    let groups = cloud.resources();
    let group = groups.iter().find(|r| r["kind"] == "security_group").expect("a group");
    format!(
        "/instance/v1/zones/{}/security_groups/{}/rules",
        group["zone"].as_str().unwrap(),
        group["id"].as_str().unwrap()
    )
}

/// The one security group of ours lets in nobody else over SSH.
pub(crate) async fn let_in_only(cloud: &Scaleway, range: &str) {
    let rule = json!({"protocol": "TCP", "direction": "inbound", "action": "accept", "ip_range": range,
        "dest_port_from": 22});
    let (status, said) = call(cloud, "PUT", &rules_of_ours(cloud), Some(json!({"rules": [rule]}))).await;
    assert_eq!(status, 200, "{said}");
}

/// Whom it lets in over SSH.
pub(crate) async fn let_in_now(cloud: &Scaleway) -> Vec<String> {
    let (status, said) = call(cloud, "GET", &rules_of_ours(cloud), None).await;
    assert_eq!(status, 200, "{said}");
    let rules = said["rules"].as_array().unwrap().iter();
    let ours =
        rules.filter(|rule| rule["direction"] == "inbound" && rule["action"] == "accept" && rule["editable"] != false);
    ours.map(|rule| rule["ip_range"].as_str().unwrap().to_owned()).collect()
}

/// An address that somebody's machine has had and given back.
async fn used_address(cloud: &Scaleway) -> String {
    let servers = "/instance/v1/zones/fr-par-1/servers";
    let body = json!({
        "name": "before", "commercial_type": "DEV1-S", "image": "debian_bookworm", "dynamic_ip_required": true,
        "project": cloud.access().project_id,
        "volumes": {"0": {"volume_type": "sbs_volume", "size": 20_000_000_000_u64}},
    });
    let (_, made) = call(cloud, "POST", servers, Some(body)).await;
    let id = made["server"]["id"].as_str().expect("a server").to_owned();
    let action = format!("{servers}/{id}/action");
    call(cloud, "POST", &action, Some(json!({"action": "poweron"}))).await;
    let mut address = String::new();
    let since = std::time::Instant::now();
    while address.is_empty() {
        let (_, now) = call(cloud, "GET", &format!("{servers}/{id}"), None).await;
        if now["server"]["state"] == "running" {
            now["server"]["public_ips"][0]["address"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut address);
        }
        assert!(since.elapsed().as_secs() < 120, "{now}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    call(cloud, "POST", &action, Some(json!({"action": "terminate"}))).await;
    let volume = made["server"]["volumes"]["0"]["id"].as_str().expect("a volume");
    let volume = format!("/block/v1/zones/fr-par-1/volumes/{volume}");
    for path in [format!("{servers}/{id}"), volume] {
        while call(cloud, "GET", &path, None).await.0 != 404 {
            if path.starts_with("/block") {
                // Refused as long as the server holds it.
                call(cloud, "DELETE", &path, None).await;
            }
            assert!(since.elapsed().as_secs() < 240, "{path} does not go");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    address
}

/// As somebody would who has taken the machine over, or its place.
fn change_keys(world: &World) {
    // The work is not done before anybody comes back: its worker is killed first.
    on_the_machine(
        world,
        "for lock in /var/lib/plexburst/*/lock; do kill -KILL $(head -n 1 $lock); done; rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; \
         kill -HUP $(cat /run/sshd.pid)",
    );
}

/// Runs a script on the machine, as the burst's own controller could.
pub(crate) fn on_the_machine(world: &World, script: &str) {
    let ssh = world.burst_dir().join("ssh");
    let known = std::fs::read_to_string(ssh.join("known_hosts")).unwrap();
    let address = known.split_whitespace().next().unwrap().to_owned();
    let changed = Command::new("ssh")
        .args([
            "-F",
            "/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
        ])
        .arg(format!("UserKnownHostsFile={}", ssh.join("known_hosts").display()))
        .arg("-i")
        .arg(ssh.join("id_ed25519"))
        .arg(format!("root@{address}"))
        .arg(script)
        .output()
        .unwrap();
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
}

/// Every burst that has not ended is taken back.
fn cancel_all(world: &World, cloud: &Scaleway) {
    let runs: Value = world.json(&["runs", "--json"]);
    for run in runs["runs"].as_array().unwrap() {
        if run["stands"] == "resumable" {
            let id = run["burst"].as_str().unwrap();
            let output = prepared(world, cloud, &["cancel", "--discard", id]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "cancel {id}: {said}");
        }
    }
}

/// Nothing is billed, nothing of ours exists, and whatever any journal has ever named is answered 404.
pub(crate) async fn nothing_is_left(what: &str, world: &World, cloud: &Scaleway) {
    let keys_of_tests = ["application", "policy", "api_key"];
    let left: Vec<Value> = cloud
        .resources()
        .into_iter()
        .filter(|r| !(keys_of_tests.contains(&r["kind"].as_str().unwrap()) && r["tags"].as_array().unwrap().is_empty()))
        .collect();
    assert!(left.is_empty(), "{what}: {left:?}");
    let bill = cloud.bill();
    assert!(bill["open"].as_array().unwrap().is_empty(), "{what}: {bill}");
    if !world.path("state/bursts").exists() {
        return;
    }
    for burst in std::fs::read_dir(world.path("state/bursts")).unwrap() {
        let journal = burst.unwrap().path().join("journal.jsonl");
        for line in std::fs::read_to_string(journal).unwrap_or_default().lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            if entry["resource"] != "known" {
                continue;
            }
            let (zone, id) = (entry["zone"].as_str().unwrap(), entry["id"].as_str().unwrap());
            let path = match entry["kind"].as_str().unwrap() {
                "server" => format!("/instance/v1/zones/{zone}/servers/{id}"),
                "local-volume" => format!("/instance/v1/zones/{zone}/volumes/{id}"),
                "block-volume" => format!("/block/v1/zones/{zone}/volumes/{id}"),
                "security-group" => format!("/instance/v1/zones/{zone}/security_groups/{id}"),
                "ip" => format!("/instance/v1/zones/{zone}/ips/{id}"),
                other => panic!("{what}: a {other} was made"),
            };
            assert_eq!(call(cloud, "GET", &path, None).await.0, 404, "{what}: {path}");
        }
    }
}
