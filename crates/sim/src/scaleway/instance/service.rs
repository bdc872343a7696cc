//! The metadata service of one machine, at its inner address: 169.254.42.42 cannot be had without a network of its own, so
//! the machine finds the address in SCW_METADATA_URL.
//!
//! User data is answered only to a source port below 1024, as the real service does (facts/cloud.md §0.8).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{Request as HttpRequest, Response};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::metadata;
use crate::scaleway::api::http::{Shared, lock, read, render};
use crate::scaleway::api::reply::{Body as ReplyBody, Reply};
use crate::scaleway::clock::http_time;

const PORT: u16 = 80;
/// The first port that anybody may use.
const UNPRIVILEGED: u16 = 1024;

/// A service that answers until this is dropped.
#[derive(Debug)]
pub(super) struct Service(AbortHandle);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where the machine with that inner address asks.
pub(super) fn url(inside: Ipv4Addr) -> String {
    format!("http://{inside}:{PORT}")
}

/// Starts the service of `server`.
pub(super) fn start(sim: &Shared, runtime: &Handle, server: &str, inside: Ipv4Addr) -> io::Result<Service> {
    let listener = std::net::TcpListener::bind((inside, PORT))?;
    listener.set_nonblocking(true)?;
    let _entered = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    let app = Router::new()
        .fallback(answer)
        .with_state((sim.clone(), server.to_owned()))
        .into_make_service_with_connect_info::<SocketAddr>();
    let serving = runtime.spawn(async move { axum::serve(listener, app).await });
    Ok(Service(serving.abort_handle()))
}

async fn answer(
    State((sim, server)): State<(Shared, String)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    http: HttpRequest<Body>,
) -> Response<Body> {
    let request = match read(http, peer).await {
        Ok(request) => request,
        Err(failure) => return render(failure.into()),
    };
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    if segments.first() == Some(&"user_data") && peer.port() >= UNPRIVILEGED {
        // The words that naive clients take for data.
        return render(Reply {
            status: 400,
            body: ReplyBody::Text(b"invalid argument(s)".to_vec()),
            headers: Vec::new(),
        });
    }
    let mut sim = lock(&sim);
    let reply = metadata::answer(&mut sim.world, &server, &request, &segments);
    let mut reply = reply.unwrap_or_else(Reply::from);
    // By the clock that everything here is measured on, and not by the machine's.
    reply.headers.push(("date", http_time(sim.world.clock.now())));
    render(reply)
}
