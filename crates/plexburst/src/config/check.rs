//! Values that have the right type and still cannot be meant: found before anything is done with them.
//!
//! What needs a look at the world (is there such a folder, does the remote answer) is for the guards.

use super::defect::Defect;
use super::sections::WantedSection;
use super::{Config, Depot, Home, Limits, Media, Scaleway, Worker};

type Checked = Result<(), Defect>;

/// The first value that cannot be meant.
pub(super) fn check(config: &Config) -> Checked {
    home(&config.home)?;
    media(&config.media)?;
    depot(&config.depot)?;
    worker(&config.worker)?;
    scaleway(&config.scaleway)?;
    limits(&config.limits)?;
    sections(&config.sections)
}

fn sections(sections: &[WantedSection]) -> Checked {
    for (index, section) in sections.iter().enumerate() {
        let key = |name: &str| format!("sections.{index}.{name}");
        if section.title.trim().is_empty() {
            return Err(Defect::new(key("title"), "is empty", "write the section's name"));
        }
        if sections[..index].iter().any(|other| other.title == section.title) {
            return Err(Defect::new(
                key("title"),
                format!("names {:?} a second time", section.title),
                "one entry for a section, with all its paths",
            ));
        }
        if section.paths.is_empty() || section.paths.iter().any(|path| !path.starts_with('/')) {
            return Err(Defect::new(
                key("paths"),
                "names no folder of home's",
                "write its roots as home has them: paths = [\"/Media/Music\"]",
            ));
        }
    }
    Ok(())
}

fn home(home: &Home) -> Checked {
    address("home.url", home.url.as_deref(), "http://127.0.0.1:32400")?;
    for (key, command) in [("home.stop", &home.stop), ("home.start", &home.start)] {
        if command
            .as_ref()
            .is_some_and(|words| words.first().is_none_or(String::is_empty))
        {
            let word = &key["home.".len()..];
            return Err(Defect::new(
                key,
                "names no program",
                format!(
                    "write the command as a list of words: {word} = [\"systemctl\", \"{word}\", \"plexmediaserver\"]"
                ),
            ));
        }
    }
    Ok(())
}

fn media(media: &Media) -> Checked {
    let named: Vec<&str> = [
        ("media.remote", media.remote.is_some()),
        ("media.s3", media.s3.is_some()),
        ("media.directory", media.directory.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, is_set)| is_set.then_some(key))
    .collect();
    if let [first, second, ..] = named.as_slice() {
        return Err(Defect::new(
            *second,
            format!("is set, and `{first}` is set as well"),
            format!("the media are in one place: keep `{first}` or `{second}`"),
        ));
    }
    if let Some(remote) = media.remote.as_deref()
        && remote.split_once(':').is_none_or(|(name, _)| name.is_empty())
    {
        return Err(Defect::new(
            "media.remote",
            format!("is {remote:?}, which names no remote"),
            "write `remote:path` as for rclone, e.g. remote = \"mega:music\"; a plain folder is `media.directory`",
        ));
    }
    if let Some(bucket) = &media.s3 {
        if bucket.bucket.trim_matches('/').is_empty() {
            return Err(Defect::new(
                "media.s3.bucket",
                "is not set",
                "name the bucket, or the bucket and a folder of it: bucket = \"music/folder\"",
            ));
        }
        address(
            "media.s3.endpoint",
            bucket.endpoint.as_deref(),
            "https://s3.fr-par.scw.cloud",
        )?;
    }
    if let Some(hash) = &media.rclone_sha256
        && (hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Err(Defect::new(
            "media.rclone_sha256",
            "is no SHA-256",
            "write its 64 hexadecimal digits, as `sha256sum` prints them",
        ));
    }
    if media.min_speed.is_some_and(|speed| speed < 0.0 || !speed.is_finite()) {
        return Err(Defect::new(
            "media.min_speed",
            "is below zero",
            "MB/s, e.g. min_speed = 5.0",
        ));
    }
    for (root, folder) in &media.roots {
        let key = format!("media.roots.{root}");
        if !root.starts_with('/') {
            return Err(Defect::new(
                key,
                "is no path from the top",
                format!("a section's root stands here as Plex shows it: \"/{root}\" = {folder:?}"),
            ));
        }
        if folder.starts_with('/') || folder.split('/').any(|part| part == "..") {
            return Err(Defect::new(
                key,
                format!("is {folder:?}, which does not lie inside of the media"),
                format!(
                    "name a folder of the media's: {root:?} = {:?}",
                    folder.trim_start_matches('/').replace("../", "")
                ),
            ));
        }
    }
    for (index, mapping) in media.mappings.iter().enumerate() {
        for (name, path) in [("from", &mapping.from), ("to", &mapping.to)] {
            if !path.starts_with('/') {
                return Err(Defect::new(
                    format!("media.mappings.{index}.{name}"),
                    format!("is {path:?}, which is no path from the top"),
                    format!("write the whole folder: {name} = \"/{path}\""),
                ));
            }
        }
        if media.mappings[..index].iter().any(|other| other.from == mapping.from) {
            return Err(Defect::new(
                format!("media.mappings.{index}.from"),
                format!("is {:?}, which another mapping has as well", mapping.from),
                "a folder can go to one place: remove one of the two",
            ));
        }
    }
    Ok(())
}

