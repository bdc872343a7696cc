//! The worker's server and the household's account: claims for it when it asks, an identity that is kept from burst to
//! burst, and its removal from the account when it is not needed any more.
//!
//! The account's token stays with the controller. What a worker needs it is given: a claim that lives four minutes, or
//! the kept identity, which is sealed on disk (age, mode 0600) and used by one burst at a time: two servers with one
//! identity fight.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use super::Controller;
use super::place::Place;
use crate::burst::claim::{self, Answer, SEALED, Wish, keeps};
use crate::burst::phase::Phase;
use crate::burst::spec::key;
use crate::burst::{elsewhere, journal, store};
use crate::config::{Config, rented};
use crate::depot::UserKey;
use crate::error::{Context, Error, Result};
use crate::plex::account::{PlexTv, read_token};
use crate::plex::preferences::Preferences;
use crate::secret::Token;

/// What makes a server that server (facts/plex.md §4.3).
const IDENTITY: [&str; 11] = [
    "MachineIdentifier",
    "ProcessedMachineIdentifier",
    "AnonymousMachineIdentifier",
    "CertificateUUID",
    "CertificateVersion",
    "PlexOnlineToken",
    "PlexOnlineUsername",
    "PlexOnlineMail",
    "PlexOnlineHome",
    "PubSubServer",
    "PubSubServerRegion",
];

/// The account, where its token is configured.
pub(super) fn account(config: &Config) -> Result<Option<PlexTv>> {
    let Some(path) = &config.worker.account_token_file else {
        return Ok(None);
    };
    PlexTv::new(config.worker.plextv_url.as_deref(), &read_token(path)?).map(Some)
}

/// Answers the worker's wishes for a claim.
#[derive(Debug, Default)]
pub(super) struct Desk {
    answered: Option<String>,
}

impl Desk {
    /// Looks whether the worker wants one, and gives it what there is.
    pub(super) async fn attend(&mut self, c: &Controller, place: &Place) -> Result<()> {
        let Some(bytes) = c.depot.read(key::CLAIM_WANTED).await? else {
            return Ok(());
        };
        let wish: Wish = serde_json::from_slice(&bytes)
            .map_err(|e| Error::unexpected("cannot understand what the worker wants").because(e))?;
        if self.answered.as_deref() == Some(&wish.id) {
            return Ok(());
        }
        let answer = match obtain(c, &wish).await {
            Ok((claim, from)) => Answer::to(&wish, Some(&claim), from),
            Err(why) => Answer::to(&wish, None, &why),
        };
        let text = serde_json::to_vec(&answer).context(|| "cannot answer the worker".to_owned())?;
        place.hand_over(c, &text).await?;
        self.answered = Some(wish.id);
        Ok(())
    }
}

/// A claim and where it comes from, or why there is none.
async fn obtain(c: &Controller, wish: &Wish) -> std::result::Result<(Token, &'static str), String> {
    match account(&c.request.config) {
        Ok(Some(account)) => match account.claim().await {
            Ok(claim) => return Ok((claim, "a claim fetched with the account's token")),
            Err(error) => c.printer().warn(&error.chain()),
        },
        Ok(None) => {}
        Err(error) => c.printer().warn(&error.chain()),
    }
    // One that was put there since the worker was told.
    let file = c.request.config.worker.claim_file.as_deref();
    if file.is_none_or(|path| claim::too_old(path).is_none())
        && let Ok(Some(text)) = rented::claim(file)
    {
        let claim = Token::new(&text);
        if !claim.reveal().is_empty() && !wish.tried.contains(&claim::mark(&claim)) {
            return Ok((claim, "the claim that was given"));
        }
    }
    c.printer().clear();
    match asked().await {
        Some(claim) if !claim.reveal().is_empty() => Ok((claim, "the claim that was typed in")),
        Some(_) => Err("none was typed in".to_owned()),
        None => {
            Err("no account's token and no fresh claim is configured, and there is no terminal to ask on".to_owned())
        }
    }
}

/// Asks at the terminal; nothing else prints meanwhile, since whoever prints waits for this. None without a terminal.
async fn asked() -> Option<Token> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread of its own: a runtime would wait for a read that an interruption leaves behind.
    std::thread::spawn(move || {
        let (input, output) = (std::io::stdin(), std::io::stderr());
        let mut line = String::new();
        let question = "The worker's Plex is up and wants to belong to your account.\n\
                        Open https://plex.tv/claim and paste the code (empty: no Sonic analysis): ";
        let asked = write!(output.lock(), "{question}")
            .and_then(|()| output.lock().flush())
            .and_then(|()| input.lock().read_line(&mut line));
        let _ = tell.send(asked.is_ok().then(|| Token::new(&line)));
    });
    told.await.ok().flatten()
}

