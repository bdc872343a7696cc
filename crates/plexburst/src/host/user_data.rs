//! What a fresh machine is told through cloud-init: to be ready for us and closed to everybody else. No secret is in it:
//! everybody on the machine, containers included, could read it.

use serde_json::json;

/// Packages that the worker needs beside the program. Whether they are there is checked afterwards, whatever cloud-init
/// says of itself.
pub const PACKAGES: &[&str] = &[
    "fuse3",
    "rclone",
    "bubblewrap",
    "slirp4netns",
    "iptables",
    "ca-certificates",
    "zstd",
];

/// Settings of the kernel: the earlier scripts' numbers (facts: legacy §4).
pub(super) const SETTINGS: &[(&str, u64)] = &[
    ("fs.file-max", 500_000),
    ("vm.swappiness", 10),
    ("vm.vfs_cache_pressure", 50),
];

/// Who is kept from the metadata (where Scaleway's service listens: facts, cloud §1.6), and by which rule of iptables. What
/// a container sends comes in before any rule of Docker's own is asked. What a cell sends comes from a process of the
/// machine, and from a port that is not root's; the worker's own proof of life comes from one that is.
pub(super) const CLOSED: &[(&str, &[&str])] = &[
    (
        "containers",
        &["-t", "raw", "PREROUTING", "-d", "169.254.42.42", "-j", "DROP"],
    ),
    (
        "Plex in its cell",
        &[
            "-t",
            "filter",
            "OUTPUT",
            "-d",
            "169.254.42.42",
            "-p",
            "tcp",
            "--sport",
            "1024:65535",
            "-j",
            "REJECT",
        ],
    ),
];

/// Where the machine leaves that cloud-init has done everything, `booted`.
pub const RUN: &str = "/run/plexburst";

/// The user data: a cloud-config.
#[must_use]
pub fn cloud_config(burst: &str) -> String {
    let limits = "root soft nofile 100000\nroot hard nofile 500000\n";
    let sysctl: String = SETTINGS
        .iter()
        .map(|(name, value)| format!("{name} = {value}\n"))
        .collect();
    let close = CLOSED.iter().map(|(_, rule)| {
        let (table, rest) = rule.split_at(2);
        json!([&["iptables"], table, &["-I"], rest].concat())
    });
    // Whether all of this came about is looked at afterwards, by `fit` on the machine.
    let commands = [json!(["sysctl", "-q", "--system"])]
        .into_iter()
        .chain(close)
        .chain([json!(["sh", "-c", format!("mkdir -p {RUN} && touch {RUN}/booted")])]);
    let config = json!({
        "package_update": true,
        "packages": PACKAGES,
        "disable_root": false,
        "ssh_pwauth": false,
        "write_files": [
            {"path": "/etc/sysctl.d/60-plexburst.conf", "permissions": "0644", "content": sysctl},
            {"path": "/etc/security/limits.d/60-plexburst.conf", "permissions": "0644", "content": limits},
            {"path": "/etc/plexburst/burst", "permissions": "0644", "content": format!("{burst}\n")},
        ],
        "runcmd": commands.collect::<Vec<_>>(),
    });
    // JSON is YAML; cloud-init only asks for its first line.
    format!("#cloud-config\n{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_inits_own_check_accepts_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("user-data");
        std::fs::write(&path, cloud_config("01J")).unwrap();
        let output = std::process::Command::new("cloud-init")
            .args(["schema", "--config-file"])
            .arg(&path)
            .output();
        match output {
            Err(_) => println!("SKIPPED cloud-init's schema check: cloud-init is not installed"),
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}
