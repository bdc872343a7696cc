//! As much of HTTP as a proxy needs that is asked for objects and listings.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than any head that a store's client sends.
const HEAD: usize = 64 * 1024;
const END: &[u8] = b"\r\n\r\n";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The objects of a bucket.
    Listing,
    /// The content of an object.
    Object,
    /// Anything else.
    Other,
}

/// A request, its body read whole.
#[derive(Debug)]
pub(super) struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// Reads one; none when the client closes without a word.
    pub(super) async fn read(client: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = find(&bytes, END) {
                break end + END.len();
            }
            if bytes.len() > HEAD {
                return Err(io::Error::other("no end of the request's head"));
            }
            if client.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let mut body = bytes.split_off(end);
        let head = String::from_utf8(bytes).map_err(io::Error::other)?;
        if field(&head, "expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let length: usize = field(&head, "content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        while body.len() < length {
            if client.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(Self { head, body }))
    }

    pub(super) fn kind(&self) -> Kind {
        let mut words = self.head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is_bucket = !path.trim_matches('/').contains('/');
        match method {
            "GET" if is_bucket && (query.contains("list-type") || query.contains("prefix") || query.is_empty()) => {
                Kind::Listing
            }
            "GET" if !is_bucket => Kind::Object,
            _ => Kind::Other,
        }
    }

    /// As it is passed on: in HTTP/1.0, so that the answer is neither chunked nor followed by another.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head = String::with_capacity(self.head.len());
        for (number, line) in self.head.split_inclusive("\r\n").enumerate() {
            if number == 0 {
                head.push_str(&line.replace("HTTP/1.1", "HTTP/1.0"));
            } else if !name_of(line).is_some_and(|name| matches!(name.as_str(), "connection" | "expect")) {
                head.push_str(line);
            }
        }
        [head.as_bytes(), &self.body].concat()
    }
}

/// The real server's answer.
#[derive(Debug)]
pub(super) struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn parse(mut bytes: Vec<u8>) -> io::Result<Self> {
        let end = find(&bytes, END).ok_or(io::ErrorKind::UnexpectedEof)? + END.len();
        let body = bytes.split_off(end);
        let head = String::from_utf8(bytes).map_err(io::Error::other)?;
        Ok(Self { head, body })
    }

    /// The head alone, which promises the body.
    pub(super) fn head(&self) -> Vec<u8> {
        self.head.clone().into_bytes()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    /// Leaves out every second entry of a listing.
    pub(super) fn halve(&mut self) {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let text = every_second(&text, "Contents");
        let text = every_second(&text, "CommonPrefixes");
        self.body = text.into_bytes();
        let mut head = String::new();
        for line in self.head.split_inclusive("\r\n") {
            if name_of(line).as_deref() == Some("content-length") {
                head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
            } else {
                head.push_str(line);
            }
        }
        self.head = head;
    }
}

/// `text` without every second element called `tag`.
fn every_second(text: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut number = 0;
    while let Some(at) = rest.find(&open) {
        let Some(end) = rest[at..].find(&close).map(|end| at + end + close.len()) else {
            break;
        };
        kept.push_str(&rest[..at]);
        if number % 2 == 0 {
            kept.push_str(&rest[at..end]);
        }
        number += 1;
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// An S3 error.
pub(super) fn refusal(status: u16) -> Vec<u8> {
    let (reason, code) = match status {
        403 => ("Forbidden", "AccessDenied"),
        404 => ("Not Found", "NoSuchKey"),
        429 => ("Too Many Requests", "TooManyRequests"),
        503 => ("Service Unavailable", "SlowDown"),
        _ => ("Internal Server Error", "InternalError"),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{reason}</Message></Error>"
    );
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn name_of(line: &str) -> Option<String> {
    line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter(|line| name_of(line).as_deref() == Some(name))
        .find_map(|line| line.split_once(':').map(|(_, value)| value.trim()))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
