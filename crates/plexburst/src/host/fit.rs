//! Whether this machine has what a worker needs, looked at on the machine itself by the program that was brought there:
//! nothing is believed because it was installed or written down.
//!
//! What can be mended by root at once (settings of the kernel, rules of the firewall) is, and is looked at again. Must not:
//! change anything on a machine that was not rented.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::Host;
use super::user_data::{CLOSED, SETTINGS};
use crate::error::{Error, Result};
use crate::media::program::{Rclone, Wanted};

/// Open files that Plex and the mount may have together (facts: legacy §4).
const FILES: u64 = 100_000;
/// With fewer the mount's cache runs out of them during a scan: a file being read takes two, and a scan reads many.
const LEAST_FILES: u64 = 16_384;

/// What the machine is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// It was rented for this burst alone: its kernel's settings, its limits and its firewall are plexburst's business.
    pub is_rented: bool,
    /// The media are mounted there.
    pub mount: Option<Wanted>,
    /// Plex runs there as a binary, in a cell.
    pub cell: bool,
    /// That cell has a way out.
    pub internet: bool,
}

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// What, and what for.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

fn lack(what: impl Into<String>, hint: impl Into<String>) -> Lack {
    Lack {
        what: what.into(),
        hint: hint.into(),
    }
}

/// Has `program` (plexburst, over there) look whether the machine is fit.
///
/// # Errors
/// Everything that is missing, by name.
pub async fn check(host: &Host, program: &str, wants: &Wants) -> Result<()> {
    let told =
        serde_json::to_vec(wants).map_err(|e| Error::unexpected("cannot write down what is wanted").because(e))?;
    let said = host.pipe(program, &["fit"], &told).await?;
    let lacks: Vec<Lack> = serde_json::from_str(&said)
        .map_err(|e| Error::unexpected(format!("cannot understand what {} says", host.name())).because(e))?;
    if lacks.is_empty() {
        return Ok(());
    }
    let join = |of: fn(&Lack) -> &String| {
        let mut texts: Vec<&str> = lacks.iter().map(|lack| of(lack).as_str()).collect();
        texts.dedup();
        texts.join("; ")
    };
    Err(Error::refused(format!("{} lacks {}", host.name(), join(|lack| &lack.what))).hint(join(|lack| &lack.hint)))
}

/// What this machine is asked about, on stdin.
///
/// # Errors
/// It cannot be understood.
pub fn told() -> Result<Wants> {
    serde_json::from_reader(std::io::stdin().lock())
        .map_err(|e| Error::usage("cannot understand what is wanted of this machine").because(e))
}

/// The same on this machine: everything that it lacks.
pub async fn lacks(wants: &Wants) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if let Some(wanted) = &wants.mount {
        lacks.extend(mount(wanted).await);
    }
    if wants.cell {
        lacks.extend(tool("bwrap", "bubblewrap", "giving Plex home's paths"));
        if wants.internet {
            lacks.extend(tool("slirp4netns", "slirp4netns", "letting Plex reach the Internet"));
        }
    }
    if wants.is_rented {
        lacks.extend(SETTINGS.iter().filter_map(|(name, value)| setting(name, *value)));
        lacks.extend(files());
        lacks.extend(CLOSED.iter().filter_map(|(whom, rule)| closed(whom, rule)));
    }
    lacks
}

/// Where programs of a system are, whatever this process was given.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

fn tool(name: &str, package: &str, what_for: &str) -> Option<Lack> {
    find(name).is_none().then(|| {
        let hint = format!("install there: apt-get install {package}");
        lack(format!("{name} ({what_for})"), hint)
    })
}

async fn mount(wanted: &Wanted) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if !Path::new("/dev/fuse").exists() {
        let hint = "load the fuse module there, or give the container that it is --device /dev/fuse";
        lacks.push(lack("/dev/fuse (mounting the media)", hint));
    }
    lacks.extend(tool("fusermount3", "fuse3", "mounting the media"));
    // One that is fetched is fetched when it is used, with its hash.
    if wanted.fetch && find("rclone").is_none() {
        return lacks;
    }
    if let Err(error) = Rclone::find(wanted, Path::new("/nonexistent")).await {
        let error = Error::from(error);
        let hint = error.hint_text().unwrap_or("install there: apt-get install rclone");
        lacks.push(lack(format!("rclone as it is wanted ({})", error.chain()), hint));
    }
    lacks
}

/// A setting of the kernel: at least this much, where more is no worse; else exactly.
fn setting(name: &str, value: u64) -> Option<Lack> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    let read = || std::fs::read_to_string(&path).ok()?.trim().parse::<u64>().ok();
    let is_right = |now: Option<u64>| match now {
        Some(now) if name == "fs.file-max" => now >= value,
        Some(now) => now == value,
        None => false,
    };
    if is_right(read()) {
        return None;
    }
    // The kernel's own file: nothing of ours, and nothing that outlives the machine.
    let written = std::fs::write(&path, format!("{value}\n"));
    if is_right(read()) {
        return None;
    }
    let now = read().map_or_else(|| "it cannot be read".to_owned(), |now| format!("it is {now}"));
    let why = written.map_or_else(|error| format!(", {error}"), |()| String::new());
    Some(lack(
        format!("the setting {name} = {value} ({now}{why})"),
        format!("`sysctl -w {name}={value}` there says why; another image (`scaleway.image`) may let it be set"),
    ))
}

/// Raises how many files this process and its children may open, as far as it can.
///
/// # Errors
/// How many it may, when that is too few.
pub fn raise_files() -> std::result::Result<(), u64> {
    let now = getrlimit(Resource::Nofile);
    // None is no limit.
    if now.current.is_none_or(|current| current >= FILES) {
        return Ok(());
    }
    let to = |current: u64, maximum: Option<u64>| Rlimit {
        current: Some(current),
        maximum,
    };
    let raised = to(FILES, now.maximum.map(|maximum| maximum.max(FILES)));
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    // Whoever may not raise its limit may use it whole.
    let most = now.maximum.unwrap_or(FILES).min(FILES);
    match setrlimit(Resource::Nofile, to(most, now.maximum)) {
        Ok(()) if most >= LEAST_FILES => Ok(()),
        Ok(()) => Err(most),
        Err(_) => now.current.filter(|current| *current < LEAST_FILES).map_or(Ok(()), Err),
    }
}

fn files() -> Option<Lack> {
    let limit = raise_files().err()?;
    Some(lack(
        format!("room for {LEAST_FILES} open files (it may have {limit})"),
        "raise `nofile` in /etc/security/limits.conf of the image (`scaleway.image`)",
    ))
}

/// A rule that keeps somebody from the metadata: put first, and seen to be there.
fn closed(whom: &str, rule: &[&str]) -> Option<Lack> {
    let program = find("iptables");
    let run = |verb: &str| {
        let mut command = Command::new(program.as_ref()?);
        // `-t TABLE` stands before the verb.
        let (table, rest) = rule.split_at(2);
        command.args(table).arg(verb).args(rest).stdin(Stdio::null());
        command.output().ok().filter(|output| output.status.success())
    };
    let is_there = run("-C").is_some() || (run("-I").is_some() && run("-C").is_some());
    (!is_there).then(|| {
        let why = match program {
            Some(_) => "iptables does not take the rule",
            None => "iptables is not installed",
        };
        lack(
            format!("a firewall that keeps {whom} from the machine's metadata ({why})"),
            "install iptables there, or take an image that has it (`scaleway.image`)",
        )
    })
}
