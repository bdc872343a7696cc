//! Whether a server answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one question may take; a server that hangs must not hang whoever waits for it.
const LIMIT: Duration = Duration::from_secs(5);
const OK: &[u8] = b"HTTP/1.1 200";

/// Whether `/identity`, which needs no token, is answered with 200: a server that is starting refuses or says 503.
pub(super) fn answers(address: SocketAddr) -> bool {
    ask(address).unwrap_or(false)
}

fn ask(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET /identity HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut start = [0; OK.len()];
    stream.read_exact(&mut start)?;
    Ok(start == OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_200_is_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let replies = [
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "",
            "HTTP/1.1 200 OK\r\n\r\n",
        ];
        let serving = std::thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /identity HTTP/1.1\r\n"));
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        assert_eq!(replies.map(|_| answers(address)), [false, false, true]);
        serving.join().unwrap();
        assert!(!answers(address), "nobody listens");
    }
}
