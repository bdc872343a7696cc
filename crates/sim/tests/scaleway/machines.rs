//! Instances that are machines: reached over SSH with a verified host key, set up by cloud-init, with mounts of their own.
//!
//! Skipped, with a line that says so, where namespaces, sshd or cloud-init are not to be had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sim::scaleway::{Instances, Options, Pace, Scaleway, ScalewayError};

use crate::support::{Cloud, send, text};

/// The longest that anything here may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(since.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A simulator with machines; or why there can be none here.
fn start(state: &Path) -> Result<Scaleway, String> {
    let options = Options {
        pace: Pace::Auto { speed: 20.0 },
        instances: Instances::Namespace,
        state: Some(state.to_owned()),
        ..Options::default()
    };
    match Scaleway::start(&options) {
        Ok(scaleway) => Ok(scaleway),
        Err(ScalewayError::Instances { reason, .. }) => Err(reason),
        Err(error) => panic!("{error}"),
    }
}

/// The simulator, or the end of the test.
macro_rules! start_or_skip {
    ($state:expr) => {
        match start($state) {
            Ok(scaleway) => scaleway,
            Err(reason) => {
                println!("SKIPPED instances of the Scaleway simulator: {reason}");
                return;
            }
        }
    };
}

fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// An instance with a key of its own, and how to reach it.
struct Rented {
    cloud: Cloud,
    dir: PathBuf,
    id: String,
    group: String,
}

