//! Home's machine as this one reaches it: connected, with the program there, and files carried to and fro.

use std::path::Path;
use std::time::Duration;

use super::order::Order;
use super::settle::Folders;
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::error::{Context, Error, Result};
use crate::exit;
use crate::host::{Host, Talk, Target, equip};
use crate::signal::Ear;
use crate::term::{Printer, bytes};

/// Between two attempts to reach it again.
const PAUSE: Duration = Duration::from_secs(2);

/// A machine with the program on it.
pub struct Machine {
    target: Target,
    host: Host,
    program: String,
    folders: Folders,
    /// How long it is tried to reach it again.
    patience: Duration,
    printer: Printer,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Connects to home's machine and brings the program there.
    ///
    /// # Errors
    /// It cannot be reached, its host key is not the known one, there is no program for it, it has no place for one.
    pub async fn reach(config: &config::Config, printer: &Printer) -> Result<Self> {
        let home = &config.home;
        let name = home.host.as_deref().unwrap_or_default();
        let mut target =
            Target::named(name).map_err(|e| e.hint("`home.host` is like user@host, or ssh://user@host:2222"))?;
        target.config.clone_from(&home.ssh_config);
        printer.progress(&format!("reaching {}", target.destination));
        let host = Host::connect(&target).await?;
        let facts = host
            .script(
                "looking at the machine",
                "uname -m; id -u; id -un; echo \"$HOME\"\n\
                 if [ -d /dev/shm ] && [ -w /dev/shm ]; then echo /dev/shm; elif [ -w /run ]; then echo /run; else echo none; fi\n\
                 if [ -d /run/systemd/seats ] && [ ! -e \"/var/lib/systemd/linger/$(id -un)\" ]; then echo fleeting; fi\n",
            )
            .await?;
        let mut lines = facts.lines();
        let mut next = || lines.next().unwrap_or_default().trim().to_owned();
        let (arch, uid, user, at_home, memory, fleeting) = (next(), next(), next(), next(), next(), next());
        if memory == "none" {
            return Err(
                Error::refused(format!("{} has no folder in memory for secrets", host.name()))
                    .hint("mount a tmpfs at /dev/shm there"),
            );
        }
        // Ordinary users' files there are removed by systemd when they have gone.
        if fleeting == "fleeting" && uid.parse::<u32>().is_ok_and(|uid| uid >= 1000) {
            printer.warn(&format!(
                "{} removes what {user} has in memory once the connection ends, and a burst that is still running would miss \
                 it: `loginctl enable-linger {user}` there changes that",
                host.name()
            ));
        }
        let base = match (&home.directory, uid.as_str()) {
            (Some(dir), _) => dir.display().to_string(),
            (None, "0") => "/var/lib/plexburst".to_owned(),
            (None, _) => format!("{at_home}/.local/state/plexburst"),
        };
        if !base.starts_with('/') || base.contains(['\'', '\n']) {
            return Err(
                Error::usage(format!("{} has no folder for plexburst ({base:?})", host.name()))
                    .hint("set `home.directory` to one"),
            );
        }
        let own = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
        printer.progress(&format!("bringing the program to {}", host.name()));
        let program = equip::bring_program(&host, &format!("{base}/bin"), &own, &arch)
            .await
            .map_err(|e| match e.exit() {
                exit::REFUSED => e,
                _ => e.hint(format!(
                    "{user} has to be able to write in {base} there; `home.directory` names another folder"
                )),
            })?;
        // One for each folder of plexburst's: a machine may have several homes of one user, and a claim is one burst's.
        let of_base = blake3::hash(base.as_bytes()).to_hex();
        let secrets = format!("{memory}/plexburst-home-{uid}-{:.8}", of_base.as_str());
        Ok(Self {
            target,
            host,
            program,
            folders: Folders { base, secrets },
            patience: Duration::from_secs(config.limits.reconnect),
            printer: printer.clone(),
        })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Where things lie there.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// The connection.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The program there.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Runs a part of the program's other side.
    pub(super) async fn at_home(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["at-home"];
        all.extend(arguments);
        self.host.run(&self.program, &all).await
    }

    /// Gives the order; the call's folder there comes back.
    pub(super) async fn begin(&self, order: &Order) -> Result<String> {
        let text = serde_json::to_vec(order).map_err(|e| Error::unexpected("cannot write an order").because(e))?;
        let dir = self.host.pipe(&self.program, &["at-home", "begin"], &text).await?;
        Ok(dir.trim().to_owned())
    }

    /// Begins a process there that looks things up with what `order` brings, and ends with its connection.
    pub(crate) async fn look(&self, order: &Order) -> Result<Talk<'_>> {
        let line = serde_json::to_string(order).map_err(|e| Error::unexpected("cannot write an order").because(e))?;
        let mut talk = self.host.talk(&self.program, &["at-home", "look"]).await?;
        // One that does not take it ends, which is heard.
        talk.tell(&line).await;
        Ok(talk)
    }

