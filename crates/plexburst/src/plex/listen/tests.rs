//! Against a server whose end of the websocket the test holds in its hand.

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::clock::ManualClock;
use crate::plex::client::{Address, Token};

const TOKEN: &str = "secret-token";
const LIMIT: Duration = Duration::from_secs(120);
const SCANNING: &str = r#"{"NotificationContainer":{"type":"activity","size":1,"ActivityNotification":[{"event":"started",
    "uuid":"a","Activity":{"uuid":"a","type":"library.update.section","title":"Scanning Music","progress":-1}}]}}"#;

struct Server(TcpListener);

impl Server {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A listener with `token`, whose pauses are short.
    fn heard_by(&self, token: &str) -> Listener {
        let base = format!("http://{}", self.0.local_addr().unwrap());
        let client = Client::new("worker", &Address::Http(base), Some(&Token::new(token))).unwrap();
        Listener::begin(&client, Arc::new(ManualClock::with_pause(Duration::from_millis(50))))
    }

    /// The next connection, when it brings the token and asks for the right path.
    async fn accept(&self) -> Option<WebSocketStream<TcpStream>> {
        let (stream, _) = tokio::time::timeout(LIMIT, self.0.accept()).await.unwrap().unwrap();
        #[expect(clippy::result_large_err, reason = "the library's own form")]
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().path(), "/:/websockets/notifications");
            assert_eq!(request.uri().query(), None, "a token in an address is logged");
            match request.headers().get("x-plex-token") {
                Some(token) if token == TOKEN => Ok(response),
                _ => {
                    let mut refused = ErrorResponse::new(None);
                    *refused.status_mut() = http::StatusCode::UNAUTHORIZED;
                    Err(refused)
                }
            }
        };
        accept_hdr_async(stream, check).await.ok()
    }
}

/// Waits until what is heard is as wanted.
async fn until(listener: &Listener, what: &str, mut holds: impl FnMut(&News) -> bool) -> News {
    let waiting = async {
        loop {
            let news = listener.heard().news();
            if holds(&news) {
                return news;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

#[tokio::test]
async fn it_is_opened_again_after_its_end() {
    let server = Server::new().await;
    let listener = server.heard_by(TOKEN);
    let mut first = server.accept().await.unwrap();
    first.send(SCANNING.into()).await.unwrap();
    let news = until(&listener, "the scan", |news| news.moves > 0).await;
    assert_eq!(
        (news.moves, news.at_work.as_slice()),
        (1, ["Scanning Music".to_owned()].as_slice())
    );
    assert!(news.is_listening);
    let again = listener.heard().news();
    assert_eq!(again.at_work, [""; 0], "told once");
    assert_eq!(again.to_string(), "nothing heard now, 1 notification before");
    first.close(None).await.unwrap();
    let news = until(&listener, "the end", |news| !news.is_listening).await;
    assert!(
        news.to_string().contains("no websocket (the server closed it)"),
        "{news}"
    );
    drop(first);
    let mut second = server.accept().await.unwrap();
    second.send(SCANNING.into()).await.unwrap();
    let news = until(&listener, "the scan once more", |news| news.moves > 0).await;
    assert!(
        news.is_listening && news.to_string().contains("the last of Scanning Music"),
        "{news}"
    );
}

#[tokio::test]
async fn without_the_right_token_nothing_is_heard_and_that_is_said() {
    let server = Server::new().await;
    let listener = server.heard_by("another-token");
    assert!(server.accept().await.is_none());
    let news = until(&listener, "the refusal", |news| news.why_not.is_some()).await;
    assert_eq!(news.to_string(), "no websocket (401, not authorised)");
    let shown = format!("{listener:?}{news:?}");
    assert!(!shown.contains("another-token"), "{shown}");
}

#[tokio::test]
async fn one_that_does_not_answer_is_left() {
    let server = Server::new().await;
    let listener = server.heard_by(TOKEN);
    // Accepted, and not looked at again: no ping is answered.
    let held = server.accept().await.unwrap();
    until(&listener, "the connection", |news| news.is_listening).await;
    let news = until(&listener, "the end", |news| !news.is_listening).await;
    assert!(news.to_string().contains("does not answer"), "{news}");
    assert!(server.accept().await.is_some(), "another one is opened");
    drop(held);
}
