//! Guards on the two servers and on this machine, before anything.

use std::path::Path;

use super::{Finding, Guard};
use crate::burst::runtime::{self, Way};
use crate::config::{Config, RuntimeMode};
use crate::error::{Error, Result};
use crate::exit;
use crate::home::{Home, kept, room};
use crate::plex::account::read_token;
use crate::plex::client::Pass;
use crate::plex::runtime::docker::{self, Engine, Image, Presence};

/// Home's server answers, accepts the token, and can be stopped and started.
pub(super) async fn home_healthy(home: &Home) -> Result<Finding> {
    home.check_commands()?;
    let client = home.client()?;
    let identity = client.identity().await.map_err(|e| {
        Error::new(exit::USAGE, format!("home does not answer at {}", home.url()))
            .hint("start home's server, correct `home.url`, or use `--archive FILE` instead of a live home")
            .because(Error::from(e))
    })?;
    // An address that answers without accepting the token would only be noticed after hours.
    let sections = client.sections().await?;
    Ok(Finding::passed(
        Guard::HomeHealthy,
        format!(
            "Plex {} answers at {} with {} sections, and can be stopped and started",
            identity.version,
            home.url(),
            sections.len()
        ),
    ))
}

/// The structure of both databases: a burst on a damaged library brings the damage home.
pub(super) fn library_sound(databases: &plex_library::Databases) -> Result<Finding> {
    let verification = tokio::task::block_in_place(|| {
        plex_library::verify::verify(databases.dir(), plex_library::verify::Level::Quick)
    })?;
    let problems: Vec<String> = verification.problems.iter().map(ToString::to_string).collect();
    Ok(if verification.ok {
        Finding::passed(Guard::LibrarySound, "both databases are whole")
    } else {
        Finding::refused(
            Guard::LibrarySound,
            format!(
                "home's library is damaged: {}",
                super::some(problems.iter().map(String::as_str))
            ),
            format!(
                "`plexburst verify {}` has all of it; restore a backup of Plex's before anything is spent",
                databases.dir().display()
            ),
        )
    })
}

/// There is a server for the worker on this machine: the binary, or an image of home's version.
pub(super) async fn worker_server(
    config: &Config,
    server: &Path,
    home: Option<&Home>,
    version: Option<&str>,
) -> Result<Finding> {
    let guard = Guard::WorkerServer;
    let socket = runtime::socket(config.worker.docker_socket.as_deref());
    if runtime::settle(config.worker.runtime, server, &socket).await == Way::Docker {
        let engine = match Engine::connect(&socket).await {
            Ok(engine) => engine,
            Err(error) => {
                return Ok(Finding::refused(
                    guard,
                    error.to_string(),
                    error.hint().unwrap_or_default(),
                ));
            }
        };
        return image(config, &engine, home, version, false).await;
    }
    if server.is_file() {
        return Ok(Finding::passed(
            guard,
            format!("the worker's server is {}", server.display()),
        ));
    }
    Ok(Finding::refused(
        guard,
        format!("there is no Plex server at {}", server.display()),
        "set `worker.server` to the server's binary, or start Docker, in which the official image is run",
    ))
}

/// The same for a worker elsewhere, as far as it can be known before anything is spent: whether the image exists.
pub(super) async fn image_elsewhere(config: &Config, home: Option<&Home>, version: Option<&str>) -> Result<Finding> {
    let guard = Guard::WorkerServer;
    let elsewhere = || Finding::later(guard);
    if config.worker.runtime != RuntimeMode::Docker {
        return Ok(elsewhere());
    }
    // Any engine can ask the registry; without one here the worker's own is the first to know.
    let Ok(engine) = Engine::connect(&runtime::socket(None)).await else {
        return Ok(elsewhere());
    };
    image(config, &engine, home, version, true).await
}

async fn image(
    config: &Config,
    engine: &Engine,
    home: Option<&Home>,
    version: Option<&str>,
    is_elsewhere: bool,
) -> Result<Finding> {
    let guard = Guard::WorkerServer;
    let asked = match (version, home) {
        (None, Some(home)) => Some(home.client()?.identity().await?.version),
        (version, _) => version.map(str::to_owned),
    };
    let Some(image) = Image::of(config.worker.image.as_deref(), asked.as_deref()) else {
        return Ok(Finding::refused(
            guard,
            "which version of Plex the image has to be is not known: the library comes from an archive",
            "name the image with its tag in `worker.image`",
        ));
    };
    Ok(match engine.presence(&image).await {
        Presence::Here => Finding::passed(
            guard,
            format!("the worker's server is the image {image}, which is here"),
        ),
        Presence::Registry => Finding::passed(guard, format!("the worker's server is the image {image}, to be pulled")),
        Presence::Nowhere(why) => {
            let error = docker::Error::NoImage {
                image: image.to_string(),
                why,
            };
            Finding::refused(guard, error.to_string(), error.hint().unwrap_or_default())
        }
        // A worker elsewhere may reach what this machine does not.
        Presence::Unknown(why) if is_elsewhere => Finding::warned(
            guard,
            format!("whether there is an image {image} cannot be asked from here: {why}"),
            "the worker finds out before it asks for a claim",
        ),
        Presence::Unknown(why) => Finding::refused(
            guard,
            format!("the image {image} is not here, and its registry cannot be asked: {why}"),
            "see that this machine reaches the registry, or `docker pull` the image beforehand",
        ),
    })
}