    /// Connects anew, once.
    ///
    /// # Errors
    /// It cannot be reached; its host key is another one.
    pub(crate) async fn reach_once(&mut self) -> Result<()> {
        let host = Host::connect(&self.target).await?;
        let old = std::mem::replace(&mut self.host, host);
        old.close().await;
        Ok(())
    }

    /// Connects anew, for as long as there is patience.
    ///
    /// # Errors
    /// It stays unreachable; its host key is another one.
    pub(super) async fn reach_again(&mut self, ear: &mut Ear) -> Result<()> {
        let clock = SystemClock;
        let since = clock.now();
        self.printer
            .warn(&format!("the connection to {} is gone; trying again", self.name()));
        loop {
            let reached = tokio::select! {
                reached = Host::connect(&self.target) => reached,
                _ = ear.next() => return Err(Error::new(exit::RESUMABLE, "interrupted")),
            };
            match reached {
                Ok(host) => {
                    let old = std::mem::replace(&mut self.host, host);
                    old.close().await;
                    self.printer
                        .say(&format!("            {} is reached again", self.name()));
                    return Ok(());
                }
                Err(error) if error.exit() != exit::HOME_UNCHANGED || clock.now() - since > self.patience => {
                    return Err(error);
                }
                Err(error) => self.printer.progress(&error.chain()),
            }
            tokio::select! {
                () = clock.sleep(PAUSE) => {}
                _ = ear.next() => return Err(Error::new(exit::RESUMABLE, "interrupted")),
            }
        }
    }

    /// Brings the file `path` of there to `to`, whole and checked; a connection that is lost meanwhile is made anew.
    ///
    /// # Errors
    /// It cannot be reached again; the disk; what came is not what is there; an interruption.
    pub async fn fetch(&mut self, path: &str, to: &Path) -> Result<()> {
        let mut ear = Ear::open();
        let said = self.at_home(&["measure", path]).await?;
        let (size, hash) = measured(&said)?;
        let free = crate::home::room::free_bytes(to.parent().unwrap_or(Path::new("/")))?;
        if free < size {
            return Err(Error::refused(format!(
                "{} needs {}, and its disk has {} free",
                to.display(),
                bytes(size),
                bytes(free)
            ))
            .hint("free some space there, or name a file on another disk"));
        }
        let mut file = plex_library::publish::FileWriter::create(to)?;
        while file.written() < size {
            let have = file.written();
            let printer = self.printer.clone();
            let mut told = move |done: u64| printer.progress(&sofar("fetching", have + done, size));
            let from = have.to_string();
            let arguments = ["at-home", "give", path, &from];
            let fetched = tokio::select! {
                fetched = self.host.fetch(&self.program, &arguments, &mut file, &mut told) => fetched,
                _ = ear.next() => return Err(interrupted()),
            };
            self.again_unless(fetched, &mut ear).await?;
        }
        let what = || format!("is not what {} has as {path}", self.name());
        Ok(file.publish(|file| match hash_of_open(file) {
            Ok(found) if found == hash => Ok(()),
            Ok(_) => Err(plex_library::Error::mismatch(to, what())),
            Err(e) => Err(plex_library::Error::io(to, "read", e)),
        })?)
    }

