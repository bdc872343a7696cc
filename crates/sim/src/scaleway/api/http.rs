//! Carries requests and answers between the network and [`Sim`]; cuts a connection where a fault says so.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, Request as HttpRequest, Response, StatusCode, header};
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::reply::{Body, Failure, Reply};
use super::request::Request;
use super::{Outcome, Sim};
use crate::scaleway::clock::{http_time, micros};

/// The largest body that is read.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// The state behind its lock.
pub(crate) type Shared = Arc<Mutex<Sim>>;

/// Takes the lock. A test that failed while it held it must not hide behind a second failure.
pub(crate) fn lock(sim: &Mutex<Sim>) -> MutexGuard<'_, Sim> {
    sim.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    address: Option<SocketAddr>,
    /// The same socket, to cut it.
    socket: Option<Arc<OwnedFd>>,
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self {
            address: Some(*stream.remote_addr()),
            socket: stream.io().as_fd().try_clone_to_owned().ok().map(Arc::new),
        }
    }
}

impl Peer {
    fn cut(&self) {
        let Some(socket) = self.socket.as_ref().and_then(|socket| socket.try_clone().ok()) else {
            return;
        };
        // Already gone is cut as well.
        let _ = TcpStream::from(socket).shutdown(Shutdown::Both);
    }
}

/// Serves the API until `closed` turns true.
pub(crate) async fn serve(
    sim: Shared,
    listener: TcpListener,
    mut closed: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let app = Router::new()
        .fallback(answer)
        .with_state(sim)
        .into_make_service_with_connect_info::<Peer>();
    tokio::select! {
        served = async { axum::serve(listener, app).await } => served,
        // An error says that the sender is gone, which is the same as closed.
        _ = closed.wait_for(|closed| *closed) => Ok(()),
    }
}

/// Takes a request of the network apart.
pub(crate) async fn read(http: HttpRequest<HttpBody>, peer: SocketAddr) -> Result<Request, Failure> {
    let (parts, body) = http.into_parts();
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let mut request = Request::new(
        parts.method.as_str(),
        parts.uri.path(),
        parts.uri.query().unwrap_or(""),
        peer.ip(),
    );
    request.content_type = text("content-type").unwrap_or_default();
    request.token = text("x-auth-token");
    request.body = to_bytes(body, BODY_BYTES)
        .await
        .map_err(|_| Failure::bare(413))?
        .to_vec();
    Ok(request)
}

async fn answer(
    State(sim): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    http: HttpRequest<HttpBody>,
) -> Response<HttpBody> {
    let address = peer.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let request = match read(http, address).await {
        Ok(request) => request,
        Err(failure) => return respond(&sim, failure.into()),
    };
    let mut outcome = lock(&sim).answer(&request);
    if let Outcome::Later(time) = outcome {
        tokio::time::sleep(time).await;
        outcome = lock(&sim).answer_slowly(&request);
    }
    match outcome {
        Outcome::Answer(reply) => respond(&sim, reply),
        Outcome::Cut | Outcome::Later(_) => {
            peer.cut();
            // Goes nowhere.
            respond(&sim, Failure::bare(503).into())
        }
    }
}

/// An answer with the headers that were seen on recorded ones.
fn respond(sim: &Mutex<Sim>, reply: Reply) -> Response<HttpBody> {
    let (date, id) = {
        let mut sim = lock(sim);
        let world = &mut sim.world;
        (
            http_time(world.clock.now() + micros(world.skew)),
            world.request_ids.uuid(),
        )
    };
    let mut response = render(reply);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::DATE, date),
        (header::HeaderName::from_static("x-request-id"), id),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers.insert(
        header::SERVER,
        HeaderValue::from_static("Scaleway API Gateway (simulated)"),
    );
    response
}

/// The answer alone.
pub(crate) fn render(reply: Reply) -> Response<HttpBody> {
    let (kind, body) = match reply.body {
        Body::Empty => (None, HttpBody::empty()),
        Body::Json(value) => (Some("application/json"), HttpBody::from(value.to_string())),
        Body::Text(bytes) => (Some("text/plain"), HttpBody::from(bytes)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}
