//! Guard 3: the preferences by which Plex may delete are off, on the worker before any scan, at home for the burst.
//!
//! Set one by one and read back; a preference that stays on is a refusal. The values from before are kept by the
//! caller (in the journal) and put back with [`put_back`].

use std::collections::BTreeMap;

use super::super::client::{Client, Error as CallError};

/// What deletes, and the value at which it does not.
pub const OFF: [(&str, &str); 5] = [
    // Rows of files that a scan did not see.
    ("autoEmptyTrash", "0"),
    // Files, from an app.
    ("allowMediaDeletion", "0"),
    // Bundles of items that the database does not know: those that were just brought.
    ("ButlerTaskCleanOldBundles", "0"),
    // Blobs whose owner is gone: all of them when the two databases are out of step for a moment.
    ("ButlerTaskGarbageCollectBlobs", "0"),
    ("ButlerTaskGarbageCollectLibraryMedia", "0"),
];

/// The values from before by name, to be put back: a journal keeps this.
pub type Saved = BTreeMap<String, String>;

/// Why the guard refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It was set to off and is on.
    #[error("the preference {name} of the {server} Plex server stays at {value}")]
    StaysOn {
        /// Which server.
        server: String,
        /// Which preference.
        name: String,
        /// What it says.
        value: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Call(call) => call.hint(),
            Self::StaysOn { server, .. } => Some(format!(
                "turn it off by hand (Settings, Library of the {server} Plex server): with it on, files that a mount \
                 does not show for a moment are deleted from the library"
            )),
        }
    }
}

/// What the deleting preferences are now; those that this version lacks are left out.
///
/// # Errors
/// The server does not answer.
pub async fn read_deleting(client: &Client) -> Result<Saved, CallError> {
    let mut saved = Saved::default();
    for (name, _) in OFF {
        if let Some(setting) = client.preference(name).await? {
            saved.insert(name.to_owned(), setting.value);
        }
    }
    Ok(saved)
}

/// Turns them off and proves it. Keep the result of [`read_deleting`] before this.
///
/// # Errors
/// [`Error`].
pub async fn forbid_deleting(client: &Client) -> Result<(), Error> {
    for (name, value) in OFF {
        let Some(setting) = client.preference(name).await? else {
            continue;
        };
        if !setting.is(value) {
            client.set_preference(name, value).await?;
        }
    }
    prove_off(client).await
}

/// Proves that they are off, without setting anything: before each scan.
///
/// # Errors
/// [`Error`].
pub async fn prove_off(client: &Client) -> Result<(), Error> {
    for (name, off) in OFF {
        match client.preference(name).await? {
            Some(setting) if !setting.is(off) => {
                let (server, name, value) = (client.server().to_owned(), name.to_owned(), setting.value);
                return Err(Error::StaysOn { server, name, value });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts the values from before back.
///
/// # Errors
/// The server does not answer, or no longer accepts one of them.
pub async fn put_back(client: &Client, saved: &Saved) -> Result<(), CallError> {
    for (name, value) in saved {
        client.set_preference(name, value).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::plex::canned::{Answer, Canned};
    use crate::plex::client::Address;

    type Values = Arc<Mutex<BTreeMap<String, String>>>;

    /// A server whose boolean preferences can be set, but for `stuck`.
    async fn server(values: Values, stuck: Option<&'static str>) -> (Canned, Client) {
        let server = Canned::start(move |request| {
            let (_, query) = request.target.split_once('?').unwrap();
            let (name, value) = query.split_once('=').unwrap();
            let mut values = values.lock().unwrap();
            if request.method == "PUT" {
                if stuck != Some(name) {
                    values.insert(name.to_owned(), value.to_owned());
                }
                return Answer::new(200, "");
            }
            values.get(value).map_or(Answer::new(404, ""), |now| {
                let now = now == "1";
                Answer::json(format!(
                    r#"{{"MediaContainer":{{"Setting":[{{"id":"{value}","type":"bool","value":{now}}}]}}}}"#
                ))
            })
        })
        .await;
        let client = Client::new("home", &Address::Http(server.base()), None).unwrap();
        (server, client)
    }

    fn on() -> Values {
        let names = ["autoEmptyTrash", "allowMediaDeletion", "ButlerTaskCleanOldBundles"];
        let mut values: BTreeMap<_, _> = names.map(|name| (name.to_owned(), "1".to_owned())).into();
        values.insert("ButlerTaskGarbageCollectBlobs".to_owned(), "0".to_owned());
        Arc::new(Mutex::new(values))
    }

    #[tokio::test]
    async fn off_and_back_to_what_each_was() {
        let values = on();
        let before = values.lock().unwrap().clone();
        let (_server, client) = server(values.clone(), None).await;
        assert!(matches!(prove_off(&client).await, Err(Error::StaysOn { .. })));
        let saved = read_deleting(&client).await.unwrap();
        assert_eq!(saved.len(), 4);
        forbid_deleting(&client).await.unwrap();
        forbid_deleting(&client).await.unwrap();
        assert!(values.lock().unwrap().values().all(|value| value == "0"));
        put_back(&client, &saved).await.unwrap();
        assert_eq!(*values.lock().unwrap(), before);
    }

    #[tokio::test]
    async fn one_that_stays_on_is_a_refusal() {
        let (_server, client) = server(on(), Some("autoEmptyTrash")).await;
        let error = forbid_deleting(&client).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the preference autoEmptyTrash of the home Plex server stays at 1"
        );
        assert!(error.hint().is_some());
    }
}
