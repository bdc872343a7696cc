//! Signing the server in and out.

use crate::plextv::PlexTvError;
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
pub(crate) fn claim(server: &Server, token: &str) -> Result<(), ClaimError> {
    let plextv = server.plextv.as_ref().ok_or(ClaimError::Unreachable)?;
    let machine = server.prefs().machine_identifier().to_owned();
    let (claimed, account) = plextv.exchange(token, &machine)?;
    server.prefs().identify(&[
        ("PlexOnlineToken", Some(claimed.token)),
        ("PlexOnlineUsername", Some(account.username.clone())),
        ("PlexOnlineMail", Some(account.email)),
        ("PlexOnlineHome", Some("0".to_owned())),
    ])?;
    server.log.info(format_args!("MyPlex: claimed by {}", account.username));
    Ok(())
}

/// Forgets the account.
pub(crate) fn release(server: &Server) -> Result<(), PrefsError> {
    server.prefs().identify(&[
        ("PlexOnlineToken", None),
        ("PlexOnlineUsername", None),
        ("PlexOnlineMail", None),
        ("PlexOnlineHome", None),
    ])
}
