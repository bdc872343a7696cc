//! What can go wrong with a call to Plex, each told apart, since each means something else to whoever waits.
//!
//! No message holds a token: neither headers nor query strings are ever part of an error.

use std::time::Duration;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{call} on the {server} Plex server: {kind}")]
pub struct Error {
    /// Which server, in the user's words: "home", "worker".
    pub server: String,
    /// Method and path, without the query.
    pub call: String,
    /// What happened.
    pub kind: Kind,
}

/// What happened to a call.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// Nobody listens there (yet).
    #[error("connection refused")]
    Refused,
    /// The way to the server is broken before it was reached.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The connection ended in the middle of an answer.
    #[error("the connection broke off: {0}")]
    Broken(String),
    /// No complete answer within the call's limit.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// 503: it starts, or migrates its database. The text is what it says about itself.
    #[error("503, not ready yet{}", said(.0))]
    Starting(String),
    /// 401: no token, or one that this server does not know.
    #[error("401, not authorised")]
    Unauthorised,
    /// 403.
    #[error("403, forbidden{}", said(.0))]
    Forbidden(String),
    /// 404: no such object.
    #[error("404, not found")]
    NotFound,
    /// 400: Plex does not know a name or a value in the call.
    #[error("400, not accepted{}", said(.0))]
    BadRequest(String),
    /// Any other status.
    #[error("status {status}{}", said(.body))]
    Status {
        /// HTTP status.
        status: u16,
        /// The gist of the body.
        body: String,
    },
    /// An answer that is not what this call answers.
    #[error("an answer that cannot be read: {0}")]
    Malformed(String),
}

impl Error {
    /// Whether the same call may succeed a little later without anybody doing something.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match &self.kind {
            Kind::Refused | Kind::Unreachable(_) | Kind::Broken(_) | Kind::Timeout(_) | Kind::Starting(_) => true,
            Kind::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// What to do about it, where the error itself tells.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let server = &self.server;
        Some(match &self.kind {
            Kind::Refused => {
                format!("is the {server} Plex server running, and is this its address and port?")
            }
            Kind::Unreachable(_) => format!("check the address of the {server} Plex server"),
            Kind::Timeout(_) => {
                format!("the {server} Plex server is busy or stuck: look into its log, `Logs/Plex Media Server.log`")
            }
            Kind::Starting(_) => "Plex starts or migrates its database; wait until it answers".to_owned(),
            Kind::Unauthorised => format!(
                "the token is missing or not one of the {server} Plex server: it is PlexOnlineToken in its \
                 Preferences.xml, or the text of .LocalAdminToken beside it while it runs"
            ),
            Kind::Forbidden(_) => "the token must be the one of the server's owner".to_owned(),
            Kind::BadRequest(_) => "this version of Plex does not know a name or a value in the call".to_owned(),
            _ => return None,
        })
    }
}

/// Longest piece of a server's answer that is repeated in a message.
const SAID: usize = 160;

/// The gist of an answer's body: tags taken out, white space folded, shortened.
pub(super) fn gist(body: &str) -> String {
    let mut text = String::new();
    let mut tag = false;
    for c in body.chars() {
        match c {
            '<' => {
                tag = true;
                text.push(' ');
            }
            '>' => tag = false,
            _ if !tag => text.push(c),
            _ => {}
        }
    }
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    folded.chars().take(SAID).collect()
}

fn said(body: &str) -> String {
    if body.is_empty() {
        String::new()
    } else {
        format!(" ({body})")
    }
}

#[cfg(test)]
mod tests {
    use super::gist;

    #[test]
    fn the_gist_of_html_is_its_text() {
        let html = "<html><head><title>Unauthorized</title></head><body><h1>401 Unauthorized</h1></body></html>";
        assert_eq!(gist(html), "Unauthorized 401 Unauthorized");
        assert_eq!(gist(&"x".repeat(1000)).len(), super::SAID);
        assert_eq!(gist(""), "");
    }
}
