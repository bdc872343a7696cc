//! What a machine needs to be a worker: the program itself, and the programs that it calls. Each is checked after it was
//! brought ([`fit`]): a tool that is silently missing once made every counter zero.

use std::path::{Path, PathBuf};

use std::time::Duration;

use super::Host;
use super::fit::{self, Wants};
use super::user_data::{PACKAGES, RUN};
use crate::clock::Clock;
use crate::error::{Context, Error, Result};

/// Programs that a worker may need and that packages bring. What it does need, and has, is looked at afterwards.
const TOOLS: &str = "rclone fusermount3 bwrap slirp4netns iptables";
/// What cloud-init may take on a fresh machine (the earlier scripts gave it 600 s; facts: legacy §4).
const BOOT: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_secs(1);

/// What a machine was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipped {
    /// The program there.
    pub program: String,
    /// "x86_64" or "aarch64".
    pub arch: String,
    /// vCPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
}

/// Brings everything into `dir` (an absolute path there) and checks it.
///
/// # Errors
/// An architecture that there is no program for; whatever of what it `wants` is missing, by name.
pub async fn equip(host: &Host, dir: &str, own: &Path, wants: &Wants) -> Result<Equipped> {
    let facts = host
        .script(
            "looking at the machine",
            "uname -m; nproc; awk '/^MemTotal/ {print $2}' /proc/meminfo; id -u\n",
        )
        .await?;
    let mut lines = facts.lines();
    let mut next = || lines.next().unwrap_or_default().trim().to_owned();
    let (arch, cpus, kib, uid) = (next(), next(), next(), next());
    let program = bring_program(host, dir, own, &arch).await?;
    if uid == "0" {
        install_tools(host).await?;
    }
    fit::check(host, &program, wants).await?;
    Ok(Equipped {
        program,
        arch,
        cpus: cpus.parse().unwrap_or(1),
        memory: kib.parse::<u64>().unwrap_or(0) * 1024,
    })
}

/// Waits until cloud-init has done everything on a fresh machine: what it installs must not meet what is installed here.
///
/// # Errors
/// It takes too long, with what it says of itself.
pub async fn booted(host: &Host, clock: &dyn Clock) -> Result<()> {
    let begun = clock.now();
    loop {
        let script = format!("[ ! -e {RUN}/booted ] || echo booted\ncloud-init status 2>/dev/null || true\n");
        let said = host.script("waiting for cloud-init", &script).await?;
        if said.lines().next() == Some("booted") {
            return Ok(());
        }
        if clock.now() - begun > BOOT {
            return Err(Error::failed(format!(
                "cloud-init is not done on {} within {} min; it says: {}",
                host.name(),
                BOOT.as_secs() / 60,
                said.trim()
            ))
            .hint("/var/log/cloud-init-output.log there has all it said; `plexburst resume` waits again"));
        }
        clock.sleep(LOOK).await;
    }
}

/// Sees that Docker runs there and has the image, before anything that expires is asked for. `program` is plexburst there.
///
/// # Errors
/// Docker is missing and cannot be installed, or the image cannot be had.
pub async fn docker(host: &Host, program: &str, image: &str, socket: Option<&Path>) -> Result<()> {
    let socket = socket.map_or_else(|| "/var/run/docker.sock".to_owned(), |path| path.display().to_string());
    // What fails here is told by the next step, which needs the engine.
    let script = format!(
        "[ -S '{socket}' ] && exit 0\n[ \"$(id -u)\" = 0 ] || exit 0\ncommand -v apt-get >/dev/null || exit 0\n\
         export DEBIAN_FRONTEND=noninteractive\n\
         (apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io) >/dev/null 2>&1 || true\n\
         (systemctl start docker || service docker start) >/dev/null 2>&1 || true\n"
    );
    host.script("looking for Docker", &script).await?;
    host.run(program, &["image", "--socket", &socket, image])
        .await
        .map_err(|e| {
            Error::refused(format!("{} cannot run the image {image}", host.name()))
                .hint(
                    "install Docker there and let this user belong to the group docker; a version of Plex without an \
                     image needs `worker.image`, or `worker.runtime = \"native\"`",
                )
                .because(e)
        })
        .map(drop)
}

/// The kernel's word for what a provider calls an architecture.
#[must_use]
pub fn kernel_name(arch: &str) -> &str {
    match arch {
        "arm64" => "aarch64",
        other => other,
    }
}

/// The programs that may run on a machine of this architecture (`uname -m`), best first: this very file, and the static one
/// that is shipped beside it.
///
/// # Errors
/// There is none.
pub fn programs(arch: &str) -> Result<Vec<PathBuf>> {
    let own = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    programs_beside(&own, arch)
}

fn programs_beside(own: &Path, arch: &str) -> Result<Vec<PathBuf>> {
    let beside = own.with_file_name(format!("plexburst-{arch}"));
    let mut found = Vec::new();
    if arch == std::env::consts::ARCH {
        found.push(own.to_owned());
    }
    if beside.is_file() && beside != own {
        let made_for = made_for(&beside)?;
        if made_for != Some(arch) {
            return Err(Error::refused(format!(
                "{} is no program for {arch}, whatever its name says ({})",
                beside.display(),
                made_for.unwrap_or("not one for Linux that is known here")
            ))
            .hint("`./dev build` makes both; put the right one there"));
        }
        found.push(beside.clone());
    }
    if found.is_empty() {
        return Err(Error::refused(format!(
            "the machine is {arch}, and this plexburst is for {}",
            std::env::consts::ARCH
        ))
        .hint(format!(
            "put a plexburst built for {arch} at {} (`./dev build` makes it), or take a machine of another type",
            beside.display()
        )));
    }
    Ok(found)
}