impl Rented {
    /// Made and started; nobody is let in yet.
    fn new(cloud: Cloud, dir: &Path) -> Self {
        let key = dir.join("key");
        let made = run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()],
        );
        assert!(made.status.success(), "{made:?}");
        let public = fs::read_to_string(dir.join("key.pub")).unwrap();
        let group = json!({"name": "g", "project": cloud.access().project_id, "inbound_default_policy": "drop"});
        let group = cloud.instance("POST", "/security_groups", group).json()["security_group"]["id"].clone();
        let tag = format!("AUTHORIZED_KEY={}", public.trim().replace(' ', "_"));
        let server = cloud.server(json!({"security_group": group, "tags": [tag]}));
        let id = text(&server["id"]).to_owned();
        let config = "#cloud-config\nwrite_files:\n- {path: /etc/plexburst/here, content: written, permissions: '0600'}\n\
                      packages: [bash, rclone]\n\
                      bootcmd:\n- [sh, -c, 'echo booted > /root/bootcmd']\n\
                      runcmd:\n- [sh, -c, 'echo ran >> /root/runcmd']\n";
        let path = format!("{}/servers/{id}/user_data/cloud-init", crate::support::ZONE);
        let access = cloud.access();
        assert_eq!(
            send(access, Some(&access.secret_key), "PATCH", &path, config).status,
            204
        );
        assert_eq!(cloud.act(&id, "poweron").status, 202);
        until("running", || (cloud.state(&id) == "running").then_some(()));
        Self {
            cloud,
            dir: dir.to_owned(),
            id,
            group: text(&group).to_owned(),
        }
    }

    fn address(&self) -> String {
        let server = self
            .cloud
            .instance("GET", &format!("/servers/{}", self.id), Value::Null)
            .json();
        text(&server["server"]["public_ip"]["address"]).to_owned()
    }

    fn fingerprints(&self) -> String {
        let path = format!("/servers/{}/user_data/ssh-host-fingerprints", self.id);
        until("fingerprints", || {
            let answer = self.cloud.instance("GET", &path, Value::Null);
            (answer.status == 200).then_some(answer.text)
        })
    }

    /// Lets in who comes from this machine.
    fn admit(&self) {
        let rule = json!({"protocol": "TCP", "direction": "inbound", "action": "accept", "ip_range": "127.0.0.1/32",
            "dest_port_from": 22, "dest_port_to": null});
        let path = format!("/security_groups/{}/rules", self.group);
        assert_eq!(
            self.cloud.instance("PUT", &path, json!({ "rules": [rule] })).status,
            200
        );
    }

    /// The fingerprint of the key that is shown at its address now, noted as the only known one.
    fn shown_key(&self) -> Option<String> {
        let scanned = run("ssh-keyscan", &["-T", "3", "-t", "ed25519", &self.address()]);
        if scanned.stdout.is_empty() {
            return None;
        }
        let known = self.dir.join("known_hosts");
        fs::write(&known, &scanned.stdout).unwrap();
        let listed = run("ssh-keygen", &["-l", "-f", known.to_str().unwrap()]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed.split(' ').nth(1).map(str::to_owned)
    }

    fn ssh_options(&self) -> Vec<String> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        [
            "-F/dev/null".to_owned(),
            "-oBatchMode=yes".to_owned(),
            "-oConnectTimeout=5".to_owned(),
            "-oStrictHostKeyChecking=yes".to_owned(),
            format!("-oUserKnownHostsFile={}", path("known_hosts")),
            format!("-oIdentityFile={}", path("key")),
            "-oIdentitiesOnly=yes".to_owned(),
        ]
        .to_vec()
    }

    fn ssh(&self, command: &str) -> Output {
        let (options, target) = (self.ssh_options(), format!("root@{}", self.address()));
        let mut args: Vec<&str> = options.iter().map(String::as_str).collect();
        args.extend([target.as_str(), command]);
        run("ssh", &args)
    }

    /// What a command in it prints, which must succeed.
    fn tell(&self, command: &str) -> String {
        let output = self.ssh(command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn copy(&self, file: &Path, to: &str) {
        let (options, target) = (self.ssh_options(), format!("root@{}:{to}", self.address()));
        let mut args: Vec<&str> = options.iter().map(String::as_str).collect();
        args.extend(["-q", file.to_str().unwrap(), target.as_str()]);
        let copied = run("scp", &args);
        assert!(copied.status.success(), "{copied:?}");
    }

    /// Waits until it can be reached with the key that it said it has.
    fn reach(&self) {
        let shown = until("ssh", || self.shown_key());
        assert!(self.fingerprints().contains(&shown), "{shown}");
        until("a login", || self.ssh("true").status.success().then_some(()));
    }
}

#[test]
fn an_instance_is_a_machine_that_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let disks = dir.path().join("disks");
    let scaleway = start_or_skip!(&disks);
    let it = Rented::new(Cloud { scaleway }, dir.path());
    let disk = disks.join(&it.id);

    // Who is not let in hears nothing.
    assert_eq!(it.shown_key(), None);
    it.admit();
    it.reach();
    // It is root, has its name, and sees nothing of the host but its programs.
    let look = format!(
        "id -u; hostname; test -e {} || echo hidden; ls -A /home",
        dir.path().display()
    );
    assert_eq!(it.tell(&look), "0\nbox\nhidden");

    // cloud-init itself did its steps.
    until("cloud-init", || {
        it.tell("cloud-init status || true").contains("done").then_some(())
    });
    let steps = it.tell("cat /etc/plexburst/here /root/bootcmd /root/runcmd; stat -c %a /etc/plexburst/here");
    assert_eq!(steps.replace('\n', " "), "writtenbooted ran 600");

    // The metadata service asks for a low port, and takes a heartbeat without any key. Which one is free is not known: one
    // that was used lately is not given again for a minute.
    let ask = |ports: &str, method: &str, path: &str, body: &str| {
        it.tell(&format!(
            "python3 - <<'END'\n\
             import http.client, os\n\
             host, port = os.environ['SCW_METADATA_URL'].removeprefix('http://').split(':')\n\
             for source in {ports}:\n    \
                 c = http.client.HTTPConnection(host, int(port), source_address=('127.0.0.1', source))\n    \
                 try: c.connect()\n    \
                 except OSError: continue\n    \
                 c.request('{method}', '{path}', '{body}' or None)\n    \
                 a = c.getresponse()\n    \
                 print(a.status, a.read().decode())\n    \
                 break\n\
             END"
        ))
    };
    assert!(ask("[0]", "GET", "/conf?format=json", "").contains(&it.id));
    assert_eq!(ask("[0]", "GET", "/user_data", ""), "400 invalid argument(s)");
    let low = "range(1023, 600, -1)";
    assert_eq!(ask(low, "PATCH", "/user_data/heartbeat", "alive").trim(), "204");
    let path = format!("/servers/{}/user_data/heartbeat", it.id);
    assert_eq!(it.cloud.instance("GET", &path, Value::Null).text, "alive");

    // What it sets is its own.
    let host = || fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
    let before = host();
    it.tell("sysctl -q -w vm.swappiness=11");
    assert_eq!(it.tell("cat /proc/sys/vm/swappiness").trim(), "11");
    it.tell("iptables -I INPUT -j DROP && iptables -C INPUT -j DROP && ! iptables -C OUTPUT -j DROP");
    assert_eq!(host(), before);
    // It is not let near the kernel that it shares.
    assert!(
        !it.ssh("sysctl -w vm.dirty_ratio=11 || iptables -L || ls /dev/vda /dev/sda")
            .status
            .success()
    );

    // A real mount in it, which the host does not see.
    match it.tell("command -v rclone || true").as_str() {
        "" => println!("SKIPPED a mount in an instance: rclone is not installed"),
        _ => {
            it.tell(
                "mkdir -p /srv/bucket /mnt/media; echo song > /srv/bucket/song; \
                     rclone mount :local:/srv/bucket /mnt/media --read-only --daemon",
            );
            assert_eq!(it.tell("cat /mnt/media/song"), "song");
            // By its source: somebody else of this machine may have a mount of rclone's too.
            assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains("/srv/bucket"));
        }
    }

    // The simulator of Plex runs in it.
    it.copy(Path::new(env!("CARGO_BIN_EXE_plex-sim")), "/usr/local/bin/plex-sim");
    let own = "$(sed -n 's/^ListenAddress //p' /etc/ssh/sshd_config)";
    let started = format!(
        "plex-sim install /opt/plex >/dev/null && plex-sim start --server '/opt/plex/Plex Media Server' --support /srv/plex \
         --port 32400 --bind {own} && ls '/srv/plex/Plex Media Server/Plug-in Support/Databases'"
    );
    assert!(it.tell(&started).contains("com.plexapp.plugins.library.db"));

    // Off and on again: the disk and the host keys are the old ones, cloud-init does not run its commands twice.
    let before = it.fingerprints();
    assert_eq!(it.cloud.act(&it.id, "poweroff").status, 202);
    until("stopped", || (it.cloud.state(&it.id) == "stopped").then_some(()));
    assert_eq!(it.cloud.act(&it.id, "poweron").status, 202);
    until("running", || (it.cloud.state(&it.id) == "running").then_some(()));
    it.reach();
    assert_eq!(
        (it.tell("cat /root/runcmd"), it.fingerprints()),
        ("ran".to_owned(), before)
    );

    // Shut down from inside it is billed on.
    it.ssh("shutdown -h now");
    until("stopped in place", || {
        (it.cloud.state(&it.id) == "stopped in place").then_some(())
    });
    assert!(it.cloud.billed().contains(&"server".to_owned()));
    assert!(disk.exists());

    assert_eq!(it.cloud.act(&it.id, "terminate").status, 202);
    until("404", || (it.cloud.state(&it.id) == "404").then_some(()));
    until("its disk gone", || (!disk.exists()).then_some(()));
    assert_eq!(it.cloud.billed(), Vec::<String>::new());
    assert_eq!(it.cloud.get("/sim/trouble").json(), json!({"trouble": []}));
}

