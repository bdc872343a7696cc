//! The page of `plexburst serve` over real HTTP and in a real browser: a burst while it runs, and what is left of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{World, has, skip, wait_until};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, SET_COOKIE};

/// Real work on a machine that is busy with other things.
const PATIENT: Duration = Duration::from_secs(600);

/// A running `plexburst serve`.
struct Serving {
    child: Child,
    url: String,
    token_file: Option<String>,
}

impl Serving {
    fn start(world: &World, args: &[&str]) -> Self {
        let mut command = world.command(&["serve", "--json"]);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // One object in several lines.
        while lines.read_line(&mut said).unwrap() > 0 && !said.ends_with("}\n") {}
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        Self {
            child,
            url: said["url"].as_str().unwrap().to_owned(),
            token_file: said["token_file"].as_str().map(str::to_owned),
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn live(&self) -> serde_json::Value {
        reqwest::get(self.at("live.json")).await.unwrap().json().await.unwrap()
    }

    /// Told to end as a terminal or systemd does.
    fn end(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// The answer to a path as it is, which a client would have put in order.
fn raw(serving: &Serving, path: &str) -> String {
    let address = serving.url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What a browser makes of the page once its script has run.
fn browser(url: &str, profile: &Path) -> Option<String> {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--virtual-time-budget=4000",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", url])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success() && dom.contains("</html>")).then_some(dom)
}

/// A home with 4 known tracks and 4 new ones.
async fn world() -> World {
    let mut world = World::new();
    world.music(1, 1, 1, 4, 2.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    world.create_music(&root, 4).await;
    world.music(2, 1, 1, 4, 2.0);
    world.issue_claim();
    if !has("bwrap") {
        world.cell = "never";
    }
    world.configure(&[(&root, "Music")]);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_shown_while_it_runs_and_afterwards() {
    let world = world().await;
    let serving = Serving::start(&world, &["--listen", "127.0.0.1:0"]);
    let live = serving.live().await;
    assert_eq!(
        (live["state"].as_str(), live["burst"].as_str()),
        (Some("idle"), None),
        "{live:#}"
    );
    let empty = reqwest::get(&serving.url).await.unwrap().text().await.unwrap();
    assert!(empty.contains("no burst yet"), "{empty}");

    let mut sync = world
        .command(&["sync", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = std::time::Instant::now();
    let live = loop {
        let live = serving.live().await;
        let rows = live["rows"].as_array().unwrap();
        let has = |label: &str| rows.iter().any(|row| row["label"] == label);
        if has("worker") && has("safe") && !live["notes"].as_array().unwrap().is_empty() {
            break live;
        }
        assert!(
            since.elapsed() < PATIENT && sync.try_wait().unwrap().is_none(),
            "{live:#}\n{}",
            world.logs()
        );
    };
    assert_eq!(live["state"], "running", "{live:#}");
    let id = live["burst"].as_str().unwrap().to_owned();
    assert!(live["rows"][0]["text"].as_str().unwrap().starts_with(&id), "{live:#}");
    // Whole without a script, too.
    let page = reqwest::get(&serving.url).await.unwrap().text().await.unwrap();
    assert!(page.contains("<dt>worker</dt>") && page.contains(&id), "{page}");
    assert!(sync.wait().unwrap().success(), "{}", world.logs());

    let live = serving.live_until(|live| live["state"] == "idle").await;
    assert!(live["rows"].as_array().unwrap().is_empty(), "{live:#}");
    let page = reqwest::get(&serving.url).await.unwrap().text().await.unwrap();
    for part in ["committed", "+4 tracks", &format!("href=\"burst/{id}\"")] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let report = reqwest::get(serving.at(&format!("burst/{id}")))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let kept = std::fs::read_to_string(world.burst_dir().join("report.html")).unwrap();
    assert_eq!(report, kept, "the page is the one that the burst left");
    let json: serde_json::Value = reqwest::get(serving.at(&format!("burst/{id}/report.json")))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(json["burst"], id.as_str());

    match has("chromium")
        .then(|| browser(&serving.url, &world.path("browser")))
        .flatten()
    {
        Some(dom) => {
            // The policy lets the page's own script run, and what it fetched was drawn.
            assert!(dom.contains("data-fresh="), "{dom}");
            assert!(dom.contains("+4 tracks"), "{dom}");
        }
        None => skip("the page in a browser", "chromium is not here, or does not run here"),
    }
    serving.end();
}

impl Serving {
    async fn live_until(&self, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let since = std::time::Instant::now();
        loop {
            let live = self.live().await;
            if holds(&live) {
                return live;
            }
            assert!(since.elapsed() < PATIENT, "{live:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_answered() {
    let world = World::new();
    world.configure(&[]);
    std::fs::create_dir_all(world.path("state/bursts")).unwrap();
    std::fs::write(world.path("state/secret.txt"), "secret").unwrap();
    let serving = Serving::start(&world, &["--listen", "127.0.0.1:0"]);
    assert_eq!(serving.token_file, None);
    let client = client();
    let get = |path: &str| client.get(serving.at(path));

    for path in [
        "/burst/..",
        "/burst/../secret.txt",
        "/../state/secret.txt",
        "/burst/%2e%2e/secret.txt",
        "/burst/",
        "/state/secret.txt",
        "/live.json/",
        "/burst//etc/passwd",
    ] {
        let answer = raw(&serving, path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(!answer.ends_with("secret"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.request(method, &serving.url).body("x").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
    }
    let rebound = get("").header(HOST, "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
    let head = client.head(&serving.url).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let answer = get("").send().await.unwrap();
    let headers = answer.headers();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(headers.get("access-control-allow-origin").is_none());
    serving.end();

    // An address that is another's is said so.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = world.run(&["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(i32::from(plexburst::exit::USAGE)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: name another address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_than_on_the_loopback_the_token_opens() {
    let world = World::new();
    world.configure(&[]);
    let serving = Serving::start(&world, &["--listen", "0.0.0.0:0"]);
    let file = serving.token_file.clone().unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let url = serving.url.replace("0.0.0.0", "127.0.0.1");
    let client = client();
    for given in [String::new(), "?token=".to_owned(), format!("?token={}", &token[1..])] {
        let answer = client.get(format!("{url}{given}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{given}");
        assert!(!answer.text().await.unwrap().contains(&token));
    }
    let entered = client.get(format!("{url}?token={token}")).send().await.unwrap();
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    assert_eq!(entered.headers()[LOCATION], "/");
    let cookie = entered.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(&token),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let remembered = client
        .get(format!("{url}live.json"))
        .header(COOKIE, cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(remembered.status(), StatusCode::OK);
    let bearer = client
        .get(&url)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .send()
        .await
        .unwrap();
    assert_eq!(bearer.status(), StatusCode::OK);
    serving.end();

    // The same token the next time, and never said; one that others can read is refused.
    let mut command = world.command(&["serve", "--listen", "127.0.0.1:0", "--with-token"]);
    command
        .env("PLEXBURST_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let answer = client
        .get(format!("{}?token={token}", line.trim()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    drop(answer);
    drop(client);
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("serve-token"), "{said}");
    assert!(!said.contains(&token) && !line.contains(&token), "{said}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = world.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(i32::from(plexburst::exit::USAGE)));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hint: chmod 600"));
    wait_until("nothing is left", PATIENT, || {
        common::processes_with(&world.path("plexburst.toml").display().to_string()).is_empty()
    });
}
