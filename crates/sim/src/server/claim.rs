//! Signing the server in and out.

use std::sync::Arc;

use super::tempo::seconds;
use crate::plextv::{Account, ClaimedServer, PlexTvError};
use crate::prefs::PrefsError;
use crate::server::Server;

/// Why a server could not be claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// There is no plex.tv to ask.
    #[error("plex.tv cannot be reached (PLEX_SIM_PLEXTV is not set)")]
    Unreachable,
    /// plex.tv said no.
    #[error(transparent)]
    Refused(#[from] PlexTvError),
    /// The token could not be kept.
    #[error(transparent)]
    Prefs(#[from] PrefsError),
}

/// Trades a claim token for the server's own and keeps it.
pub(crate) fn claim(server: &Arc<Server>, token: &str) -> Result<(), ClaimError> {
    let plextv = server.plextv.as_ref().ok_or(ClaimError::Unreachable)?;
    let machine = server.prefs().machine_identifier().to_owned();
    let (claimed, account) = plextv.exchange(token, &machine)?;
    let delay = seconds(server.tempo().claim_delay_seconds);
    if delay.is_zero() {
        return keep(server, claimed, account).map_err(ClaimError::from);
    }
    let server = Arc::clone(server);
    std::thread::spawn(move || {
        std::thread::sleep(delay);
        if let Err(error) = keep(&server, claimed, account) {
            server.log.error(format_args!("MyPlex: {error}"));
        }
    });
    Ok(())
}

fn keep(server: &Server, claimed: ClaimedServer, account: Account) -> Result<(), PrefsError> {
    server.prefs().identify(&[
        ("PlexOnlineToken", Some(claimed.token)),
        ("PlexOnlineUsername", Some(account.username.clone())),
        ("PlexOnlineMail", Some(account.email)),
        ("PlexOnlineHome", Some("0".to_owned())),
    ])?;
    server.log.info(format_args!("MyPlex: claimed by {}", account.username));
    Ok(())
}

/// Takes the server out of the account, which it tells plex.tv when it can.
pub(crate) fn release(server: &Server) -> Result<(), PrefsError> {
    let machine = server.prefs().machine_identifier().to_owned();
    if let Some(Err(error)) = server.plextv.as_ref().map(|plextv| plextv.forget(&machine)) {
        server.log.warn(format_args!("MyPlex: {error}"));
    }
    server.prefs().identify(&[
        ("PlexOnlineToken", None),
        ("PlexOnlineUsername", None),
        ("PlexOnlineMail", None),
        ("PlexOnlineHome", None),
    ])
}
