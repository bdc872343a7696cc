//! From a request to its answer: the gate, the few addresses that there are, and the headers of each answer.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;

use super::gate::{Gate, Verdict};
use super::pages;
use super::source::Source;
use super::view::Found;

/// Styles stand in the pages themselves; the one script comes from here; nothing else is loaded or sent anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const SCRIPT: &str = include_str!("live.js");

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn answer<B>(request: &Request<B>, gate: &Gate, source: &Source) -> Answer {
    let mut answer = match gate.judge(request.method(), request.uri(), request.headers()) {
        Verdict::Pass => route(request.uri().path(), source).await,
        Verdict::Enter { location, cookie } => enter(&location, &cookie),
        Verdict::Refuse(status, why) => refused(status, why),
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn route(path: &str, source: &Source) -> Answer {
    match path {
        "/" => {
            let (live, history) = (source.live().await, source.history().await);
            page(StatusCode::OK, pages::overview(&live, &history, source.host()))
        }
        "/live.json" => match serde_json::to_vec(&*source.live().await) {
            Ok(bytes) => plain(StatusCode::OK, "application/json", bytes),
            Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "cannot write JSON"),
        },
        "/live.js" => plain(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
        _ => match path.strip_prefix("/burst/") {
            Some(rest) => burst(rest, source).await,
            None => nowhere(),
        },
    }
}

/// `ID` and `ID/report.json`; an id is only ever compared with those that are known.
async fn burst(rest: &str, source: &Source) -> Answer {
    let (id, as_json) = match rest.strip_suffix("/report.json") {
        Some(id) => (id, true),
        None => (rest, false),
    };
    let found = match source.burst(id).await {
        Ok(found) => found,
        Err(error) => return refused(StatusCode::BAD_GATEWAY, &error.chain()),
    };
    match found {
        None => nowhere(),
        Some(Found::Report(report)) if as_json => match report.to_json() {
            Ok(text) => plain(StatusCode::OK, "application/json", text),
            Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "cannot write JSON"),
        },
        Some(Found::Report(report)) => page(StatusCode::OK, report.to_html()),
        Some(Found::Unended(_)) if as_json => nowhere(),
        Some(Found::Unended(notes)) => page(StatusCode::OK, pages::unended(id, &notes)),
    }
}

fn enter(location: &str, cookie: &str) -> Answer {
    let mut answer = plain(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    // Two slashes would be another machine.
    let location = format!("/{}", location.trim_start_matches('/'));
    for (name, value) in [(LOCATION, location.as_str()), (SET_COOKIE, cookie)] {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(answer.headers_mut().insert(name, value)),
            Err(_) => return refused(StatusCode::BAD_REQUEST, "this address cannot be answered"),
        }
    }
    answer
}

fn refused(status: StatusCode, why: &str) -> Answer {
    let mut answer = plain(status, "text/plain; charset=utf-8", format!("{why}\n"));
    let more = match status {
        StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "GET, HEAD")),
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
        _ => None,
    };
    if let Some((name, value)) = more {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn nowhere() -> Answer {
    refused(StatusCode::NOT_FOUND, "there is no such page; / has all that there are")
}

fn page(status: StatusCode, html: String) -> Answer {
    plain(status, "text/html; charset=utf-8", html)
}

fn plain(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