/// The folder of the kept identity.
fn folder(c: &Controller) -> PathBuf {
    store::state_dir(c.dir()).join(claim::FOLDER)
}

/// Which burst has it.
const USER: &str = "used-by";

/// The kept identity for this burst's worker; none when there is none, or another burst has it.
pub(super) fn take(c: &Controller) -> Result<Option<Vec<u8>>> {
    let dir = folder(c);
    let sealed = dir.join(SEALED);
    if !keeps(&c.request.config) || !sealed.is_file() {
        return Ok(None);
    }
    let used_by = std::fs::read_to_string(dir.join(USER)).unwrap_or_default();
    if !used_by.is_empty() && used_by != c.id() && is_live(c, &used_by) {
        c.printer().warn(&format!(
            "the kept identity is used by burst {used_by}; this worker needs a claim of its own"
        ));
        return Ok(None);
    }
    let key = UserKey::ensure(&dir.join("key"))?;
    let bytes = std::fs::read(&sealed).context(|| format!("cannot read {}", sealed.display()))?;
    let identity = key
        .open(&bytes)
        .map_err(|e| e.hint(format!("remove {} to have a new claim asked for", sealed.display())))?;
    plex_library::publish::file(&dir.join(USER), c.id().as_bytes())
        .context(|| format!("cannot write in {}", dir.display()))?;
    Ok(Some(identity))
}

/// Whether that burst has not ended.
fn is_live(c: &Controller, id: &str) -> bool {
    store::find(&store::state_dir(c.dir()), Some(id))
        .is_ok_and(|known| matches!(known.standing, store::Standing::Resumable { .. }))
}

/// Keeps the identity that the worker's server has by now, when it belongs to the account.
pub(super) async fn keep(c: &Controller, place: &Place) -> Result<()> {
    if !keeps(&c.request.config) || c.request.options.quick {
        return Ok(());
    }
    let text = match place.preferences(c).await {
        Ok(text) => text,
        Err(error) => {
            c.printer()
                .warn(&format!("the worker's identity is not kept: {}", error.chain()));
            return Ok(());
        }
    };
    let preferences = Preferences::parse(&text)
        .map_err(|why| Error::failed(format!("the worker's Preferences.xml cannot be read: {why}")))?;
    if preferences.token().is_none() {
        return Ok(());
    }
    let identity: BTreeMap<&str, &str> = IDENTITY
        .iter()
        .filter_map(|name| Some((*name, preferences.get(name)?)))
        .collect();
    let bytes = serde_json::to_vec(&identity).context(|| "cannot keep the worker's identity".to_owned())?;
    let dir = folder(c);
    let key = UserKey::ensure(&dir.join("key"))?;
    plex_library::publish::file(&dir.join(SEALED), &key.seal(&bytes)?)
        .context(|| format!("cannot write in {}", dir.display()))
}

/// The worker is gone: a fetched identity leaves the account, a kept one is free for the next burst. Failing here fails no
/// burst.
pub(super) async fn leave(c: &Controller, phase: Phase) -> Result<()> {
    let user = folder(c).join(USER);
    if std::fs::read_to_string(&user).is_ok_and(|id| id == c.id()) {
        std::fs::remove_file(&user).context(|| format!("cannot remove {}", user.display()))?;
    }
    let entries = elsewhere::entries_of_worker(&c.depot).await?;
    let started: Option<crate::burst::worker::Started> = journal::facts(&entries, Phase::Start).ok().flatten();
    let Some(machine) = started
        .map(|started| started.machine)
        .filter(|machine| !machine.is_empty())
    else {
        return Ok(());
    };
    let removed = match account(&c.request.config) {
        Ok(Some(account)) => account.remove(&machine).await,
        Ok(None) => return Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Ok(true) => c.side.note(phase, "the worker's server is gone from the account"),
        Ok(false) => Ok(()),
        Err(error) => c.side.note(
            phase,
            format!(
                "warning: the worker's server {machine} may still be in the account ({}): remove it at plex.tv, under \
                 Authorized Devices",
                error.chain()
            ),
        ),
    }
}
