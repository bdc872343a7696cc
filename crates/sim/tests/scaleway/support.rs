//! A simulator and a small client, for the tests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use sim::scaleway::{Access, Delays, Options, Pace, Scaleway};

/// An answer; `status` 0 when the connection ended without one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The error's type.
    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}

/// One request over a connection of its own.
pub(crate) fn send(access: &Access, token: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
    let host = access.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let kind = if path.contains("/user_data/") {
        "text/plain"
    } else {
        "application/json"
    };
    let token = token
        .map(|token| format!("X-Auth-Token: {token}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\n{token}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    // A connection that is cut may end with a reset: no answer either way.
    let _ = stream.read_to_string(&mut answer);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or(("", ""));
    Answer {
        status: head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap()),
        head: head.to_owned(),
        text: text.to_owned(),
    }
}

/// A simulator whose clock stands still until it is moved.
pub(crate) struct Cloud {
    pub(crate) scaleway: Scaleway,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    /// Nothing takes any time.
    pub(crate) fn at_once() -> Self {
        Self::with(Options {
            delays: Delays::NONE,
            ..Options::default()
        })
    }

    pub(crate) fn with(options: Options) -> Self {
        let options = Options {
            pace: Pace::Manual { step_seconds: 0.0 },
            ..options
        };
        Self {
            scaleway: Scaleway::start(&options).unwrap(),
        }
    }

    pub(crate) fn access(&self) -> &Access {
        self.scaleway.access()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let access = self.access();
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        send(access, Some(&access.secret_key), method, path, &text)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Value::Null)
    }

    /// In the instance API of fr-par-1.
    pub(crate) fn instance(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask(method, &format!("{ZONE}{path}"), body)
    }

    /// A created server's object.
    pub(crate) fn server(&self, mut body: Value) -> Value {
        let defaults = json!({"name": "box", "commercial_type": "DEV1-S", "image": self.image("instance_local"),
            "project": self.access().project_id, "volumes": {"0": {"volume_type": "l_ssd", "size": 20_000_000_000_u64}}});
        for (key, value) in defaults.as_object().unwrap() {
            if body.get(key).is_none() {
                body[key] = value.clone();
            }
        }
        let created = self.instance("POST", "/servers", body);
        assert_eq!(created.status, 201, "{}", created.text);
        created.json()["server"].clone()
    }

    /// The id of Debian in fr-par-1.
    pub(crate) fn image(&self, kind: &str) -> String {
        let path = format!(
            "/marketplace/v2/local-images?image_label=debian_bookworm&zone=fr-par-1&type={kind}&order_by=type_asc"
        );
        self.get(&path).json()["local_images"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn act(&self, id: &str, action: &str) -> Answer {
        self.instance("POST", &format!("/servers/{id}/action"), json!({ "action": action }))
    }

    pub(crate) fn state(&self, id: &str) -> String {
        let answer = self.instance("GET", &format!("/servers/{id}"), Value::Null);
        match answer.status {
            200 => answer.json()["server"]["state"].as_str().unwrap().to_owned(),
            status => status.to_string(),
        }
    }

    /// What is billed, by kind.
    pub(crate) fn billed(&self) -> Vec<String> {
        let bill = self.scaleway.bill();
        let open = bill["open"].as_array().unwrap();
        let mut kinds: Vec<String> = open
            .iter()
            .map(|meter| meter["kind"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.scaleway.advance(seconds);
    }
}

/// The instance API of the zone that the tests are in.
pub(crate) const ZONE: &str = "/instance/v1/zones/fr-par-1";

/// The text in a JSON value.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