#[test]
fn somebody_else_at_the_address_has_another_key() {
    let dir = tempfile::tempdir().unwrap();
    let scaleway = start_or_skip!(&dir.path().join("disks"));
    let it = Rented::new(Cloud { scaleway }, dir.path());
    it.admit();
    it.reach();
    let fault = json!({"kind": "foreign_host", "address": it.address()});
    assert_eq!(it.cloud.ask("POST", "/sim/faults", fault).status, 204);
    let theirs = until("the other machine", || {
        let shown = it.shown_key()?;
        (!it.fingerprints().contains(&shown)).then_some(shown)
    });
    assert!(
        !it.ssh("true").status.success(),
        "it has {theirs} and does not know our key"
    );
    assert_eq!(it.cloud.ask("DELETE", "/sim/faults", Value::Null).status, 204);
    it.reach();
}

#[test]
fn a_killed_simulator_leaves_no_machine() {
    let dir = tempfile::tempdir().unwrap();
    let probe = start_or_skip!(&dir.path().join("probe"));
    drop(probe);
    let mut child = Command::new(env!("CARGO_BIN_EXE_plex-sim"))
        .args(["scaleway", "--instances", "namespace", "--speed", "50", "--state"])
        .arg(dir.path().join("disks"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let access: Value = serde_json::from_str(&line).unwrap();
    let access = sim::scaleway::Access {
        url: text(&access["url"]).to_owned(),
        access_key: text(&access["access_key"]).to_owned(),
        secret_key: text(&access["secret_key"]).to_owned(),
        organization_id: text(&access["organization_id"]).to_owned(),
        project_id: text(&access["project_id"]).to_owned(),
        other_project_id: text(&access["other_project_id"]).to_owned(),
    };
    let ask = |method: &str, path: &str, body: Value| {
        let path = format!("{}{path}", crate::support::ZONE);
        send(&access, Some(&access.secret_key), method, &path, &body.to_string())
    };
    let body = json!({"commercial_type": "PLAY2-NANO", "image": "debian_bookworm", "project": access.project_id});
    let server = ask("POST", "/servers", body).json()["server"].clone();
    let id = text(&server["id"]);
    assert_eq!(
        ask("POST", &format!("/servers/{id}/action"), json!({"action": "poweron"})).status,
        202
    );
    until("fingerprints", || {
        (ask(
            "GET",
            &format!("/servers/{id}/user_data/ssh-host-fingerprints"),
            Value::Null,
        )
        .status
            == 200)
            .then_some(())
    });
    assert!(!processes_on(dir.path()).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    until("every process gone", || {
        processes_on(dir.path()).is_empty().then_some(())
    });
}

/// Processes that were started with something below `dir`.
fn processes_on(dir: &Path) -> Vec<String> {
    let needle = dir.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // One that ended meanwhile is none.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&needle) && line.contains("boot.sh") {
            found.push(line);
        }
    }
    found
}
