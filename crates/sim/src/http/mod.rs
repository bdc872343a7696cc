//! The HTTP interface (facts/plex.md §5): one function per endpoint, all of them synchronous, behind one table of routes.
//!
//! axum carries the bytes; [`routes`] decides. A request is taken apart ([`request`]), held against phase and token
//! ([`auth`]), answered in a thread that may wait for the database, and written as XML or JSON ([`element`], [`reply`]).

pub(crate) mod activity;
pub(crate) mod auth;
pub(crate) mod browse;
pub(crate) mod butler;
pub(crate) mod collection;
pub(crate) mod edit;
pub(crate) mod element;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod info;
pub(crate) mod meta;
pub(crate) mod metadata;
pub(crate) mod play;
pub(crate) mod playlist;
pub(crate) mod prefs;
pub(crate) mod reply;
pub(crate) mod request;
mod routes;
pub(crate) mod search;
pub(crate) mod section;
pub(crate) mod services;
pub(crate) mod sonic;
pub(crate) mod status;
pub(crate) mod timeline;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{Request as HttpRequest, Response, header};
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::reply::{Failure, Reply};
use self::request::Request;
use crate::server::{Phase, Server};

/// The largest form that is read from a request's body.
const BODY_BYTES: usize = 1024 * 1024;
/// How long requests that still run get when the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// What a handler has at hand.
pub(crate) struct Context<'a> {
    /// The server.
    pub(crate) server: &'a Arc<Server>,
    /// The request.
    pub(crate) request: &'a Request,
}

impl Context<'_> {
    /// Reads the library.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        work(&self.server.pool.get()?.library)
    }

    /// Changes the library: all of it, or nothing when `work` fails.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        let pair = self.server.pool.get()?;
        let db = &pair.library;
        // Immediate: a read that turns into a write would fail at once beside a scanner instead of waiting for it.
        db.execute_batch("BEGIN IMMEDIATE")?;
        match work(db) {
            Ok(value) => {
                db.execute_batch("COMMIT")?;
                Ok(value)
            }
            Err(failure) => {
                db.execute_batch("ROLLBACK")?;
                Err(failure)
            }
        }
    }

    /// The number in a path segment; anything else names nothing.
    pub(crate) fn id(&self, text: &str) -> Result<i64, Failure> {
        text.parse().map_err(|_| Failure::NotFound)
    }
}

/// Serves until `closed` turns true.
pub(crate) async fn serve(server: Arc<Server>, listener: TcpListener, closed: watch::Receiver<bool>) {
    let app = Router::new()
        .fallback(answer)
        .with_state((Arc::clone(&server), closed.clone()))
        .into_make_service_with_connect_info::<SocketAddr>();
    let (until, limit) = (closed.clone(), closed);
    let serving = axum::serve(listener, app).with_graceful_shutdown(is_closed(until));
    tokio::select! {
        served = serving => if let Err(error) = served {
            server.log.error(format_args!("the listener failed: {error}"));
        },
        () = async { is_closed(limit).await; tokio::time::sleep(LAST_REQUESTS).await } => {
            server.log.warn("requests were cut off by the stop");
        }
    }
}

async fn is_closed(mut closed: watch::Receiver<bool>) {
    // An error says that the sender is gone, which is the same as closed.
    let _ = closed.wait_for(|closed| *closed).await;
}

type Shared = (Arc<Server>, watch::Receiver<bool>);

async fn answer(
    State((server, closed)): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    http: HttpRequest<Body>,
) -> Response<Body> {
    let began = Instant::now();
    let (mut parts, body) = http.into_parts();
    let mut query = parts.uri.query().unwrap_or("").to_owned();
    let kind = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("");
    if kind.starts_with("application/x-www-form-urlencoded")
        && let Ok(form) = to_bytes(body, BODY_BYTES).await
    {
        query = format!("{query}&{}", String::from_utf8_lossy(&form));
    }
    let mut request = Request::new(
        parts.method.clone(),
        parts.uri.path(),
        &query,
        parts.headers.clone(),
        peer.ip(),
    );
    let line = format!("[{peer}] {} {}", request.method, request.path);
    server.log.debug(format_args!("Request: {line}"));
    let json = request.wants_json();
    let wants_close = request
        .headers
        .get(header::CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));

    let open = matches!(
        request.segments.iter().map(String::as_str).collect::<Vec<_>>()[..],
        ["identity"]
    );
    let phase = admit_phase(&server);
    let outcome = match phase {
        Err(failure) => Err(failure),
        Ok(()) if websocket::is(&request.segments) => match auth::account(&server, &request) {
            Ok(_) => return websocket::upgrade(&server, &mut parts, closed).await,
            Err(failure) => Err(failure),
        },
        Ok(()) => {
            let server = Arc::clone(&server);
            let answered = tokio::task::spawn_blocking(move || {
                if !open {
                    request.account = auth::account(&server, &request)?;
                }
                routes::answer(&Context {
                    server: &server,
                    request: &request,
                })
            })
            .await;
            answered.unwrap_or_else(|error| Err(Failure::Internal(error.to_string())))
        }
    };
    let mut response = match outcome {
        Ok(reply) => reply.into_response(json),
        Err(failure) => {
            if !matches!(
                failure,
                Failure::NotFound | Failure::Unauthorized | Failure::Unavailable(_)
            ) {
                server.log.warn(format_args!("{line}: {failure}"));
            }
            failure.into_response()
        }
    };
    if wants_close {
        // What the connection does next is then the carrier's word alone.
        response.headers_mut().remove(header::CONNECTION);
        response.headers_mut().remove("keep-alive");
    }
    let status = response.status().as_u16();
    server.log.debug(format_args!(
        "Completed: {line} {status} ({} ms)",
        began.elapsed().as_millis()
    ));
    response
}

fn admit_phase(server: &Server) -> Result<(), Failure> {
    match server.phase() {
        Phase::Ready => Ok(()),
        Phase::Starting => Err(Failure::Unavailable("Plex Media Server is currently starting up.")),
        Phase::Migrating => Err(Failure::Unavailable(
            "Plex Media Server is currently running startup maintenance tasks.",
        )),
        Phase::Stopping => Err(Failure::Unavailable("Plex Media Server is shutting down.")),
    }
}

/// An empty 200.
pub(crate) fn done() -> Result<Reply, Failure> {
    Ok(Reply::empty())
}
