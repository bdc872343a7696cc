//! One machine: its processes, its disk, what it says.

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Runs as the machine's init.
const BOOT: &str = include_str!("boot.sh");
const CLOUD_CONFIG: &str = include_str!("cloud.cfg");
const APT_GET: &str = include_str!("apt-get.sh");
const IPTABLES: &str = include_str!("iptables.sh");
/// What the mirror has, if this machine has it: packages that are one program.
const MIRROR: &[&str] = &["rclone"];
/// What no machine may do to this one: set its clock, load modules, touch its hardware.
const WITHOUT: &str = "--bounding-set=-sys_time,-sys_module,-sys_rawio";
/// How long a machine that was killed may take to be gone; a process stuck in a dead mount could hold it up.
const KILL_LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);
/// Where its sshd listens, at its inner address.
pub(super) const SSH_PORT: u16 = 22;

/// What a machine is told when it starts.
#[derive(Debug)]
pub(super) struct Told {
    /// The server's id; a machine with another one is another machine to cloud-init.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) inside: Ipv4Addr,
    pub(super) public_keys: Vec<String>,
    pub(super) user_data: Vec<u8>,
    /// Programs that it does not have, and settings of the kernel that it cannot change.
    pub(super) lacks: Vec<String>,
}

/// What a machine says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The fingerprint of a host key that was just made.
    Fingerprint(String),
    /// SSH answers.
    Up,
    Failed(String),
}

/// A machine that was started.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    /// Its init reads orders from there, and ends when this is closed.
    orders: Option<ChildStdin>,
    listening: Option<JoinHandle<()>>,
    /// When it was asked to stop.
    pub(super) stopping: Option<Instant>,
}

impl Machine {
    /// Starts a machine on `disk`, which is made with the first start; `heard` is called with what it says.
    pub(super) fn start(disk: &Path, told: &Told, heard: impl Fn(Word) + Send + 'static) -> io::Result<Self> {
        let boot = disk.join("boot");
        fs::create_dir_all(&boot)?;
        let mut keys = told.public_keys.join("\n");
        keys.push('\n');
        fs::write(boot.join("authorized_keys"), keys)?;
        fs::write(boot.join("user-data"), &told.user_data)?;
        fs::write(
            boot.join("meta-data"),
            format!("instance-id: {}\nlocal-hostname: {}\n", told.id, told.name),
        )?;
        fs::write(boot.join("cloud.cfg"), CLOUD_CONFIG)?;
        let lacks = told.lacks.iter().map(|what| format!("{what}\n"));
        fs::write(boot.join("lacks"), lacks.collect::<String>())?;
        fs::write(boot.join("iptables.sh"), IPTABLES)?;
        fs::write(boot.join("apt-get.sh"), APT_GET)?;
        let programs = MIRROR
            .iter()
            .filter_map(|name| Some(format!("{name} {}\n", find_program(name)?.display())));
        fs::write(boot.join("programs"), programs.collect::<String>())?;
        fs::write(disk.join("boot.sh"), BOOT)?;
        let mut child = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child=KILL",
                "--propagation",
                "private",
            ])
            .args(["setpriv", WITHOUT, "bash"])
            .arg(disk.join("boot.sh"))
            .arg(disk)
            .arg(&told.name)
            .arg(told.inside.to_string())
            .arg(super::service::url(told.inside))
            // Nothing of whoever started the simulator: a real machine knows none of it.
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .create(true)
                    .append(true)
                    .open(disk.join("errors.log"))?,
            )
            .spawn()?;
        let orders = child.stdin.take();
        let console = File::options()
            .create(true)
            .append(true)
            .open(disk.join("console.log"))?;
        let listening = child
            .stdout
            .take()
            .map(|output| std::thread::spawn(move || listen(BufReader::new(output), console, heard)));
        Ok(Self {
            child,
            orders,
            listening,
            stopping: None,
        })
    }

    /// Asks it to end: its processes get a signal and a moment.
    pub(super) fn ask_to_stop(&mut self) {
        self.stopping = Some(Instant::now());
        // One that is gone already does not read it.
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(b"poweroff\n");
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it at once and returns when nothing of it is left.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.stopping = Some(Instant::now());
        let since = Instant::now();
        while self.child.try_wait()?.is_none() {
            if since.elapsed() > KILL_LIMIT {
                return Err(io::Error::other(format!(
                    "it is not gone after {} s",
                    KILL_LIMIT.as_secs()
                )));
            }
            match self.init() {
                // Its init ends last: when unshare has waited for that, everything else is gone too.
                Some(init) => {
                    let _ = kill_process(init, Signal::KILL);
                }
                None => drop(self.orders.take()),
            }
            std::thread::sleep(LOOK);
        }
        if let Some(listening) = self.listening.take() {
            // A panic in there was printed by itself.
            let _ = listening.join();
        }
        Ok(())
    }

    /// The machine's first process, as the host numbers it.
    fn init(&self) -> Option<Pid> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
    }
}

fn listen(output: impl io::BufRead, mut console: File, heard: impl Fn(Word)) {
    for line in output.split(b'\n').map_while(Result::ok) {
        // The console is for a person who looks; that it is full is no reason to stop.
        let _ = console.write_all(&line).and_then(|()| console.write_all(b"\n"));
        if let Some(word) = word(&String::from_utf8_lossy(&line)) {
            heard(word);
        }
    }
}

fn word(line: &str) -> Option<Word> {
    let text = line.strip_prefix("scw: ")?;
    if text == "up" {
        return Some(Word::Up);
    }
    let said = |prefix: &str| text.strip_prefix(prefix).map(str::to_owned);
    said("fingerprint ")
        .map(Word::Fingerprint)
        .or_else(|| said("failed ").map(Word::Failed))
}

/// Where this machine has a program.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
    found
        .find(|path| path.is_file())
        .and_then(|path| path.canonicalize().ok())
}

/// The last lines of what a machine said, for an error.
pub(super) fn last_words(disk: &Path) -> String {
    let text = |name: &str| fs::read(disk.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let all = text("console.log").unwrap_or_default() + &text("errors.log").unwrap_or_default();
    let lines: Vec<&str> = all.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}

/// Throws a disk away.
pub(super) fn wipe(disk: &PathBuf) -> io::Result<()> {
    match fs::remove_dir_all(disk) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says() {
        assert_eq!(word("scw: up"), Some(Word::Up));
        assert_eq!(
            word("scw: fingerprint 256 SHA256:x"),
            Some(Word::Fingerprint("256 SHA256:x".to_owned()))
        );
        assert_eq!(word("scw: cloud-init 0"), None);
        assert_eq!(word("anything"), None);
    }
}
