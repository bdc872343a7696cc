//! A request as the handlers see it: path segments, query, who asks from which device.

use axum::http::{HeaderMap, Method};
use std::net::IpAddr;

use super::reply::Failure;

/// The decoded query, in its order; a name may come several times.
///
/// Plex's filters put operators into the name (`addedAt>>=5`, `title==x`); a pair is split at its first `=` before it
/// is decoded, so the operator stays at the end of the name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses what stands behind the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name, true), decode(value, true))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All pairs.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Whether a flag is set ("1" or "true").
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }

    /// The number of that name; something else than a number is a bad request.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Failure::BadRequest(format!("{name}={value} is no number")))
            })
            .transpose()
    }

    /// The value of that name, without which the request makes no sense.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name)
            .ok_or_else(|| Failure::BadRequest(format!("{name} is missing")))
    }
}

/// Percent-decodes; `plus` says whether a plus sign is a space.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => match tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()) {
                Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'%'));
                    rest = &tail[2..];
                }
                _ => bytes.push(b'%'),
            },
            b'+' if plus => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The device that asks, from the X-Plex-* headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    /// X-Plex-Client-Identifier.
    pub(crate) identifier: String,
    /// X-Plex-Device-Name, or the product.
    pub(crate) name: String,
    /// X-Plex-Platform.
    pub(crate) platform: String,
    /// X-Plex-Product.
    pub(crate) product: String,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// GET, POST, PUT, DELETE.
    pub(crate) method: Method,
    /// The path as it was sent.
    pub(crate) path: String,
    /// Its decoded segments, without empty ones.
    pub(crate) segments: Vec<String>,
    /// The query.
    pub(crate) query: Query,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Where it came from.
    pub(crate) address: IpAddr,
    /// The account that it speaks for; 1 is the owner.
    pub(crate) account: i64,
    /// The device.
    pub(crate) client: Client,
}

impl Request {
    /// Takes a request apart. The account is the owner until [`super::auth`] says otherwise.
    pub(crate) fn new(method: Method, path: &str, query: &str, headers: HeaderMap, address: IpAddr) -> Self {
        let segments = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| decode(part, false))
            .collect();
        let mut request = Self {
            method,
            path: path.to_owned(),
            segments,
            query: Query::parse(query),
            headers,
            address,
            account: 1,
            client: Client::default(),
        };
        let of = |name: &str| request.plex(name).unwrap_or_default();
        let product = of("X-Plex-Product");
        let name = Some(of("X-Plex-Device-Name"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| product.clone());
        let client = Client {
            identifier: of("X-Plex-Client-Identifier"),
            name,
            platform: of("X-Plex-Platform"),
            product,
        };
        request.client = client;
        request
    }

    /// An X-Plex-* value: Plex takes them from the query as well as from the headers.
    pub(crate) fn plex(&self, name: &str) -> Option<String> {
        let header = || self.headers.get(name).and_then(|value| value.to_str().ok());
        self.query.get(name).or_else(header).map(str::to_owned)
    }

    /// The token that the request carries.
    pub(crate) fn token(&self) -> Option<String> {
        self.plex("X-Plex-Token").filter(|token| !token.is_empty())
    }

    /// Whether the answer is to be JSON.
    pub(crate) fn wants_json(&self) -> bool {
        let accept = self
            .headers
            .get("accept")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        accept.contains("application/json")
    }

    /// What a page of a list the client asks for; without it everything.
    pub(crate) fn page(&self) -> Result<Page, Failure> {
        let number = |name: &str| -> Result<Option<i64>, Failure> {
            self.plex(name)
                .map(|value| {
                    value
                        .parse()
                        .map_err(|_| Failure::BadRequest(format!("{name}: {value} is no number")))
                })
                .transpose()
        };
        let start = number("X-Plex-Container-Start")?;
        let size = number("X-Plex-Container-Size")?;
        Ok(Page {
            start: start.unwrap_or(0).max(0),
            size: size.map(|size| size.max(0)),
            asked: start.is_some() || size.is_some(),
        })
    }
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// The first entry.
    pub(crate) start: i64,
    /// How many; `None` is all.
    pub(crate) size: Option<i64>,
    /// Whether the client asked for a page at all.
    pub(crate) asked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_stay_at_the_name() {
        let query = Query::parse("title%3D=a%2Bb+c&addedAt%3E%3E=5&flag=1&odd%zz=%e2%82%ac&empty");
        assert_eq!(query.get("title="), Some("a+b c"));
        assert_eq!(query.get("addedAt>>"), Some("5"));
        assert!(query.flag("flag"));
        assert_eq!(query.get("odd%zz"), Some("€"));
        assert_eq!(query.get("empty"), Some(""));
        assert!(query.number("title=").is_err());
    }

    #[test]
    fn plex_values_come_from_query_or_header() {
        let mut headers = HeaderMap::new();
        headers.insert("x-plex-token", "header".parse().unwrap());
        headers.insert("accept", "application/json, */*".parse().unwrap());
        let address = IpAddr::from([127, 0, 0, 1]);
        let by_header = Request::new(Method::GET, "/library//sections/1%2F2", "", headers.clone(), address);
        assert_eq!(by_header.token().as_deref(), Some("header"));
        assert_eq!(by_header.segments, ["library", "sections", "1/2"]);
        assert!(by_header.wants_json());
        let by_query = Request::new(
            Method::GET,
            "/",
            "X-Plex-Token=query&X-Plex-Container-Size=5",
            headers,
            address,
        );
        assert_eq!(by_query.token().as_deref(), Some("query"));
        assert_eq!(
            by_query.page().unwrap(),
            Page {
                start: 0,
                size: Some(5),
                asked: true
            }
        );
    }
}
