//! The side at home: a call is begun in a process of its own, watched, interrupted; files are given and taken.
//!
//! A call has a folder `calls/ID` of what it was told, what it said (`out`, `err`), its lock, and its exit code when it has
//! ended. Guarantees: no connection's end reaches it; secrets lie in a folder of this user's alone, and go when nothing
//! here can need them any more.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::hash_of;
use super::order::{Frame, Order, VERSION};
use crate::burst::request::Source;
use crate::burst::side;
use crate::burst::store::{self, Standing};
use crate::clock::{Clock, SystemClock};
use crate::error::{Context, Error, Result};

/// Between two looks at what a call says.
const LOOK: Duration = Duration::from_millis(100);
/// A sign of life at least so often, so that a side that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(10);
/// A process has begun by then.
const BEGIN: Duration = Duration::from_secs(120);
/// What ended calls said is kept for so long.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// What a disk keeps free beside an archive that is sent here.
const SPARE: u64 = 64 << 20;
/// Where archives wait that were sent here.
const INCOMING: &str = "incoming";
const CALL: &str = "call.json";
const CONFIG: &str = "plexburst.toml";
const ENDED: &str = "ended";

/// What the process of a call is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    v: u32,
    /// The command.
    pub args: Vec<String>,
    secrets: PathBuf,
    base: PathBuf,
}

impl Call {
    /// The configuration that came with it.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.secrets.join(CONFIG)
    }
}

/// Begins what the order on stdin says, and gives the call's folder.
///
/// # Errors
/// The order cannot be understood; the disk; a folder that is somebody else's.
pub async fn begin() -> Result<PathBuf> {
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context(|| "cannot read the order".to_owned())?;
    let order: Order =
        serde_json::from_slice(&text).map_err(|e| Error::unexpected("cannot understand the order").because(e))?;
    // Nobody may remove the secrets between their being written and the call that needs them having its lock.
    let (dir, _turn) = prepare(&order)?;
    let output = |name: &str| {
        File::options()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(dir.join(name))
            .context(|| format!("cannot write in {}", dir.display()))
    };
    let own = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    // A shell that nobody logged in to knows few places of programs.
    let path = format!(
        "{}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned())
    );
    let mut child = std::process::Command::new(own)
        .args(["at-home", "run"])
        .arg(&dir)
        .envs(order.env.clone())
        .env("PATH", path)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output("out")?)
        .stderr(output("err")?)
        .spawn()
        .context(|| "cannot begin the call".to_owned())?;
    let (clock, lock) = (SystemClock, dir.join("lock"));
    let since = clock.now();
    while side::holder(&lock)?.is_none() && !dir.join(ENDED).exists() {
        let ended = child.try_wait().context(|| "cannot look after the call".to_owned())?;
        if ended.is_some() || clock.now() - since > BEGIN {
            let said = std::fs::read_to_string(dir.join("err")).unwrap_or_default();
            return Err(Error::failed("the call does not begin").because(said.trim().to_owned()));
        }
        clock.sleep(LOOK / 10).await;
    }
    Ok(dir)
}

/// Writes down what `order` brings; gives the call's folder, and what keeps others from tidying up before the call has its lock.
fn prepare(order: &Order) -> Result<(PathBuf, File)> {
    if order.v > VERSION {
        return Err(Error::usage("the order is of a newer plexburst"));
    }
    let base = PathBuf::from(&order.base);
    let secrets = PathBuf::from(&order.secrets);
    let calls = base.join("calls");
    private(&calls)?;
    let turn = turn(&calls)?;
    forget_old(&calls);
    private(&secrets)?;
    for file in &order.files {
        let name = Path::new(&file.name).file_name().unwrap_or_default();
        write_private(&secrets.join(name), file.content.as_bytes())?;
    }
    let config = secrets.join(CONFIG);
    write_private(&config, order.config.as_bytes())?;
    let dir = calls.join(&order.id);
    private(&dir)?;
    let mut args = vec!["--config".to_owned(), config.display().to_string()];
    args.extend(order.args.iter().cloned());
    let call = Call {
        v: VERSION,
        args,
        secrets,
        base,
    };
    let text = serde_json::to_vec(&call).map_err(|e| Error::unexpected("cannot write a call").because(e))?;
    write_private(&dir.join(CALL), &text)?;
    Ok((dir, turn))
}

/// A call in this very process.
pub struct Running {
    dir: PathBuf,
    /// What it is told.
    pub call: Call,
    _lock: File,
}

impl Running {
    /// Takes the call in `dir` over, in a session of its own.
    ///
    /// # Errors
    /// Another process has it; it cannot be understood.
    pub fn enter(dir: &Path) -> Result<Self> {
        // Where it is a session's leader already there is nothing to leave.
        rustix::process::setsid().ok();
        let path = dir.join(CALL);
        let text = std::fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
        let call: Call = serde_json::from_slice(&text)
            .map_err(|e| Error::unexpected(format!("cannot understand {}", path.display())).because(e))?;
        let lock = side::patient_lock(&dir.join("lock"))?
            .ok_or_else(|| Error::usage("the call is being carried out already"))?;
        Ok(Self {
            dir: dir.to_owned(),
            call,
            _lock: lock,
        })
    }

