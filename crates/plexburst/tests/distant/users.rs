//! Homes of another user than the one that plexburst runs as: whose the files are afterwards, and what is refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plexburst::exit;
use plexburst::host::keys;

use crate::common::{PROGRAM, World, skip};
use crate::sshd::Sshd;
use crate::support::{said, secrets_of};

/// An ordinary user of this machine, gone with the test.
struct User {
    name: String,
    uid: u32,
    home: tempfile::TempDir,
}

impl User {
    /// Makes one, or says why `what` cannot be tried.
    fn new(what: &str, number: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip(what, "only root can make another user");
            return None;
        }
        let home = tempfile::Builder::new().prefix("plexburst-user-").tempdir().unwrap();
        let name = format!("pbt{}x{number}", std::process::id());
        // No password, and not locked: sshd lets no locked user in.
        let made = Command::new("useradd")
            .args(["-M", "-p", "*", "-s", "/bin/sh", "-d"])
            .args([home.path(), Path::new(&name)])
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            skip(what, "useradd cannot make a user");
            return None;
        }
        let id = Command::new("id").args(["-u", &name]).output().unwrap();
        let uid = String::from_utf8(id.stdout).unwrap().trim().parse().unwrap();
        std::os::unix::fs::chown(home.path(), Some(uid), Some(uid)).unwrap();
        Some(Self { name, uid, home })
    }

    fn own(&self, tree: &Path) {
        let done = Command::new("chown")
            .args(["-R", "-h", &format!("{0}:{0}", self.uid)])
            .arg(tree)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(&self.name).stderr(Stdio::null()).status();
        for secrets in secrets_of(self.uid) {
            let _ = std::fs::remove_dir_all(secrets);
        }
    }
}

/// A home with a library of `user`'s, run as `user`.
struct Theirs {
    world: World,
    program: PathBuf,
}

impl Theirs {
    /// `as_user` comes before commands that have to be run as that user.
    async fn new(user: &User, as_user: &[&str]) -> Self {
        let world = World::new();
        let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        open(world.dir.path());
        // Wherever the program was built, this user can run it here.
        let program = world.path("bin/plexburst");
        std::fs::create_dir(world.path("bin")).unwrap();
        std::fs::copy(PROGRAM, &program).unwrap();
        open(&program);
        sim::install(&world.path("pms"), &program).unwrap();
        world.music(1, 1, 1, 2, 1.0);
        world.start_home();
        let root = world.media().join("Music").display().to_string();
        world.create_music(&root, 2).await;
        world.stop_home();
        std::fs::create_dir_all(world.plextv()).unwrap();
        for entry in std::fs::read_dir(world.databases()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            }
        }
        user.own(&world.support());
        user.own(&world.plextv());
        world.configure(&[(&root, "Music")]);
        let path = world.path("plexburst.toml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text = text.replace(PROGRAM, &program.display().to_string());
        let words: String = as_user.iter().map(|word| format!("{word:?}, ")).collect();
        for key in ["stop = [", "start = ["] {
            text = text.replace(&format!("\n{key}"), &format!("\n{key}{words}"));
        }
        std::fs::write(&path, text).unwrap();
        let theirs = Self { world, program };
        theirs.start(user);
        theirs
    }