    /// After a transfer that was cut off the connection is made anew; one that failed for another reason has failed.
    async fn again_unless(&mut self, done: Result<()>, ear: &mut Ear) -> Result<()> {
        match done {
            Err(error) if error.exit() == exit::USAGE || self.host.is_connected().await => Err(error),
            Err(_) => self.reach_again(ear).await,
            Ok(()) => Ok(()),
        }
    }

    /// Sends the file `from` there; gives its path there. What was sent before it was cut off is not sent again.
    ///
    /// # Errors
    /// It cannot be reached again; there is no room there; what arrived is not what was sent.
    pub async fn send(&mut self, from: &Path) -> Result<String> {
        self.printer.progress(&format!("reading {}", from.display()));
        let (size, hash) = (size_of(from)?, hash_of(from)?);
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let size_text = size.to_string();
        let mut ear = Ear::open();
        loop {
            let arguments = ["expect", &self.folders.base, &hash, &name, &size_text];
            let said = self.at_home(&arguments).await?;
            let (have, path) = said.trim().split_once(' ').unwrap_or_default();
            let have: u64 = have
                .parse()
                .map_err(|_| Error::unexpected("home's machine does not say how much it has of a file"))?;
            if have == size {
                let arrived = self.at_home(&["measure", path]).await?;
                if measured(&arrived)?.1 == hash {
                    return Ok(path.to_owned());
                }
                self.host.run("rm", &["-f", "--", path]).await?;
                return Err(
                    Error::failed(format!("{} did not arrive whole on {}", from.display(), self.name()))
                        .hint("run the same command again"),
                );
            }
            use tokio::io::AsyncSeekExt;
            let reading = || format!("cannot read {}", from.display());
            let mut file = tokio::fs::File::open(from).await.context(reading)?;
            file.seek(std::io::SeekFrom::Start(have)).await.context(reading)?;
            let printer = self.printer.clone();
            let mut told = move |done: u64| printer.progress(&sofar("sending", have + done, size));
            let arguments = ["at-home", "take", path];
            let sent = tokio::select! {
                sent = self.host.send(&self.program, &arguments, &mut file, &mut told) => sent,
                _ = ear.next() => return Err(interrupted()),
            };
            self.again_unless(sent, &mut ear).await?;
        }
    }

    /// Removes a file of ours there.
    ///
    /// # Errors
    /// See [`Host::run`].
    pub async fn remove(&self, path: &str) -> Result<()> {
        self.host.run("rm", &["-f", "--", path]).await.map(drop)
    }

    /// Ends the connection.
    pub async fn leave(self) {
        self.host.close().await;
    }
}

fn sofar(what: &str, done: u64, size: u64) -> String {
    format!("{what}: {} of {}", bytes(done), bytes(size))
}

fn size_of(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path)
        .context(|| format!("cannot look at {}", path.display()))?
        .len())
}

/// What came so far is not lost for what is sent; nothing has its name yet for what is fetched.
fn interrupted() -> Error {
    Error::new(exit::RESUMABLE, "interrupted while a file was on its way").hint("run the same command again")
}

/// BLAKE3 of a file, in hexadecimal.
pub(super) fn hash_of(path: &Path) -> Result<String> {
    let reading = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).context(reading)?;
    hash_of_open(&file).context(reading)
}

fn hash_of_open(file: &std::fs::File) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    tokio::task::block_in_place(|| hasher.update_reader(file).map(|_| ()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// `SIZE HASH`, as [`super::there::measure`] prints it.
fn measured(text: &str) -> Result<(u64, String)> {
    let found = text.trim().split_once(' ');
    found
        .and_then(|(size, hash)| Some((size.parse().ok()?, hash.to_owned())))
        .ok_or_else(|| Error::unexpected("home's machine does not measure a file"))
}