    /// Carries out `order` in this very process, which is one that its connection ends.
    ///
    /// # Errors
    /// The disk; a folder that is somebody else's.
    pub fn here(order: &Order) -> Result<Self> {
        let (dir, _turn) = prepare(order)?;
        Self::enter(&dir)
    }

    /// Leaves the exit code for whoever follows, and removes what nothing here needs any more.
    pub fn end(self, code: u8) {
        // Whoever follows finds out by the lock that it has ended, whatever could be written.
        write_private(&self.dir.join(ENDED), code.to_string().as_bytes()).ok();
        let Call { secrets, base, .. } = self.call.clone();
        let own = self.dir.clone();
        drop(self);
        tidy(&base, &secrets, &own).ok();
    }
}

/// Writes what the call in `dir` says to stdout, as frames, from the given numbers of bytes on, until it has ended.
///
/// # Errors
/// There is no such call; nobody listens any more.
pub async fn follow(dir: &Path, mut out: u64, mut err: u64) -> Result<()> {
    let clock = SystemClock;
    let mut said = clock.now();
    loop {
        // Looked at first: what was written before it ended is then all there.
        let is_alive = side::holder(&dir.join("lock"))?.is_some();
        let ended = std::fs::read_to_string(dir.join(ENDED)).ok();
        let is_over = ended.is_some() || !is_alive;
        let mut frames = Vec::new();
        if let Some((text, upto)) = more(&dir.join("err"), err, is_over)? {
            err = upto;
            frames.push(Frame::Err { text, upto });
        }
        if let Some((text, upto)) = more(&dir.join("out"), out, is_over)? {
            out = upto;
            frames.push(Frame::Out { text, upto });
        }
        if is_over {
            let code = ended.and_then(|text| text.trim().parse().ok());
            frames.push(code.map_or(Frame::Gone, Frame::Ended));
        }
        if frames.is_empty() && clock.now() - said > ALIVE {
            frames.push(Frame::Alive);
        }
        if !frames.is_empty() {
            said = clock.now();
        }
        for frame in &frames {
            let line =
                serde_json::to_string(frame).map_err(|e| Error::unexpected("cannot write a frame").because(e))?;
            crate::term::result(&line).context(|| "nobody follows any more".to_owned())?;
        }
        if is_over {
            return Ok(());
        }
        clock.sleep(LOOK).await;
    }
}

/// Whole lines (or all there is) of the file from `from` on, and where they end.
fn more(path: &Path, from: u64, all: bool) -> Result<Option<(String, u64)>> {
    let reading = || format!("cannot read {}", path.display());
    let mut file = File::open(path).context(reading)?;
    file.seek(std::io::SeekFrom::Start(from)).context(reading)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context(reading)?;
    if !all {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let upto = from + bytes.len() as u64;
    Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), upto)))
}

/// Passes an interruption on to the process of the call in `dir`; one that has ended needs none.
///
/// # Errors
/// It may not be signalled.
pub fn interrupt(dir: &Path) -> Result<()> {
    let Some(pid) = side::holder(&dir.join("lock"))? else {
        return Ok(());
    };
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::failed("the call's process is not known yet").hint("interrupt it again"))?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)
        .map_err(|e| Error::failed("the call's process cannot be interrupted").because(std::io::Error::from(e)))
}

/// `SIZE HASH` of a file.
///
/// # Errors
/// It cannot be read.
pub fn measure(path: &Path) -> Result<String> {
    let meta = std::fs::metadata(path).context(|| format!("cannot look at {}", path.display()))?;
    Ok(format!("{} {}", meta.len(), hash_of(path)?))
}

/// Writes the file from `from` on to stdout.
///
/// # Errors
/// It cannot be read; nobody takes it.
pub fn give(path: &Path, from: u64) -> Result<()> {
    let giving = || format!("cannot give {}", path.display());
    let mut file = File::open(path).context(giving)?;
    file.seek(std::io::SeekFrom::Start(from)).context(giving)?;
    std::io::copy(&mut file, &mut std::io::stdout().lock())
        .map(drop)
        .context(giving)
}