/// Versions are compared when the worker's server is up, and again before the swap.
pub(super) async fn same_version(home: Option<&Home>, known: Option<&str>) -> Finding {
    let told = match (known, home) {
        (Some(version), _) => Ok(version.to_owned()),
        (None, None) => Err("an archive does not tell its version, and the migrations do"),
        (None, Some(home)) => match home.client() {
            Ok(client) => client.identity().await.map(|identity| identity.version).ok(),
            Err(_) => None,
        }
        .ok_or("home does not answer, so it does not tell its version"),
    };
    match told {
        Ok(version) => Finding::later_with(Guard::SameVersion, &format!("home runs Plex {version}")),
        Err(why) => Finding::later_with(Guard::SameVersion, why),
    }
}

/// The migrations that the library went through; compared with the worker's before the swap.
pub(super) fn same_schema(databases: &plex_library::Databases) -> Result<Finding> {
    let path = databases.library();
    let reader = plex_library::open::read_only(&path)?;
    let migrations = plex_library::schema::migrations(&reader, &path)?;
    let last = migrations.iter().next_back().cloned().unwrap_or_default();
    Ok(Finding::passed(
        Guard::SameSchema,
        format!(
            "{} migrations, the last {last}; compared again before the swap",
            migrations.len()
        ),
    ))
}

/// Every disk that the burst writes to has room for what it puts there.
pub(super) fn free_space(places: &room::Places, databases: &plex_library::Databases) -> Result<Finding> {
    let room = room::check(places, kept::size(databases))?;
    Ok(Finding::passed(Guard::FreeSpace, room.lines.join("; ")))
}

/// Sonic analysis needs a Plex Pass, and the worker gets it by a claim, which is read last and used at once.
pub(super) async fn plex_pass(
    home: Option<&Home>,
    config: &Config,
    wants_sonic: bool,
    is_identity_kept: bool,
) -> Result<Finding> {
    let guard = Guard::PlexPass;
    if !wants_sonic {
        return Ok(Finding::not_applicable(guard, "no Sonic analysis is wanted"));
    }
    if let Some(home) = home
        && home.client()?.pass().await? == Pass::Inactive
    {
        return Ok(Finding::warned(
            guard,
            "home's account has no Plex Pass, so Sonic analysis is left out",
            "`--quick` leaves it out without a word",
        ));
    }
    if let Some(token) = &config.worker.account_token_file {
        read_token(token)?;
        return Ok(Finding::passed(
            guard,
            "the worker is claimed with the account's token when it is up, and leaves the account afterwards",
        ));
    }
    if is_identity_kept {
        return Ok(Finding::passed(
            guard,
            "the worker has the identity that was kept from an earlier burst",
        ));
    }
    let source = match (&config.worker.claim_file, std::env::var_os("PLEX_CLAIM")) {
        (_, Some(claim)) if !claim.is_empty() => "PLEX_CLAIM".to_owned(),
        (Some(file), _) if file.is_file() => file.display().to_string(),
        (Some(file), _) => {
            return Ok(Finding::warned(
                guard,
                format!(
                    "there is no claim in {} yet, without which Sonic analysis is left out",
                    file.display()
                ),
                "put a fresh claim of plex.tv/claim there when the burst begins: it lives four minutes; \
                 `worker.account_token_file` makes that needless",
            ));
        }
        (None, _) => {
            return Ok(Finding::warned(
                guard,
                "no claim is configured: it is asked for at the terminal when the worker is up, and without it Sonic \
                 analysis is left out",
                "set `worker.account_token_file`, `worker.claim_file`, or PLEX_CLAIM in the environment; or `--quick`",
            ));
        }
    };
    Ok(Finding::passed(
        guard,
        format!("the worker is claimed by {source}, read at the last moment"),
    ))
}

/// Home's preferences that delete: off for the burst, whatever they are now.
pub(super) async fn deleting(home: &Home) -> Result<Finding> {
    let now = home.read_dangerous().await?.before;
    let on: Vec<&str> = now
        .iter()
        .filter(|(_, value)| !matches!(value.as_str(), "0" | "false"))
        .map(|(name, _)| name.as_str())
        .collect();
    let evidence = if on.is_empty() {
        format!("{} preferences that delete are off at home", now.len())
    } else {
        format!("{} are on at home, and will be off while a burst runs", on.join(", "))
    };
    Ok(Finding::passed(Guard::DeletingOff, evidence))
}

/// Who would be disturbed if the swap were now.
pub(super) async fn swap_waits(home: &Home, at_once: bool) -> Result<Finding> {
    let streams = home.client()?.sessions().await?.len();
    let evidence = match (streams, at_once) {
        (_, true) => format!("{streams} streams right now; the swap does not wait (`--swap-now`)"),
        (0, false) => "nobody streams right now; the swap waits for such a moment".to_owned(),
        (_, false) => format!("{streams} streams right now; the swap waits until they end"),
    };
    Ok(Finding::passed(Guard::SwapWaits, evidence))
}
