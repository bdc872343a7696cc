//! The calls that drive a server: what it is, its sections, what it does, what it is told to do.

use std::time::Duration;

use reqwest::Method;

use super::model::{
    Account, Accounts, Activities, Activity, ButlerRoot, ButlerStarted, ButlerTask, Envelope, Identity, Item, ItemKind,
    MyPlex, NewSection, Page, Pass, RawPage, Section, Sections, ServerInfo, Session, Sessions, Setting, Settings,
};
use super::{Client, Error, Kind, Token};

/// Questions that a healthy server answers at once.
const QUICK: Duration = Duration::from_secs(10);
/// Listings of half a million items, and the claim, which goes out to plex.tv.
const LONG: Duration = Duration::from_secs(120);

impl Client {
    /// Who it is; needs no token.
    ///
    /// # Errors
    /// [`Error`]; `Starting` while it comes up.
    pub async fn identity(&self) -> Result<Identity, Error> {
        let call = self.call(Method::GET, "/identity").limit(QUICK);
        Ok(call.json::<Envelope<Identity>>().await?.container)
    }

    /// The server about itself.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        Ok(self
            .call(Method::GET, "/")
            .json::<Envelope<ServerInfo>>()
            .await?
            .container)
    }

    /// All sections with their roots.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sections(&self) -> Result<Vec<Section>, Error> {
        let call = self.call(Method::GET, "/library/sections");
        Ok(call.json::<Envelope<Sections>>().await?.container.sections)
    }

    /// Creates a section; Plex scans it at once. Gives its id.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_section(&self, new: &NewSection) -> Result<i64, Error> {
        let mut call = self
            .call(Method::POST, "/library/sections")
            .limit(LONG)
            .query("name", &new.title)
            .query("type", &new.kind)
            .query("agent", &new.agent)
            .query("scanner", &new.scanner)
            .query("language", &new.language);
        for location in &new.locations {
            call = call.query("location", location);
        }
        let malformed = call.error(Kind::Malformed(
            "no id of the new section in its Location header".to_owned(),
        ));
        let answer = call.send().await?;
        let id = answer
            .location
            .as_deref()
            .and_then(|path| path.rsplit('/').next()?.parse().ok());
        id.ok_or(malformed)
    }

    /// Scans a section for what is new; `force` refreshes all metadata too; `path` limits it to one folder.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn refresh(&self, section: i64, force: bool, path: Option<&str>) -> Result<(), Error> {
        let url = format!("/library/sections/{section}/refresh");
        let mut call = self.call(Method::GET, &url);
        if force {
            call = call.query("force", "1");
        }
        if let Some(path) = path {
            call = call.query("path", path);
        }
        call.send().await.map(drop)
    }

    /// Ends a section's scan.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_refresh(&self, section: i64) -> Result<(), Error> {
        let url = format!("/library/sections/{section}/refresh");
        self.call(Method::DELETE, &url).send().await.map(drop)
    }

    /// Analyses what a section has not analysed yet.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn analyze(&self, section: i64) -> Result<(), Error> {
        let url = format!("/library/sections/{section}/analyze");
        self.call(Method::PUT, &url).send().await.map(drop)
    }

    /// What the server does in the background.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn activities(&self) -> Result<Vec<Activity>, Error> {
        let call = self.call(Method::GET, "/activities").limit(QUICK);
        Ok(call.json::<Envelope<Activities>>().await?.container.activities)
    }

    /// Ends an activity; one that is gone already counts as ended.
    ///
    /// # Errors
    /// [`Error`]; `BadRequest` for one that cannot be cancelled.
    pub async fn cancel_activity(&self, uuid: &str) -> Result<(), Error> {
        let url = format!("/activities/{uuid}");
        match self.call(Method::DELETE, &url).send().await {
            Err(error) if !matches!(error.kind, Kind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    /// The butler's tasks.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn butler_tasks(&self) -> Result<Vec<ButlerTask>, Error> {
        Ok(self
            .call(Method::GET, "/butler")
            .json::<ButlerRoot>()
            .await?
            .tasks
            .tasks)
    }

    /// Starts one of the butler's tasks now. `MusicAnalysis` is what starts Sonic, for the whole backlog.
    ///
    /// # Errors
    /// [`Error`]; `NotFound` for a task that this version lacks.
    pub async fn start_butler(&self, task: &str) -> Result<ButlerStarted, Error> {
        let url = format!("/butler/{task}");
        let answer = self.call(Method::POST, &url).send().await?;
        Ok(if answer.status == 202 {
            ButlerStarted::Already
        } else {
            ButlerStarted::Now
        })
    }

    /// Stops one of the butler's tasks.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn stop_butler(&self, task: &str) -> Result<(), Error> {
        let url = format!("/butler/{task}");
        self.call(Method::DELETE, &url).send().await.map(drop)
    }

    /// Stops every task of the butler's and forgets those that wait.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn stop_all_of_butler(&self) -> Result<(), Error> {
        self.call(Method::DELETE, "/butler").send().await.map(drop)
    }

    /// All preferences that the server shows, hidden ones among them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn preferences(&self) -> Result<Vec<Setting>, Error> {
        let call = self.call(Method::GET, "/:/prefs");
        Ok(call.json::<Envelope<Settings>>().await?.container.settings)
    }

    /// One preference; none when this version lacks it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn preference(&self, name: &str) -> Result<Option<Setting>, Error> {
        let call = self.call(Method::GET, "/:/prefs/get").query("id", name);
        match call.json::<Envelope<Settings>>().await {
            Ok(answer) => Ok(answer.container.settings.into_iter().find(|setting| setting.id == name)),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::BadRequest(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets one preference. One at a time: a name that this version lacks makes Plex refuse the whole call.
    ///
    /// # Errors
    /// [`Error`]; `BadRequest` for an unknown name.
    pub async fn set_preference(&self, name: &str, value: &str) -> Result<(), Error> {
        self.call(Method::PUT, "/:/prefs")
            .query(name, value)
            .send()
            .await
            .map(drop)
    }

    /// Who plays something now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sessions(&self) -> Result<Vec<Session>, Error> {
        let call = self.call(Method::GET, "/status/sessions").limit(QUICK);
        let malformed = call.error(Kind::Malformed("more sessions announced than listed".to_owned()));
        let answer = call.json::<Envelope<Sessions>>().await?.container;
        if answer.size.unwrap_or(0) > 0 && answer.sessions.is_empty() {
            return Err(malformed);
        }
        Ok(answer.sessions)
    }

    /// Who may use the server.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        Ok(self
            .call(Method::GET, "/accounts")
            .json::<Envelope<Accounts>>()
            .await?
            .container
            .accounts)
    }

    /// Whether the server may do what needs Plex Pass.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pass(&self) -> Result<Pass, Error> {
        let call = self.call(Method::GET, "/myplex/account");
        let malformed = call.error(Kind::Malformed("no account in it".to_owned()));
        let answer: serde_json::Map<String, serde_json::Value> = call.json().await?;
        // The root is called MyPlex, MediaContainer in some versions: whichever it is, it is the only one.
        let root = answer.into_iter().next().map(|(_, value)| value);
        let account: MyPlex = root
            .and_then(|value| serde_json::from_value(value).ok())
            .ok_or(malformed)?;
        Ok(match (account.subscription_active, account.sign_in_state.as_str()) {
            (true, _) => Pass::Active,
            (false, "ok") => Pass::Inactive,
            (false, _) => Pass::Unclaimed,
        })
    }

    /// Makes a running server the account's, with a claim that is at most four minutes old.
    ///
    /// # Errors
    /// [`Error`]; its text never holds the claim.
    pub async fn claim(&self, claim: &Token) -> Result<(), Error> {
        let call = self.call(Method::POST, "/myplex/claim").limit(LONG);
        call.query("token", claim.reveal()).send().await.map(drop)
    }

    /// A page of a section's items: `size` of them from `start`. Size 0 only counts.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn items(&self, section: i64, kind: ItemKind, start: u64, size: u64) -> Result<Page, Error> {
        let url = format!("/library/sections/{section}/all");
        let call = self
            .call(Method::GET, &url)
            .limit(LONG)
            .query("type", &kind.number().to_string())
            .query("X-Plex-Container-Start", &start.to_string())
            .query("X-Plex-Container-Size", &size.to_string());
        let raw = call.json::<Envelope<RawPage>>().await?.container;
        let total = raw.total_size.and_then(|total| u64::try_from(total).ok());
        Ok(Page {
            // A server that ignores paging gives everything and no total.
            total: total.unwrap_or(raw.items.len() as u64),
            items: raw.items,
        })
    }

    /// How many items of a kind a section has.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn count(&self, section: i64, kind: ItemKind) -> Result<u64, Error> {
        Ok(self.items(section, kind, 0, 0).await?.total)
    }

    /// One item; none when there is no such one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn item(&self, id: i64) -> Result<Option<Item>, Error> {
        let url = format!("/library/metadata/{id}");
        match self.call(Method::GET, &url).json::<Envelope<RawPage>>().await {
            Ok(answer) => Ok(answer.container.items.into_iter().next()),
            Err(error) if matches!(error.kind, Kind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