fn depot(depot: &Depot) -> Checked {
    if depot.directory.is_some() && depot.remote.is_some() {
        return Err(Defect::new(
            "depot.remote",
            "is set, and `depot.directory` is set as well",
            "the depot is in one place: keep one of the two",
        ));
    }
    if let Some(remote) = depot.remote.as_deref()
        && !["s3://", "sftp://"]
            .iter()
            .any(|scheme| remote.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        return Err(Defect::new(
            "depot.remote",
            format!("is {remote:?}, which is neither a bucket nor an SFTP host"),
            "write s3://bucket/prefix or sftp://user@host/path; a folder is `depot.directory`",
        ));
    }
    address(
        "depot.endpoint",
        depot.endpoint.as_deref(),
        "https://s3.fr-par.scw.cloud",
    )?;
    for (index, recipient) in depot.recipients.iter().enumerate() {
        if !recipient.starts_with("age1") {
            // Not shown: it may be an identity that was put in the wrong place.
            return Err(Defect::new(
                format!("depot.recipients.{index}"),
                "is no recipient of age",
                "recipients begin with age1 (`plexburst depot init` prints one); an identity belongs into a file of its own, `depot.identity_file`",
            ));
        }
    }
    Ok(())
}

fn worker(worker: &Worker) -> Checked {
    if worker.port == Some(0) {
        return Err(Defect::new(
            "worker.port",
            "is 0",
            "a port between 1 and 65535, or none for Plex's own",
        ));
    }
    Ok(())
}

fn scaleway(scaleway: &Scaleway) -> Checked {
    let zones = scaleway.zone.iter().map(|zone| ("scaleway.zone".to_owned(), zone));
    let others = scaleway.other_zones.iter().enumerate();
    let others = others.map(|(index, zone)| (format!("scaleway.other_zones.{index}"), zone));
    for (key, zone) in zones.chain(others) {
        // As in fr-par-1 (facts/cloud.md §1).
        let parts: Vec<&str> = zone.split('-').collect();
        let fits = matches!(parts.as_slice(), [country, city, number]
            if country.len() == 2 && city.len() == 3 && number.parse::<u8>().is_ok());
        if !fits {
            return Err(Defect::new(
                key,
                format!("is {zone:?}, which is no zone"),
                "zones are called like fr-par-1, nl-ams-1, pl-waw-2",
            ));
        }
    }
    address(
        "scaleway.api_url",
        scaleway.api_url.as_deref(),
        "https://api.scaleway.com",
    )?;
    for (index, range) in scaleway.inbound.iter().enumerate() {
        let (address, bits) = range.split_once('/').unwrap_or((range, ""));
        let fits = address.parse::<std::net::IpAddr>().is_ok_and(|address| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            bits.parse::<u8>().is_ok_and(|bits| bits <= most)
        });
        if !fits {
            return Err(Defect::new(
                format!("scaleway.inbound.{index}"),
                format!("is {range:?}, which is no range of addresses"),
                "write an address and its bits, e.g. \"203.0.113.7/32\"",
            ));
        }
    }
    for (key, value) in [
        ("scaleway.max_hours", scaleway.max_hours),
        ("scaleway.max_cost", scaleway.max_cost),
    ] {
        if value.is_some_and(|value| value <= 0.0 || !value.is_finite()) {
            return Err(Defect::new(
                key,
                "leaves no time at all",
                "a number above zero, or no such key",
            ));
        }
    }
    Ok(())
}

fn limits(limits: &Limits) -> Checked {
    for (key, seconds) in [
        ("limits.probe", limits.probe),
        ("limits.watch", limits.watch),
        ("limits.dead", limits.dead),
        ("limits.interval", limits.interval),
        ("limits.checkpoint", limits.checkpoint),
        ("limits.cloud.interval", limits.cloud.interval),
    ] {
        if seconds <= 0.0 || !seconds.is_finite() {
            return Err(Defect::new(key, "leaves no time at all", "seconds, above zero"));
        }
    }
    for (key, seconds) in [
        ("limits.warm", limits.warm),
        ("limits.remount", limits.remount),
        ("limits.grace", limits.grace),
        ("limits.idle_cpu", limits.idle_cpu),
        ("limits.cloud.grace", limits.cloud.grace),
        ("limits.quick.idle_cpu", limits.quick.idle_cpu),
        ("limits.cloud.idle_cpu", limits.cloud.idle_cpu),
    ] {
        if seconds < 0.0 || !seconds.is_finite() {
            return Err(Defect::new(key, "is below zero", "seconds; 0 is none"));
        }
    }
    for (key, value) in [
        ("limits.ready", limits.ready),
        ("limits.mount", limits.mount),
        ("limits.stop", limits.stop),
        ("limits.stall", u64::from(limits.stall)),
        ("limits.cloud.stall", u64::from(limits.cloud.stall)),
        ("limits.cloud.refresh_stall", u64::from(limits.cloud.refresh_stall)),
        ("limits.cloud.sonic_stall", u64::from(limits.cloud.sonic_stall)),
        ("limits.quick.stall", u64::from(limits.quick.stall)),
        ("limits.section", limits.section),
        ("limits.scan", limits.scan.unwrap_or(limits.section)),
        ("limits.refresh", limits.refresh.unwrap_or(limits.section)),
        ("limits.analyse", limits.analyse.unwrap_or(limits.section)),
        ("limits.sonic", limits.sonic.unwrap_or(limits.section)),
    ] {
        if value == 0 {
            return Err(Defect::new(key, "leaves no time at all", "a whole number above zero"));
        }
    }
    Ok(())
}

fn address(key: &str, value: Option<&str>, example: &str) -> Checked {
    let Some(value) = value else { return Ok(()) };
    let fits = ["http://", "https://"].iter().any(|scheme| {
        value
            .strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    if fits {
        return Ok(());
    }
    Err(Defect::new(
        key,
        format!("is {value:?}, which is no address"),
        format!("write it with http:// or https://, e.g. {example:?}"),
    ))
}
