//! The server's websocket: a connection on which it tells what it does, as it does it (facts/plex.md §5.3).

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, http};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Address, CONNECT, Client, Error, Kind, status};

/// As clients spell it.
const PATH: &str = "/:/websockets/notifications";
/// A message is a line about one thing; what is larger is none of ours.
const MESSAGE: usize = 4 << 20;

/// The bytes below it: a connection by address, or a socket into a cell.
pub(in crate::plex) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open websocket.
pub(in crate::plex) type Socket = WebSocketStream<Box<dyn Wire>>;

impl Client {
    /// Opens the server's websocket.
    ///
    /// # Errors
    /// [`Error`]; `Unauthorised` without a token that this server knows.
    pub(in crate::plex) async fn websocket(&self) -> Result<Socket, Error> {
        match tokio::time::timeout(CONNECT, self.open()).await {
            Ok(opened) => opened.map_err(|kind| self.fails(kind)),
            Err(_) => Err(self.fails(Kind::Timeout(CONNECT))),
        }
    }

    async fn open(&self) -> Result<Socket, Kind> {
        let (host, wire): (&str, Box<dyn Wire>) = match &self.address {
            Address::Http(base) => {
                let host = base.trim_start_matches("http://").trim_end_matches('/');
                (host, Box::new(TcpStream::connect(host).await.map_err(of_io)?))
            }
            Address::Socket(path) => ("plex", Box::new(UnixStream::connect(path).await.map_err(of_io)?)),
        };
        let mut request = format!("ws://{host}{PATH}")
            .into_client_request()
            .map_err(|error| Kind::Unreachable(error.to_string()))?;
        if let Some(token) = &self.token {
            request.headers_mut().insert("X-Plex-Token", token.clone());
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE))
            .max_frame_size(Some(MESSAGE));
        let opened = client_async_with_config(request, wire, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(of_socket)
    }

    fn fails(&self, kind: Kind) -> Error {
        Error {
            server: self.server.clone(),
            call: format!("GET {PATH}"),
            kind,
        }
    }
}

fn of_io(error: std::io::Error) -> Kind {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => Kind::Refused,
        _ => Kind::Unreachable(error.to_string()),
    }
}

fn of_socket(error: SocketError) -> Kind {
    match error {
        SocketError::Http(answer) => of_answer(&answer),
        SocketError::Io(error) => Kind::Broken(error.to_string()),
        other => Kind::Malformed(other.to_string()),
    }
}

fn of_answer(answer: &http::Response<Option<Vec<u8>>>) -> Kind {
    let body = answer
        .body()
        .as_deref()
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    let is_cells = answer.headers().contains_key(crate::plex::runtime::CELL_HEADER);
    status(answer.status().as_u16(), is_cells, &body)
}