    fn start(&self, user: &User) {
        let started = Command::new("runuser")
            .args(["-u", &user.name, "--"])
            .arg(&self.program)
            .args(["sim", "start", "--server"])
            .arg(&self.world.server)
            .arg("--support")
            .arg(self.world.support())
            .args(["--port", &self.world.port.to_string(), "--plextv"])
            .arg(self.world.plextv())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success());
    }

    /// Everything beside the databases is the user's, and the databases have the modes that they had.
    fn assert_theirs(&self, user: &User) {
        let mut open = vec![self.world.support()];
        while let Some(path) = open.pop() {
            let meta = std::fs::symlink_metadata(&path).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (user.uid, user.uid), "{}", path.display());
            if meta.is_dir() {
                open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        for name in [plex_library::LIBRARY_DB, plex_library::BLOBS_DB] {
            let mode = std::fs::metadata(self.world.databases().join(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o640, "{name}");
        }
        assert!(self.world.databases().parent().unwrap().join(".plexburst").is_dir());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_leaves_nothing_of_its_own_in_another_users_library() {
    let Some(user) = User::new("another user's library", 1) else {
        return;
    };
    let theirs = Theirs::new(&user, &["runuser", "-u", &user.name, "--"]).await;
    let world = &theirs.world;
    world.json(&["export", "--json", "home.tar.zst"]);
    world.json(&["import", "-y", "--json", "home.tar.zst"]);
    theirs.assert_theirs(&user);
    world.json(&["rollback", "-y", "--json"]);
    theirs.assert_theirs(&user);
    world.stop_home();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_is_told_so_and_one_with_them_needs_no_root() {
    let what = "an ordinary user's home over SSH";
    let Some(user) = User::new(what, 2) else { return };
    let Some(sshd) = Sshd::start(what).await else { return };
    let theirs = Theirs::new(&user, &[]).await;
    let world = &theirs.world;
    // sshd reads the list of keys as that user.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(sshd.path("user").parent().unwrap(), open).unwrap();
    keys::prove("127.0.0.1", sshd.port, &[sshd.fingerprint()], &sshd.path("known_hosts"))
        .await
        .unwrap();
    let config = sshd.config();
    let text = std::fs::read_to_string(world.path("plexburst.toml")).unwrap();
    let text = text
        .replace(
            "[home]\n",
            &format!("[home]\nhost = \"{}@nas\"\nssh_config = {config:?}\n", user.name),
        )
        .replace("\ndirectory = ", "\n# directory = ")
        .replace("[media]\n", &format!("[media]\ndirectory = {:?}\n", world.media()));
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("plexburst.toml"), text).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .current_dir(here.path())
            .env("HOME", here.path())
            .stdin(Stdio::null());
        command
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .output()
            .unwrap()
    };
    let guard = |output: &std::process::Output| {
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)));
        let guards = json["guards"].as_array().unwrap().clone();
        guards
            .into_iter()
            .find(|guard| guard["guard"] == "home-rights")
            .unwrap()
    };
    let rights = guard(&run(&["doctor", "--json"]));
    assert_eq!(rights["outcome"], "passed", "{rights}");
    let output = run(&["export", "--json", "home.tar.zst"]);
    assert!(output.status.success(), "{}", said(&output));
    let output = run(&["import", "-y", "--json", "home.tar.zst"]);
    assert!(output.status.success(), "{}", said(&output));
    theirs.assert_theirs(&user);
    // What plexburst has there is that user's alone.
    let base = user.home.path().join(".local/state/plexburst");
    assert_eq!(std::fs::metadata(&base).unwrap().uid(), user.uid);
    assert_eq!(std::fs::metadata(base.join("calls")).unwrap().mode() & 0o777, 0o700);
    assert!(secrets_of(user.uid).is_empty(), "secrets are gone");

    // The same user with somebody else's library.
    std::os::unix::fs::chown(world.databases(), Some(0), Some(0)).unwrap();
    let rights = guard(&run(&["doctor", "--json"]));
    assert_eq!(rights["outcome"], "refused", "{rights}");
    assert!(
        rights["evidence"].as_str().unwrap().contains("belongs to root"),
        "{rights}"
    );
    let output = run(&["import", "-y", "home.tar.zst"]);
    assert_eq!(
        output.status.code(),
        Some(i32::from(exit::REFUSED)),
        "{}",
        said(&output)
    );
    assert!(
        said(&output).contains("hint: run plexburst as root"),
        "{}",
        said(&output)
    );
    std::os::unix::fs::chown(world.databases(), Some(user.uid), Some(user.uid)).unwrap();
    world.stop_home();
}
