//! Talking to a Plex Media Server: typed calls over HTTP, by address or over a unix socket.
//!
//! Guarantees: every call has a limit of its own; every way to fail is told apart (`Error`); the token goes into a
//! header and nowhere else, so neither an error nor a log line can hold it. Must not: retry (waiting belongs to whoever
//! knows what is waited for), cache, or ever ask Plex to empty a trash.

mod calls;
mod error;
mod flexible;
mod household;
mod model;
mod websocket;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

pub use crate::secret::Token;
pub use error::{Error, Kind};
pub use model::{
    Account, Activity, ButlerStarted, ButlerTask, Identity, Item, ItemKind, Location, NewSection, Page, Part, Pass,
    Playlist, Section, ServerInfo, Session, Setting,
};
pub(super) use websocket::Socket;

/// How long a call may take when nothing else is said. Plex answers most within milliseconds, but a server in the
/// middle of a scan holds requests for seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to get a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a Plex server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `http://host:port`, without a slash at the end.
    Http(String),
    /// A unix socket that leads to its port: the way into a cell.
    Socket(PathBuf),
}

impl Address {
    /// This machine's loopback.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self::Http(format!("http://127.0.0.1:{port}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(base) => f.write_str(base),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One Plex server, as its owner sees it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    server: String,
    address: Address,
    token: Option<HeaderValue>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} at {})", self.server, self.address)
    }
}

impl Client {
    /// A client for the server that messages call `server` ("home", "worker"). Nothing is asked yet.
    ///
    /// # Errors
    /// A token that cannot be a header, or a client that cannot be built.
    pub fn new(server: &str, address: &Address, token: Option<&Token>) -> Result<Self, Error> {
        let refuse = |reason: String| Error {
            server: server.to_owned(),
            call: "a client".to_owned(),
            kind: Kind::Unreachable(reason),
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert("X-Plex-Product", HeaderValue::from_static("plexburst"));
        headers.insert("X-Plex-Client-Identifier", HeaderValue::from_static("plexburst"));
        let mut own = None;
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.reveal())
                .map_err(|_| refuse("the token has characters that a header cannot carry".to_owned()))?;
            value.set_sensitive(true);
            own = Some(value.clone());
            headers.insert("X-Plex-Token", value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            // Plex closes an idle connection after 20 s; one that is about to be closed must not be picked.
            .pool_idle_timeout(Duration::from_secs(10))
            .no_proxy();
        let base = match address {
            Address::Http(base) => base.trim_end_matches('/').to_owned(),
            Address::Socket(path) => {
                builder = builder.unix_socket(path.as_path());
                "http://plex".to_owned()
            }
        };
        let http = builder.build().map_err(|error| refuse(reason(&error)))?;
        Ok(Self {
            http,
            base,
            server: server.to_owned(),
            address: address.clone(),
            token: own,
        })
    }

    /// What messages call this server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The socket, when it is reached over one.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match &self.address {
            Address::Socket(path) => Some(path),
            Address::Http(_) => None,
        }
    }

    fn call<'a>(&'a self, method: Method, path: &'a str) -> Call<'a> {
        Call {
            client: self,
            method,
            path,
            query: String::new(),
            limit: LIMIT,
        }
    }
}

/// What a server answered.
struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

/// One call being put together.
struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: &'a str,
    query: String,
    limit: Duration,
}

impl Call<'_> {
    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        encode(name, &mut self.query);
        self.query.push('=');
        encode(value, &mut self.query);
        self
    }

    fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn error(&self, kind: Kind) -> Error {
        Error {
            server: self.client.server.clone(),
            call: format!("{} {}", self.method, self.path),
            kind,
        }
    }

    /// Sends it; every status but 2xx is an error.
    async fn send(self) -> Result<Answer, Error> {
        let url = format!("{}{}{}", self.client.base, self.path, self.query);
        let request = self.client.http.request(self.method.clone(), url).timeout(self.limit);
        let response = request
            .send()
            .await
            .map_err(|error| self.error(kind(error, self.limit)))?;
        let status = response.status().as_u16();
        let cell = response.headers().contains_key(super::runtime::CELL_HEADER);
        let location = response
            .headers()
            .get(reqwest::header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = response
            .text()
            .await
            .map_err(|error| self.error(kind(error, self.limit)))?;
        match status {
            200..=299 => Ok(Answer { status, location, body }),
            status => Err(self.error(self::status(status, cell, &body))),
        }
    }

    /// Sends it and reads the JSON of the answer.
    async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let (server, call) = (self.client.server.clone(), format!("{} {}", self.method, self.path));
        let answer = self.send().await?;
        serde_json::from_str(&answer.body).map_err(|error| Error {
            server,
            call,
            kind: Kind::Malformed(error.to_string()),
        })
    }
}

/// Percent-encodes all but the unreserved characters: a space is `%20`, since `+` is a plus to Plex.
fn encode(text: &str, into: &mut String) {
    use fmt::Write;
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(char::from(byte)),
            _ => {
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

/// What a status means that is not the answer.
fn status(status: u16, is_cells: bool, body: &str) -> Kind {
    let said = || error::gist(body);
    match status {
        // The relay of a cell answers for a server that does not listen yet.
        502 if is_cells => Kind::Refused,
        400 => Kind::BadRequest(said()),
        401 => Kind::Unauthorised,
        403 => Kind::Forbidden(said()),
        404 => Kind::NotFound,
        503 => Kind::Starting(said()),
        status => Kind::Status { status, body: said() },
    }
}

fn kind(error: reqwest::Error, limit: Duration) -> Kind {
    if error.is_timeout() {
        return Kind::Timeout(if error.is_connect() { CONNECT } else { limit });
    }
    let io = io_kind(&error);
    if error.is_connect() {
        return match io {
            // A socket that is not there yet is a server that does not listen yet.
            Some(std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound) => Kind::Refused,
            _ => Kind::Unreachable(reason(&error)),
        };
    }
    Kind::Broken(reason(&error))
}

fn io_kind(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = error.source();
    }
    None
}

/// The innermost reason: the outer ones repeat the URL, and its query may hold a claim.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if std::ptr::addr_eq(inner, error) {
        "the request failed".to_owned()
    } else {
        inner.to_string()
    }
}

#[cfg(test)]
mod tests;