/// What a program's own header says that it is for: ELF, 64 bits, its machine's number.
fn made_for(path: &Path) -> Result<Option<&'static str>> {
    use std::io::Read;
    let mut head = [0; 20];
    let mut file = std::fs::File::open(path).context(|| format!("cannot read {}", path.display()))?;
    if file.read_exact(&mut head).is_err() || head[..5] != *b"\x7fELF\x02" {
        return Ok(None);
    }
    Ok(match u16::from_le_bytes([head[18], head[19]]) {
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        _ => None,
    })
}

/// Brings the first of them that runs there into `dir`, unless the very same one is there already.
///
/// # Errors
/// There is none for that architecture; it does not arrive whole; none that fits runs there.
pub async fn bring_program(host: &Host, dir: &str, own: &Path, arch: &str) -> Result<String> {
    let mut refused = None;
    for from in programs_beside(own, arch)? {
        match bring(host, dir, &from).await {
            Err(error) if error.exit() == crate::exit::REFUSED => refused = Some(error),
            other => return other,
        }
    }
    Err(refused.unwrap_or_else(|| Error::unexpected("there is no program to bring")))
}

async fn bring(host: &Host, dir: &str, from: &Path) -> Result<String> {
    let content = tokio::fs::read(from)
        .await
        .context(|| format!("cannot read {}", from.display()))?;
    let program = format!("{dir}/plexburst");
    host.run("mkdir", &["-p", "-m", "700", "--", dir]).await?;
    let expected = host_sum_of(&content).await?;
    let sum = async || {
        host.script(
            "checking the program",
            &format!("sha256sum -- '{program}' 2>/dev/null | cut -d' ' -f1 || true\n"),
        )
        .await
    };
    if sum().await?.trim() != expected {
        host.write(&program, "700", &content).await?;
        if sum().await?.trim() != expected {
            return Err(
                Error::failed(format!("the program did not arrive whole on {}", host.name()))
                    .hint("the next attempt copies it again; check the disk there"),
            );
        }
    }
    // A program that is linked against another C library is copied whole and still does not run.
    let said = host.run(&program, &["--version"]).await.map_err(|e| {
        Error::refused(format!("{} does not run on {}", from.display(), host.name()))
            .hint("`./dev build` makes a static one, which runs on any Linux of its architecture; put it beside this program")
            .because(e)
    })?;
    let own = concat!("plexburst ", env!("CARGO_PKG_VERSION"));
    if said.trim() != own {
        return Err(
            Error::refused(format!("{} is {:?}, and this is {own:?}", from.display(), said.trim()))
                .hint("both sides of a burst are of one version: build the other one anew"),
        );
    }
    Ok(program)
}

/// SHA-256 as the machine's own `sha256sum` prints it, by this machine's.
async fn host_sum_of(content: &[u8]) -> Result<String> {
    use tokio::io::AsyncWriteExt;
    let mut child = tokio::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context(|| "cannot run sha256sum".to_owned())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(content)
            .await
            .context(|| "cannot run sha256sum".to_owned())?;
    }
    let output = child
        .wait_with_output()
        .await
        .context(|| "cannot run sha256sum".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// By the machine's own packages, where any of them is missing. What fails here is seen by looking.
async fn install_tools(host: &Host) -> Result<()> {
    let script = format!(
        "PATH=$PATH:/usr/sbin:/sbin\nfor t in {TOOLS}; do command -v $t >/dev/null || missing=yes; done\n\
         [ \"${{missing:-}}\" = yes ] || exit 0\ncommand -v apt-get >/dev/null || exit 0\n\
         export DEBIAN_FRONTEND=noninteractive\n\
         (apt-get update -qq && apt-get install -y -qq --no-install-recommends {}) >/dev/null 2>&1 || true\n",
        PACKAGES.join(" ")
    );
    host.script("installing tools", &script).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(18, 0);
        head.extend(machine.to_le_bytes());
        head
    }

    #[test]
    fn the_program_for_a_machine_lies_beside_this_one_and_is_what_its_name_says() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("plexburst");
        std::fs::write(&own, "own").unwrap();
        let (here, other, number) = match std::env::consts::ARCH {
            "aarch64" => ("aarch64", "x86_64", 62),
            arch => (arch, "aarch64", 183),
        };
        assert_eq!(programs_beside(&own, here).unwrap(), std::slice::from_ref(&own));
        let e = programs_beside(&own, other).unwrap_err();
        assert_eq!(e.exit(), crate::exit::REFUSED);
        assert!(e.hint_text().unwrap().contains("./dev build"), "{:?}", e.hint_text());
        let beside = dir.path().join(format!("plexburst-{other}"));
        std::fs::write(&beside, elf(number)).unwrap();
        assert_eq!(programs_beside(&own, other).unwrap(), std::slice::from_ref(&beside));
        // A file of the wrong architecture, and one that is no program.
        for wrong in [elf(if number == 62 { 183 } else { 62 }), b"#!/bin/sh\n".to_vec()] {
            std::fs::write(&beside, wrong).unwrap();
            let e = programs_beside(&own, other).unwrap_err();
            assert!(e.chain().contains("no program for"), "{}", e.chain());
        }
        // A static one for this machine's own architecture is the second choice.
        let own_static = dir.path().join(format!("plexburst-{here}"));
        std::fs::write(&own_static, elf(if here == "aarch64" { 183 } else { 62 })).unwrap();
        assert_eq!(programs_beside(&own, here).unwrap(), [own, own_static]);
        assert_eq!((kernel_name("arm64"), kernel_name("x86_64")), ("aarch64", "x86_64"));
    }
}
