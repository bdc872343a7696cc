//! What a handler answers, and how it becomes an HTTP response with the headers that every Plex answer has.
//!
//! Errors are small HTML pages even for clients that asked for JSON (facts/plex.md §5.1).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::element::Element;
use crate::prefs::PrefsError;
use crate::store::StoreError;

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Content,
    headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
enum Content {
    Empty,
    Tree(Element),
}

impl Reply {
    /// 200 with nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            status: StatusCode::OK,
            body: Content::Empty,
            headers: Vec::new(),
        }
    }

    /// 200 with a tree.
    pub(crate) fn tree(root: Element) -> Self {
        Self {
            status: StatusCode::OK,
            body: Content::Tree(root),
            headers: Vec::new(),
        }
    }

    /// With another status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With the activity that the request started, if it did.
    pub(crate) fn activity(self, uuid: Option<String>) -> Self {
        match uuid {
            Some(uuid) => self.header("X-Plex-Activity", uuid),
            None => self,
        }
    }

    /// As an HTTP response.
    pub(crate) fn into_response(self, json: bool) -> Response<Body> {
        let (kind, body) = match self.body {
            Content::Empty => (None, String::new()),
            Content::Tree(root) if json => (Some("application/json"), root.to_json()),
            Content::Tree(root) => (Some("text/xml;charset=utf-8"), root.to_xml()),
        };
        let mut response = respond(self.status, kind, body);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Why a request was not answered with a good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// 400, with what goes to the log.
    #[error("{0}")]
    BadRequest(String),
    /// 401.
    #[error("no or a wrong token")]
    Unauthorized,
    /// 403, with what goes to the log.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("not found")]
    NotFound,
    /// 503 while the server is not ready, or no longer.
    #[error("{0}")]
    Unavailable(&'static str),
    /// 500, with what goes to the log.
    #[error("{0}")]
    Internal(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Failure::NotFound,
            error => Failure::Internal(format!("database: {error}")),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Internal(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Internal(error.to_string())
    }
}

impl From<PrefsError> for Failure {
    fn from(error: PrefsError) -> Self {
        match error {
            PrefsError::Unknown(_) | PrefsError::Unfit { .. } => Failure::BadRequest(error.to_string()),
            error => Failure::Internal(error.to_string()),
        }
    }
}

impl Failure {
    /// As an HTTP response.
    pub(crate) fn into_response(self) -> Response<Body> {
        let (status, title) = match self {
            Failure::BadRequest(_) => (StatusCode::BAD_REQUEST, "Bad Request"),
            Failure::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Failure::Forbidden(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            Failure::NotFound => (StatusCode::NOT_FOUND, "Not Found"),
            Failure::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Failure::Unavailable(text) => {
                let body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response code=\"503\" title=\"Maintenance\" status=\"{text}\" />\n"
                );
                return respond(StatusCode::SERVICE_UNAVAILABLE, Some("text/xml;charset=utf-8"), body);
            }
        };
        let code = status.as_u16();
        let body = format!("<html><head><title>{title}</title></head><body><h1>{code} {title}</h1></body></html>");
        respond(status, Some("text/html"), body)
    }
}

fn respond(status: StatusCode, kind: Option<&'static str>, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("x-plex-protocol", HeaderValue::from_static("1.0"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Keep-Alive"));
    headers.insert("keep-alive", HeaderValue::from_static("timeout=20"));
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unauthorized_page_has_91_bytes() {
        let response = Failure::Unauthorized.into_response();
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.headers()["x-plex-protocol"], "1.0");
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(body.len(), 91);
    }
}
