//! `/:/websockets/notifications`: every message of the server, as it happens, to whoever listens (facts/plex.md §5.3).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::Response;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::server::Server;

/// Whether the path is one of the two spellings in use.
pub(super) fn is(segments: &[String]) -> bool {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    matches!(parts[..], [":", "websockets" | "websocket", "notifications"])
}

/// Turns the connection into a websocket.
pub(super) async fn upgrade(server: &Arc<Server>, parts: &mut Parts, closed: watch::Receiver<bool>) -> Response<Body> {
    let messages = server.activities.listen();
    match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => upgrade.on_upgrade(move |socket| pass_on(socket, messages, closed)),
        Err(rejection) => rejection.into_response(),
    }
}

async fn pass_on(mut socket: WebSocket, mut messages: broadcast::Receiver<String>, mut closed: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(text) => if socket.send(Message::Text(text.into())).await.is_err() { return },
                // A slow listener misses messages; a real server drops them as well.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            // Pings are answered by the library; all else that clients say is ignored until they leave.
            incoming = socket.recv() => if !matches!(incoming, Some(Ok(_))) { return },
            _ = closed.changed() => return,
        }
    }
}
