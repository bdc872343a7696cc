//! Listening to what the server tells by itself, as a witness beside the polling: its websocket's notifications.
//!
//! Guarantees: what is heard is proof that something moves; that nothing is heard proves nothing, since a connection may be
//! lost, refused or late without a word. So nothing ever waits for it, and it is opened again for as long as the listener is
//! there. Must not: change anything on the server, or take the place of a look.

mod heard;
mod message;

pub use heard::{Heard, News};

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::client::{Client, Socket};
use crate::clock::Clock;

/// The first pause before the websocket is opened again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between two questions whether the other side is there. One without an answer before the next: it is not.
const PING: Duration = Duration::from_secs(60);

/// Listens to one server until it is dropped.
#[derive(Debug)]
pub struct Listener {
    heard: Heard,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Begins to listen to the server of `client`. Has to be called within a runtime.
    #[must_use]
    pub fn begin(client: &Client, clock: Arc<dyn Clock>) -> Self {
        let heard = Heard::default();
        let (client, into) = (client.clone(), heard.clone());
        let task = tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let why = match client.websocket().await {
                    Ok(socket) => {
                        pause = FIRST_PAUSE;
                        into.begins();
                        listen(socket, &into, &*clock).await
                    }
                    Err(error) => error.kind.to_string(),
                };
                tracing::debug!(why, "Plex's websocket is not listened to");
                into.ends(why);
                clock.sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        Self { heard, task }
    }

    /// What was heard.
    #[must_use]
    pub fn heard(&self) -> &Heard {
        &self.heard
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens until the connection ends, and says why it did.
async fn listen(mut socket: Socket, heard: &Heard, clock: &dyn Clock) -> String {
    let mut is_answered = true;
    let mut next_ping = clock.sleep(PING);
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => heard.hear(&text),
                Some(Ok(Message::Close(_))) | None => return "the server closed it".to_owned(),
                // A ping of the server's own is answered below; whatever comes shows that it is there.
                Some(Ok(_)) => {}
                Some(Err(error)) => return format!("it broke off: {error}"),
            },
            () = &mut next_ping => {
                if !is_answered {
                    return "the server does not answer on it".to_owned();
                }
                if let Err(error) = socket.send(Message::Ping(Vec::new().into())).await {
                    return format!("it broke off: {error}");
                }
                is_answered = false;
                next_ping = clock.sleep(PING);
                continue;
            }
        }
        is_answered = true;
    }
}

#[cfg(test)]
mod tests;
