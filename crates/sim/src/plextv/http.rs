//! plex.tv over HTTP, as far as a server's owner needs it: a claim by the account's token, the account's devices, and the
//! removal of one (facts/plex.md §7.3).
//!
//! Every call wants `X-Plex-Token` and `X-Plex-Client-Identifier`; what they do not know is a 401.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Account, CLAIM_SECONDS, PlexTv, PlexTvError};

/// A plex.tv that is being served; dropping it ends it.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    plextv: PlexTv,
    claims: AtomicU64,
}

impl Served {
    /// Serves `plextv` on a free port of the loopback.
    ///
    /// # Errors
    /// No port, or no thread to run in.
    pub fn start(plextv: PlexTv) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            plextv,
            claims: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/api/claim/token.json", get(claim))
            .route("/devices.xml", get(devices))
            .route("/devices/{id}", delete(remove))
            .with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("plextv".to_owned()).spawn(move || {
            runtime.block_on(async {
                // A listener that fails shows as a server that does not answer.
                let Ok(listener) = TcpListener::from_std(listener) else {
                    return;
                };
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many claims were given out.
    #[must_use]
    pub fn claims(&self) -> u64 {
        self.shared.claims.load(Ordering::Relaxed)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Why a call is not answered.
enum Refusal {
    Unauthorised,
    NotFound,
    Internal(PlexTvError),
}

impl From<PlexTvError> for Refusal {
    fn from(error: PlexTvError) -> Self {
        Self::Internal(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorised => (
                StatusCode::UNAUTHORIZED,
                [(header::CONTENT_TYPE, "application/json")],
                r#"{"errors":[{"code":1001,"message":"User could not be authenticated","status":401}]}"#,
            )
                .into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Internal(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

fn asker(shared: &Shared, headers: &HeaderMap) -> Result<(String, Account), Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty())
    };
    let (Some(token), Some(_)) = (text("x-plex-token"), text("x-plex-client-identifier")) else {
        return Err(Refusal::Unauthorised);
    };
    shared
        .plextv
        .named_account_of_token(token)?
        .ok_or(Refusal::Unauthorised)
}

async fn claim(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let (name, _) = asker(&shared, &headers)?;
    let token = shared.plextv.issue_claim_for(&name)?;
    shared.claims.fetch_add(1, Ordering::Relaxed);
    let body = serde_json::json!({ "token": token, "expiresIn": CLAIM_SECONDS });
    Ok(([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

async fn devices(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let (name, _) = asker(&shared, &headers)?;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MediaContainer>\n");
    for server in shared.plextv.servers_of(&name)? {
        xml.push_str(&format!(
            "  <Device name=\"\" product=\"Plex Media Server\" provides=\"server\" clientIdentifier=\"{}\" id=\"{}\" \
             createdAt=\"{}\"/>\n",
            server.machine,
            device(&server.machine),
            server.claimed_at
        ));
    }
    xml.push_str("</MediaContainer>\n");
    Ok(([(header::CONTENT_TYPE, "application/xml")], xml).into_response())
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (name, _) = asker(&shared, &headers)?;
    let id = id.strip_suffix(".xml").ok_or(Refusal::NotFound)?;
    let servers = shared.plextv.servers_of(&name)?;
    let found = servers.iter().find(|server| device(&server.machine).to_string() == id);
    shared.plextv.forget(&found.ok_or(Refusal::NotFound)?.machine)?;
    Ok(StatusCode::OK.into_response())
}

/// The number by which the account knows a server.
fn device(machine: &str) -> u32 {
    let digits = machine.get(..8).unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or(0)
}
