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
    "ca-certificates",
    "zstd",
];

/// Where the metadata service of Scaleway listens (facts: cloud §1.6).
const METADATA: &str = "169.254.42.42";

/// The user data: a cloud-config.
#[must_use]
pub fn cloud_config(burst: &str) -> String {
    let limits = "root soft nofile 100000\nroot hard nofile 500000\n";
    // The earlier scripts' numbers (facts: legacy §4).
    let sysctl = "fs.file-max = 500000\nvm.swappiness = 10\nvm.vfs_cache_pressure = 50\n";
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
        "runcmd": [
            ["sh", "-c", "sysctl -q --system || true"],
            // Containers have no business with the metadata: what they send is forwarded, what the host itself sends is not.
            ["sh", "-c", format!(
                "command -v iptables >/dev/null && iptables -I FORWARD -d {METADATA} -j REJECT || true"
            )],
            ["sh", "-c", "mkdir -p /run/plexburst && touch /run/plexburst/booted"],
        ],
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
