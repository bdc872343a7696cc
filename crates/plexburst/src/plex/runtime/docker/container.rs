//! What a container is told: its mounts, its limits, its environment. Nothing here speaks to the engine.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum as Propagation, MountType, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use super::{Error, Spec};

/// What marks our containers; its value is the worker's folder.
pub(super) const LABEL: &str = "plexburst.worker";
/// Plex's own port, which has no setting.
pub(super) const PORT: &str = "32400/tcp";
/// Where the image has what becomes PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR (facts/plex.md §4.1).
const SUPPORT: &str = "/config/Library/Application Support";
/// Folders of the image that no section may lie in.
const OWN: [&str; 12] = [
    "/config",
    "/transcode",
    "/usr",
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/dev",
    "/init",
];
/// How much a container may print before the older half goes.
const LOG: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "2")];
/// Whether every root can be had.
pub(super) fn check(spec: &Spec) -> Result<(), Error> {
    for bind in &spec.roots {
        let why = if !bind.root.is_absolute() {
            "it is no absolute path"
        } else if bind.root == Path::new("/") {
            "it is the root itself"
        } else if OWN.iter().any(|own| bind.root.starts_with(own)) {
            "the image has its own things there"
        } else {
            continue;
        };
        return Err(Error::Root {
            root: bind.root.clone(),
            why,
        });
    }
    Ok(())
}

/// The whole configuration.
pub(super) fn body(spec: &Spec, propagation: Propagation) -> ContainerCreateBody {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut env = vec![
        // The mount is only readable by whoever mounted it, and the library is the worker's own.
        format!("PLEX_UID={user}"),
        format!("PLEX_GID={group}"),
        "CHANGE_CONFIG_DIR_OWNERSHIP=false".to_owned(),
    ];
    env.extend(spec.time_zone.iter().map(|zone| format!("TZ={zone}")));
    env.extend(spec.env.iter().map(|(name, value)| format!("{name}={value}")));
    let publish = PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        // Whichever is free: home's own server may have its usual one.
        host_port: Some(String::new()),
    };
    ContainerCreateBody {
        hostname: Some("plexburst".to_owned()),
        image: Some(spec.image.to_string()),
        env: Some(env),
        labels: Some(HashMap::from([(LABEL.to_owned(), spec.work.display().to_string())])),
        exposed_ports: Some(vec![PORT.to_owned()]),
        host_config: Some(HostConfig {
            mounts: Some(mounts(spec, propagation)),
            port_bindings: Some(HashMap::from([(PORT.to_owned(), Some(vec![publish]))])),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                ..RestartPolicy::default()
            }),
            memory: i64::try_from(spec.memory).ok(),
            // As much again on the disk as the earlier scripts gave: two GiB.
            memory_swap: i64::try_from(spec.memory.saturating_add(2 << 30)).ok(),
            nano_cpus: Some(nanos(spec.cpus)),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(LOG.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a number of CPUs is small")]
fn nanos(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn mounts(spec: &Spec, propagation: Propagation) -> Vec<Mount> {
    let bind = |source: &Path, target: String, read_only: bool, propagation: Option<Propagation>| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target),
        read_only: Some(read_only),
        bind_options: propagation.map(|propagation| MountBindOptions {
            propagation: Some(propagation),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    };
    let mut mounts = vec![
        bind(&spec.work.join("config"), "/config".to_owned(), false, None),
        bind(&spec.support, SUPPORT.to_owned(), false, None),
        bind(&spec.work.join("tmp"), "/transcode".to_owned(), false, None),
    ];
    for folder in &spec.writable {
        mounts.push(bind(folder, folder.display().to_string(), false, None));
    }
    let mut roots: Vec<_> = spec.roots.iter().collect();
    roots.sort_by(|a, b| a.root.cmp(&b.root));
    roots.dedup_by(|a, b| a.root == b.root);
    for root in roots {
        let target = root.root.display().to_string();
        mounts.push(bind(&root.media, target, true, Some(propagation)));
    }
    mounts
}

/// Whether the mount that `path` lies on is shared or a slave in this table of /proc/self/mountinfo: only then can a
/// container be told of mounts that are made below it later.
pub(super) fn receives(mountinfo: &str, path: &Path) -> bool {
    let mut best: Option<(usize, bool)> = None;
    for line in mountinfo.lines() {
        let mut fields = line.split(' ');
        let Some(point) = fields.nth(4) else { continue };
        let point = point.replace("\\040", " ");
        let flagged = fields
            .skip(1)
            .take_while(|field| *field != "-")
            .any(|field| field.starts_with("shared:") || field.starts_with("master:"));
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), flagged));
        }
    }
    best.is_some_and(|(_, flagged)| flagged)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::plex::runtime::docker::Image;
    use crate::plex::runtime::layout::Bind;

    fn spec(root: &str) -> Spec {
        Spec {
            socket: "/none".into(),
            image: Image::of(None, Some("1")).unwrap(),
            name: "plexburst-x-1".into(),
            support: "/w/support".into(),
            work: "/w/plex".into(),
            writable: vec!["/w/more".into()],
            roots: vec![Bind {
                root: root.into(),
                media: "/w/media/Music".into(),
            }],
            env: vec![("A".into(), "b".into())],
            time_zone: Some("Europe/Paris".into()),
            memory: 1 << 30,
            cpus: 1.5,
            program: PathBuf::new(),
        }
    }

    #[test]
    fn media_read_only_at_homes_paths_and_nothing_published_to_the_world() {
        let body = body(&spec("/Media/Music"), Propagation::RSLAVE);
        let host = body.host_config.unwrap();
        let mounts = host.mounts.unwrap();
        let media = mounts
            .iter()
            .find(|m| m.target.as_deref() == Some("/Media/Music"))
            .unwrap();
        assert_eq!(media.read_only, Some(true));
        assert_eq!(
            media.bind_options.as_ref().unwrap().propagation,
            Some(Propagation::RSLAVE)
        );
        assert!(
            mounts
                .iter()
                .any(|m| m.target.as_deref() == Some(SUPPORT) && m.read_only == Some(false))
        );
        let ports = host.port_bindings.unwrap();
        let published: Vec<_> = ports.values().flatten().flatten().collect();
        assert!(published.iter().all(|p| p.host_ip.as_deref() == Some("127.0.0.1")));
        assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
        assert_eq!((host.memory, host.nano_cpus), (Some(1 << 30), Some(1_500_000_000)));
        let env = body.env.unwrap();
        assert!(env.contains(&"TZ=Europe/Paris".to_owned()) && env.contains(&"A=b".to_owned()));
        assert!(!env.iter().any(|line| line.starts_with("PLEX_CLAIM")));
    }

    #[test]
    fn roots_that_a_container_cannot_have() {
        assert!(check(&spec("/Media/Music")).is_ok());
        for root in ["Music", "/", "/config/Music", "/usr/music"] {
            let error = check(&spec(root)).unwrap_err();
            assert!(matches!(error, Error::Root { .. }) && error.hint().is_some(), "{root}");
        }
    }

    #[test]
    fn who_is_told_of_later_mounts() {
        let table = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                     30 22 0:50 / /srv/a\\040b rw shared:7 - fuse x rw\n\
                     31 30 0:51 / /srv/a\\040b/in rw,relatime - tmpfs x rw\n";
        assert!(!receives(table, Path::new("/home")));
        assert!(receives(table, Path::new("/srv/a b/Music")));
        assert!(!receives(table, Path::new("/srv/a b/in/x")));
    }
}
