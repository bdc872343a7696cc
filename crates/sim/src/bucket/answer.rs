//! The protocol: ListObjectsV2, HEAD and GET of an object, and the errors of a real server in XML.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::page::{self, Asked};
use super::{ACCESS_KEY, Fault, Shared};

/// The largest body that is made up at once.
const BODY: u64 = 4 << 20;

type Parameters = Query<HashMap<String, String>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/{bucket}", axum::routing::any(bucket))
        .route("/{bucket}/", axum::routing::any(bucket))
        .route("/{bucket}/{*key}", axum::routing::any(object))
        .with_state(shared)
}

async fn bucket(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
    Query(asked): Parameters,
) -> Response {
    if !is_known(&headers) {
        return error(
            StatusCode::FORBIDDEN,
            "InvalidAccessKeyId",
            "the access key does not exist",
        );
    }
    if name != shared.bucket.name {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket", "the bucket does not exist");
    }
    if method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    if method != Method::GET {
        return error(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the bucket is read only",
        );
    }
    list(&shared, asked)
}

fn list(shared: &Shared, mut asked: HashMap<String, String>) -> Response {
    let number = shared.pages.fetch_add(1, Ordering::Relaxed);
    let fault = shared.fault();
    if let Some(Fault::Status(from, status)) = fault
        && number >= from
    {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = match status {
            StatusCode::SERVICE_UNAVAILABLE => "SlowDown",
            StatusCode::FORBIDDEN => "AccessDenied",
            _ => "InternalError",
        };
        return error(status, code, "as told");
    }
    if asked.get("list-type").map(String::as_str) != Some("2") {
        return error(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "only ListObjectsV2 is known",
        );
    }
    let mut word = |name: &str| asked.remove(name).filter(|value| !value.is_empty());
    let token = word("continuation-token");
    let after = match &token {
        Some(token) => match page::mark(token) {
            Some(mark) => mark,
            None => {
                return error(
                    StatusCode::BAD_REQUEST,
                    "InvalidArgument",
                    "the continuation token is wrong",
                );
            }
        },
        None => word("start-after").unwrap_or_default(),
    };
    let asked = Asked {
        prefix: word("prefix").unwrap_or_default(),
        delimiter: word("delimiter"),
        after,
        max: word("max-keys")
            .and_then(|max| max.parse().ok())
            .unwrap_or(page::MOST)
            .min(page::MOST),
        is_encoded: word("encoding-type").is_some_and(|kind| kind == "url"),
        forgets: match fault {
            Some(Fault::Forgets(every)) => Some(every.max(1)),
            _ => None,
        },
    };
    let mut page = shared.bucket.page(&asked);
    match fault {
        Some(Fault::EndsEarly(from)) if number >= from => page.next = None,
        // A token that is empty is not written.
        Some(Fault::NoToken(from)) if number >= from && page.next.is_some() => page.next = Some(String::new()),
        Some(Fault::SameToken(from)) if number >= from && page.next.is_some() => page.next = Some(asked.after.clone()),
        _ => {}
    }
    let mut xml = shared.bucket.to_xml(&asked, &page);
    let half = (0..=xml.len() / 2)
        .rev()
        .find(|at| xml.is_char_boundary(*at))
        .unwrap_or(0);
    match fault {
        Some(Fault::HalfPage(from)) if number >= from => xml.truncate(half),
        Some(Fault::Cut(from)) if number >= from => {
            let length = xml.len();
            xml.truncate(half);
            return broken_off(xml, length);
        }
        _ => {}
    }
    ([(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}

/// Half a body under the length of a whole one: the connection is closed before its end.
fn broken_off(half: String, length: usize) -> Response {
    let chunks = [Ok(Bytes::from(half)), Err("as told")];
    let body = Body::from_stream(Chunks(chunks.into_iter()));
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// What is left to send.
struct Chunks<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Chunks<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

async fn object(
    State(shared): State<Arc<Shared>>,
    Path((name, key)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Infallible> {
    if !is_known(&headers) {
        return Ok(error(
            StatusCode::FORBIDDEN,
            "InvalidAccessKeyId",
            "the access key does not exist",
        ));
    }
    if name != shared.bucket.name {
        return Ok(error(
            StatusCode::NOT_FOUND,
            "NoSuchBucket",
            "the bucket does not exist",
        ));
    }
    let Some(size) = shared.bucket.size(&key) else {
        return Ok(error(StatusCode::NOT_FOUND, "NoSuchKey", "the key does not exist"));
    };
    let mut response = if method == Method::HEAD {
        Response::new(Body::empty())
    } else if size > BODY {
        return Ok(error(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "names only: this body is too large",
        ));
    } else {
        let seed = key.bytes().fold(0u8, u8::wrapping_add);
        Response::new(Body::from(vec![seed; usize::try_from(size).unwrap_or(0)]))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(
        header::LAST_MODIFIED,
        HeaderValue::from_static("Wed, 01 May 2024 12:00:00 GMT"),
    );
    headers.insert(
        header::ETAG,
        HeaderValue::from_static("\"00000000000000000000000000000000\""),
    );
    Ok(response)
}

/// The key stands in the header of version 4 of the signature.
fn is_known(headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains(&format!("Credential={ACCESS_KEY}/")))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}
