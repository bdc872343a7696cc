//! Who may look: decided from the request's head alone, before anything is read for it.
//!
//! Without a token the caller has to name this machine's loopback: a page elsewhere whose name was made to point here (DNS
//! rebinding) names itself. With one, the token comes once in the address and is a cookie from then on, or it is a bearer's.

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::secret::Token;

/// The door.
#[derive(Debug)]
pub(super) struct Gate {
    token: Option<Token>,
    cookie: String,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered.
    Pass,
    /// The token was in the address: the same without it, and the cookie.
    Enter {
        /// Where to.
        location: String,
        /// What to remember.
        cookie: String,
    },
    /// It is not.
    Refuse(StatusCode, &'static str),
}

impl Gate {
    pub(super) fn new(token: Option<Token>, port: u16) -> Self {
        // Cookies do not know ports.
        let cookie = format!("plexburst-{port}");
        Self { token, cookie }
    }

    pub(super) fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Verdict {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Verdict::Refuse(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
        }
        let Some(host) = host(uri, headers) else {
            return Verdict::Refuse(StatusCode::BAD_REQUEST, "the request does not say whom it is for");
        };
        let Some(token) = &self.token else {
            return match is_loopback(&host) {
                true => Verdict::Pass,
                false => Verdict::Refuse(
                    StatusCode::FORBIDDEN,
                    "this page answers only to 127.0.0.1, [::1] and localhost",
                ),
            };
        };
        if let Some(given) = in_query(uri) {
            return match same(given, token.reveal()) {
                true => Verdict::Enter {
                    location: uri.path().to_owned(),
                    cookie: format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, ticket(token)),
                },
                false => Verdict::Refuse(StatusCode::UNAUTHORIZED, WRONG),
            };
        }
        let knows = bearer(headers).is_some_and(|given| same(given, token.reveal()))
            || self.tickets(headers).any(|given| same(given, &ticket(token)));
        match knows {
            true => Verdict::Pass,
            false => Verdict::Refuse(StatusCode::UNAUTHORIZED, WRONG),
        }
    }

    fn tickets<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let cookies = headers
            .get_all(COOKIE)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
    }
}

const WRONG: &str = "this page wants its token: open it once with ?token=… (serve says in which file it is)";

/// What the cookie holds: it opens this page and does not tell the token.
fn ticket(token: &Token) -> String {
    blake3::derive_key("plexburst serve: the cookie of the page", token.reveal().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// In the same time whatever is given: hashes are compared so.
fn same(given: &str, wanted: &str) -> bool {
    blake3::hash(given.as_bytes()) == blake3::hash(wanted.as_bytes())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, given) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(given.trim())
}

fn in_query(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Without its port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut all = headers.get_all(HOST).iter();
            let one = all.next()?.to_str().ok()?;
            if all.next().is_some() {
                return None;
            }
            one
        }
    };
    let authority: http::uri::Authority = named.parse().ok()?;
    Some(authority.host().to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(gate: &Gate, uri: &str, headers: &[(&'static str, &str)]) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        gate.judge(&Method::GET, &uri.parse().unwrap(), &map)
    }

    fn code(verdict: &Verdict) -> u16 {
        match verdict {
            Verdict::Pass => 200,
            Verdict::Enter { .. } => 303,
            Verdict::Refuse(status, _) => status.as_u16(),
        }
    }

    #[test]
    fn on_the_loopback_only_this_machine_is_meant() {
        let gate = Gate::new(None, 1);
        for host in ["127.0.0.1:32480", "localhost", "LOCALHOST:9", "[::1]:1", "127.8.0.1"] {
            assert_eq!(judge(&gate, "/", &[("host", host)]), Verdict::Pass, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.168.1.5",
            "127.0.0.1.evil.example",
        ] {
            assert_eq!(code(&judge(&gate, "/", &[("host", host)])), 403, "{host}");
        }
        assert_eq!(code(&judge(&gate, "/", &[])), 400);
        assert_eq!(
            code(&judge(&gate, "/", &[("host", "localhost"), ("host", "evil.example")])),
            400
        );
        // What stands in the address counts, as HTTP says.
        assert_eq!(
            code(&judge(&gate, "http://evil.example/", &[("host", "localhost")])),
            403
        );
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let verdict = gate.judge(&method, &Uri::from_static("/"), &HeaderMap::new());
            assert_eq!(code(&verdict), 405);
        }
    }

    #[test]
    fn elsewhere_the_token_opens_and_nothing_else_does() {
        let gate = Gate::new(Some(Token::new("secret")), 80);
        let host = ("host", "nas");
        for (uri, more) in [
            ("/", ("x", "")),
            ("/?token=", ("x", "")),
            ("/?token=secre", ("x", "")),
            ("/", ("authorization", "Bearer other")),
            ("/", ("authorization", "Basic secret")),
            ("/", ("cookie", "plexburst-80=secret")),
            ("/", ("cookie", "plexburst-80=")),
        ] {
            assert_eq!(code(&judge(&gate, uri, &[host, more])), 401, "{uri} {more:?}");
        }
        assert_eq!(
            judge(&gate, "/", &[host, ("authorization", "bearer secret")]),
            Verdict::Pass
        );
        let Verdict::Enter { location, cookie } = judge(&gate, "/burst/X?a=1&token=secret", &[host]) else {
            panic!("the token does not open");
        };
        assert_eq!(location, "/burst/X");
        assert!(!cookie.contains("secret") && cookie.contains("HttpOnly"), "{cookie}");
        let remembered = format!("other=1; {}", cookie.split(';').next().unwrap());
        assert_eq!(judge(&gate, "/", &[host, ("cookie", &remembered)]), Verdict::Pass);
        let elsewhere = Gate::new(Some(Token::new("another")), 80);
        assert_eq!(code(&judge(&elsewhere, "/", &[host, ("cookie", &remembered)])), 401);
    }
}
