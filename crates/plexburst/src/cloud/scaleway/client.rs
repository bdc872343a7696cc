//! Calls to Scaleway's API: one request, its typed answer, and the retries that cannot do harm.
//!
//! Guarantees: the key goes into a header and nowhere else. A call that may have been carried out although its answer was
//! lost is repeated only if doing it twice is the same as doing it once; a creation never is. Lists are read to their last
//! page, or are an error: half a list would hide what is still billed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;

use super::config::Account;
use super::error::{Error, Kind, of_answer};
use crate::clock::{Clock, SystemClock};

/// One call; Scaleway's own SDK has the same.
const LIMIT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// How often a call that may be repeated is: with the pauses below about a minute and a half.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The most that a page may hold.
const PAGE: usize = 100;

/// The client.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// The project that everything is made in.
    pub project: String,
    clock: Arc<dyn Clock>,
    time: Arc<Mutex<Option<(i64, Instant)>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({}, project {})", self.base, self.project)
    }
}

impl Client {
    /// A client for this account; nothing is asked yet.
    ///
    /// # Errors
    /// A key that cannot be a header.
    pub fn new(account: &Account) -> Result<Self, Error> {
        Self::with_clock(account, Arc::new(SystemClock))
    }

    /// The same from this address of the machine's, to which a key may be bound.
    ///
    /// # Errors
    /// See [`Client::new`].
    pub fn from_address(account: &Account, address: std::net::IpAddr) -> Result<Self, Error> {
        Self::build(account, Arc::new(SystemClock), Some(address))
    }

    /// The same with a clock of one's own for the pauses between tries.
    ///
    /// # Errors
    /// See [`Client::new`].
    pub fn with_clock(account: &Account, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::build(account, clock, None)
    }

    fn build(account: &Account, clock: Arc<dyn Clock>, from: Option<std::net::IpAddr>) -> Result<Self, Error> {
        let refuse = |why: &str| Error {
            call: "a client for Scaleway".to_owned(),
            kind: Kind::Invalid(why.to_owned()),
        };
        let mut headers = HeaderMap::new();
        let mut key = HeaderValue::from_str(account.secret_key.reveal())
            .map_err(|_| refuse("the secret key has characters that a header cannot carry"))?;
        key.set_sensitive(true);
        headers.insert("X-Auth-Token", key);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("plexburst/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(LIMIT)
            .local_address(from)
            // A key must not follow a redirect to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| refuse("TLS cannot be set up on this machine"))?;
        Ok(Self {
            http,
            base: account.api_url.clone(),
            project: account.project.clone(),
            clock,
            time: Arc::default(),
        })
    }

    /// The clock for pauses.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The provider's time as its last answer told it, moved on by this machine's monotonic clock.
    pub(super) fn now(&self) -> Option<i64> {
        let time = *self.time.lock().unwrap_or_else(PoisonError::into_inner);
        time.map(|(at, since)| {
            let passed = self.clock.now().saturating_duration_since(since).as_secs();
            at.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
        })
    }

    pub(super) fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call {
            client: self,
            method,
            path: path.into(),
            query: Vec::new(),
            body: Body::None,
        }
    }

    /// All pages of a list of the instance API: `page` and `per_page`, the total in a header.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        field: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Error> {
        self.pages(path, field, "per_page", query).await
    }

    /// All pages of a list of the newer APIs: `page_size`, the total in the body.
    pub(super) async fn list_newer<T: DeserializeOwned>(
        &self,
        path: &str,
        field: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Error> {
        self.pages(path, field, "page_size", query).await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        field: &str,
        size: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for page in 1.. {
            let mut call = self
                .call(Method::GET, path)
                .query("page", &page.to_string())
                .query(size, &PAGE.to_string());
            for (name, value) in query {
                call = call.query(name, value);
            }
            let answer = call.send().await?;
            let malformed = |why: String| Error {
                call: format!("GET {path}"),
                kind: Kind::Malformed(why),
            };
            let mut body: serde_json::Value =
                serde_json::from_str(&answer.body).map_err(|e| malformed(e.to_string()))?;
            let total = answer.total.or_else(|| body["total_count"].as_u64());
            let items: Vec<T> =
                serde_json::from_value(body[field].take()).map_err(|e| malformed(format!("{field}: {e}")))?;
            let count = items.len();
            all.extend(items);
            let is_last = match total {
                Some(total) => all.len() as u64 >= total || count == 0,
                None => count < PAGE,
            };
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    fn note_time(&self, headers: &HeaderMap) {
        let date = headers.get(reqwest::header::DATE).and_then(|v| v.to_str().ok());
        if let Some(at) = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()) {
            *self.time.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((at.timestamp().as_second(), self.clock.now()));
        }
    }
}

/// What was answered.
pub(super) struct Answer {
    pub(super) body: String,
    total: Option<u64>,
}

enum Body {
    None,
    Json(serde_json::Value),
    Text(String),
}

/// One call being put together.
pub(super) struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Body,
}

impl Call<'_> {
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn json(mut self, body: serde_json::Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    pub(super) fn text(mut self, body: &str) -> Self {
        self.body = Body::Text(body.to_owned());
        self
    }

    fn error(&self, kind: Kind) -> Error {
        Error {
            call: format!("{} {}", self.method, self.path),
            kind,
        }
    }

    /// Sends it, again where that is harmless.
    pub(super) async fn send(self) -> Result<Answer, Error> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match self.once().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // What was not reached or turned away at the door has not happened.
            let has_not_happened = matches!(error.kind, Kind::NotReached(_) | Kind::TooMany(_));
            let may_repeat = error.kind.is_passing()
                && !matches!(error.kind, Kind::Transient(_))
                && (self.method != Method::POST || has_not_happened);
            if !may_repeat || attempt >= TRIES {
                return Err(error);
            }
            let told = match error.kind {
                Kind::TooMany(told) => told,
                _ => None,
            };
            // Many controllers that were turned away together must not come back together.
            let jitter = pause.mul_f64(0.5 + fastrand::f64() * 0.5);
            self.client.clock.sleep(told.unwrap_or(jitter).min(LONGEST_PAUSE)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(self.error(Kind::Malformed("no try was made".to_owned())))
    }

    /// Sends it and reads the JSON of the answer.
    pub(super) async fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        let call = format!("{} {}", self.method, self.path);
        let answer = self.send().await?;
        serde_json::from_str(&answer.body).map_err(|error| Error {
            call,
            kind: Kind::Malformed(error.to_string()),
        })
    }

    async fn once(&self) -> Result<Answer, Error> {
        let url = format!("{}{}", self.client.base, self.path);
        let mut request = self.client.http.request(self.method.clone(), url).query(&self.query);
        request = match &self.body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Text(text) => request
                .header(reqwest::header::CONTENT_TYPE, "text/plain")
                .body(text.clone()),
        };
        let response = request.send().await.map_err(|e| {
            let why = reason(&e);
            self.error(if e.is_connect() {
                Kind::NotReached(why)
            } else {
                Kind::Lost(why)
            })
        })?;
        self.client.note_time(response.headers());
        let status = response.status().as_u16();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.parse::<u64>().ok())
        };
        let (total, retry_after) = (header("x-total-count"), header("retry-after").map(Duration::from_secs));
        let body = response.text().await.map_err(|e| self.error(Kind::Lost(reason(&e))))?;
        if (200..300).contains(&status) {
            return Ok(Answer { body, total });
        }
        Err(self.error(of_answer(status, retry_after, &body)))
    }
}

/// The innermost reason.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        inner.to_string()
    }
}