/// Where a file of this hash, name and size goes, and how much of it is there: `BYTES PATH`.
///
/// # Errors
/// There is no room for it.
pub async fn expect(base: &Path, hash: &str, name: &str, size: u64) -> Result<String> {
    // The hash is a folder, since archives are told apart by their names too.
    let dir = base.join(INCOMING).join(hash);
    private(&dir)?;
    let name = Path::new(name).file_name().unwrap_or_default();
    let path = dir.join(name);
    // What an earlier connection still brings is waited for: two must never append to one file.
    let (clock, mut waited) = (SystemClock, Duration::ZERO);
    while side::is_held(&path)? {
        if waited > BEGIN {
            return Err(Error::failed(format!("{} is being sent already", path.display()))
                .hint("wait until that has ended, then run the same command again"));
        }
        clock.sleep(LOOK).await;
        waited += LOOK;
    }
    let have = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let free = crate::home::room::free_bytes(&dir)?;
    if free < size.saturating_sub(have) + SPARE {
        return Err(Error::refused(format!(
            "the disk of {} has {} free, and the archive needs {}",
            dir.display(),
            crate::term::bytes(free),
            crate::term::bytes(size - have)
        ))
        .hint("free some space there, or let `home.directory` name a folder on another disk"));
    }
    if have > size {
        std::fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))?;
        return Ok(format!("0 {}", path.display()));
    }
    Ok(format!("{have} {}", path.display()))
}

/// Appends stdin to a file that [`expect`] named.
///
/// # Errors
/// The disk; another process is doing so.
pub fn take(path: &Path) -> Result<()> {
    let taking = || format!("cannot take {}", path.display());
    let mut file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .context(taking)?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(
            Error::failed(format!("{} is being sent already", path.display())).hint("wait until that has ended")
        );
    }
    std::io::copy(&mut std::io::stdin().lock(), &mut file).context(taking)?;
    file.sync_all().context(taking)
}

/// Holds whoever begins or ends a call back until the one before is done with it.
fn turn(calls: &Path) -> Result<File> {
    let path = calls.join("turn");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .context(|| format!("cannot open {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|e| Error::failed(format!("cannot lock {}", path.display())).because(std::io::Error::from(e)))?;
    Ok(file)
}

/// Secrets go when no other call runs and no burst here has still to go on; so do archives that no such burst names.
fn tidy(base: &Path, secrets: &Path, own: &Path) -> Result<()> {
    let calls = base.join("calls");
    let _turn = turn(&calls)?;
    let entries = std::fs::read_dir(&calls).context(|| format!("cannot list {}", calls.display()))?;
    for entry in entries.flatten() {
        if entry.path() != own && side::holder(&entry.path().join("lock"))?.is_some() {
            return Ok(());
        }
    }
    let (bursts, errors) = store::all(base)?;
    let mut open = bursts
        .iter()
        .filter(|burst| matches!(burst.standing, Standing::Resumable { .. }))
        .peekable();
    if !errors.is_empty() {
        return Ok(());
    }
    if open.peek().is_none() {
        crate::home::discard(secrets)?;
    }
    let needed: Vec<&Path> = open
        .filter_map(|burst| match &burst.request.source {
            Source::Result { path } => path.parent(),
            _ => None,
        })
        .collect();
    if let Ok(entries) = std::fs::read_dir(base.join(INCOMING)) {
        for entry in entries.flatten() {
            // One that is being sent right now, or was cut off a moment ago, is waited for.
            let is_fresh = entry
                .metadata()
                .is_ok_and(|meta| !is_older(&meta, Duration::from_secs(24 * 3600)));
            let is_whole_and_used = own_import(own, &entry.path());
            if !needed.contains(&entry.path().as_path()) && (!is_fresh || is_whole_and_used) {
                crate::home::discard(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Whether the call that ends is the one that this archive was sent for.
fn own_import(own: &Path, incoming: &Path) -> bool {
    let text = std::fs::read_to_string(own.join(CALL)).unwrap_or_default();
    let call: Option<Call> = serde_json::from_str(&text).ok();
    call.is_some_and(|call| call.args.iter().any(|arg| Path::new(arg).starts_with(incoming)))
}

fn is_older(meta: &std::fs::Metadata, than: Duration) -> bool {
    meta.modified()
        .ok()
        .and_then(|at| at.elapsed().ok())
        .is_some_and(|age| age > than)
}

/// What ended long ago goes; who still reads it is not known.
fn forget_old(calls: &Path) {
    for entry in std::fs::read_dir(calls).into_iter().flatten().flatten() {
        let ended = entry.path().join(ENDED);
        if std::fs::metadata(&ended).is_ok_and(|meta| is_older(&meta, KEPT)) {
            crate::home::discard(&entry.path()).ok();
        }
    }
}

/// A folder that is this user's and nobody else's; one that somebody else put there is refused.
fn private(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| {
        Error::failed(format!("cannot make {}", dir.display()))
            .hint("`home.directory` names another folder")
            .because(e)
    })?;
    let meta = std::fs::symlink_metadata(dir).context(|| format!("cannot look at {}", dir.display()))?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::refused(format!("{} is somebody else's", dir.display()))
            .hint("remove it there: secrets are only written where nobody else can look"));
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        .context(|| format!("cannot close {} to others", dir.display()))
}

/// Readable by its owner alone.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    plex_library::publish::file(path, content).context(|| format!("cannot write {}", path.display()))
}
