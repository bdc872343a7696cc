//! plex.tv, as far as a worker's server needs it: a claim at the moment of use, and its removal from the account
//! afterwards (facts/plex.md §7.3). Both want the account's own token, which no worker ever gets.
//!
//! Must not: put the token or a claim anywhere but into a header and the caller's hands.

use std::path::Path;
use std::time::Duration;

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

use crate::error::{Error, Result};
use crate::secret::Token;

/// Where it is.
pub const PLEX_TV: &str = "https://plex.tv";
/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(30);

/// An account at plex.tv.
#[derive(Clone)]
pub struct PlexTv {
    http: reqwest::Client,
    base: String,
}

impl std::fmt::Debug for PlexTv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlexTv({})", self.base)
    }
}

/// The account's token out of a file that nobody else can read.
///
/// # Errors
/// It cannot be read, or others can read it too.
pub fn read_token(path: &Path) -> Result<Token> {
    use std::os::unix::fs::PermissionsExt;
    let wrong = |e: std::io::Error| {
        Error::usage(format!("cannot read the account's token in {}", path.display()))
            .hint("`worker.account_token_file` names a file (mode 0600) with it")
            .because(e)
    };
    let mode = std::fs::metadata(path).map_err(wrong)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(
            Error::usage(format!("others can read {}", path.display())).hint(format!("chmod 600 {}", path.display()))
        );
    }
    let token = Token::new(&std::fs::read_to_string(path).map_err(wrong)?);
    if token.reveal().is_empty() {
        return Err(Error::usage(format!("{} is empty", path.display()))
            .hint("put the account's token (X-Plex-Token of a signed-in client) into it"));
    }
    Ok(token)
}

impl PlexTv {
    /// The account of `token`; nothing is asked yet.
    ///
    /// # Errors
    /// A token that no header can carry.
    pub fn new(base: Option<&str>, token: &Token) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/xml"));
        headers.insert("X-Plex-Product", HeaderValue::from_static("plexburst"));
        headers.insert("X-Plex-Client-Identifier", HeaderValue::from_static("plexburst"));
        let mut value = HeaderValue::from_str(token.reveal())
            .map_err(|_| Error::usage("the account's token has characters that a header cannot carry"))?;
        value.set_sensitive(true);
        headers.insert("X-Plex-Token", value);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::unexpected("cannot speak HTTP").because(e))?;
        Ok(Self {
            http,
            base: base.unwrap_or(PLEX_TV).trim_end_matches('/').to_owned(),
        })
    }

    async fn ask(&self, method: Method, path: &str, doing: &str) -> Result<String> {
        let failed = |e: reqwest::Error| {
            Error::failed(format!("plex.tv cannot be reached at {}, to {doing}", self.base))
                .hint("see that this machine reaches plex.tv")
                .because(e.without_url())
        };
        let answer = self
            .http
            .request(method, format!("{}{path}", self.base))
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        if status.as_u16() == 401 {
            return Err(
                Error::failed(format!("plex.tv does not know the account's token, to {doing}"))
                    .hint("it may have been withdrawn: put a new one into `worker.account_token_file`"),
            );
        }
        if !status.is_success() {
            return Err(
                Error::failed(format!("plex.tv answered {status} when asked to {doing}")).hint("try again later"),
            );
        }
        answer.text().await.map_err(failed)
    }

    /// A fresh claim: good for four minutes, and once.
    ///
    /// # Errors
    /// plex.tv cannot be reached, or refuses.
    pub async fn claim(&self) -> Result<Token> {
        #[derive(serde::Deserialize)]
        struct Given {
            token: String,
        }
        let text = self
            .ask(Method::GET, "/api/claim/token.json", "give a claim for the worker")
            .await?;
        // Not with the parser's own words: they may repeat the text.
        let given: Given = serde_json::from_str(&text)
            .map_err(|_| Error::failed("plex.tv gave something that is no claim").hint("try again later"))?;
        Ok(Token::new(&given.token))
    }

    /// Takes the server `machine` (its machineIdentifier) out of the account; whether it was in it.
    ///
    /// # Errors
    /// plex.tv cannot be reached, or refuses.
    pub async fn remove(&self, machine: &str) -> Result<bool> {
        let list = self
            .ask(Method::GET, "/devices.xml", "list the account's servers")
            .await?;
        let Some(id) = device(&list, machine) else {
            return Ok(false);
        };
        self.ask(
            Method::DELETE,
            &format!("/devices/{id}.xml"),
            "remove the worker's server from the account",
        )
        .await?;
        Ok(true)
    }
}

/// The number of the device with that identifier.
fn device(list: &str, machine: &str) -> Option<u64> {
    let mut reader = quick_xml::Reader::from_str(list);
    loop {
        match reader.read_event().ok()? {
            Event::Empty(element) | Event::Start(element) if element.name().as_ref() == "Device" => {
                let value = |name: &str| {
                    let attribute = element.attributes().flatten().find(|a| a.key.as_ref() == name)?;
                    Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
                };
                if value("clientIdentifier").as_deref() == Some(machine) {
                    return value("id")?.parse().ok();
                }
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_claim_by_the_accounts_token_and_the_server_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let store = sim::plextv::PlexTv::at(dir.path());
        let owner = store.household(true).unwrap();
        let served = sim::plextv::Served::start(store.clone()).unwrap();
        let account = PlexTv::new(Some(&served.url()), &Token::new(&owner.token)).unwrap();
        let claim = account.claim().await.unwrap();
        assert!(claim.reveal().starts_with("claim-"));
        let machine = "0123456789abcdef0123456789abcdef01234567";
        store.exchange(claim.reveal(), machine).unwrap();
        assert_eq!(store.servers_of("owner").unwrap().len(), 1);
        assert!(account.remove(machine).await.unwrap());
        assert!(store.servers_of("owner").unwrap().is_empty());
        assert!(!account.remove(machine).await.unwrap());

        let stranger = PlexTv::new(Some(&served.url()), &Token::new("nobody")).unwrap();
        let error = stranger.claim().await.unwrap_err();
        assert!(
            error.chain().contains("does not know the account's token"),
            "{}",
            error.chain()
        );
        let url = served.url();
        drop(served);
        let error = PlexTv::new(Some(&url), &Token::new(&owner.token))
            .unwrap()
            .claim()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("cannot be reached"), "{error}");
        assert!(!error.chain().contains(&owner.token) && error.hint_text().is_some());
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(read_token(&path).unwrap_err().to_string().contains("others can read"));
        mode(0o600);
        assert_eq!(read_token(&path).unwrap().reveal(), "s3cret");
        assert!(read_token(&dir.path().join("none")).is_err());
    }
}
