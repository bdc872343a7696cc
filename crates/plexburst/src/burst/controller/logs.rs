//! The burst's logs at home: fetched out of the depot before it is cleared, and packed into one archive at the end of each
//! run. What cannot be had is said and left out; a burst fails over none of it.

use std::path::{Component, Path, PathBuf};

use super::Controller;
use crate::burst::logs::DEPOT;
use crate::burst::logs::archive;
use crate::burst::logs::redact::Redactor;
use crate::burst::spec::key;
use crate::error::Result;
use crate::home::discard;
use crate::report;

/// Folder of the fetched chunks.
const CHUNKS: &str = "logs";

/// Fetches what the worker has left so far.
pub(super) async fn gather(c: &Controller) {
    if let Err(error) = fetch(c).await {
        c.printer()
            .warn(&format!("the worker's logs could not be fetched: {}", error.chain()));
    }
}

async fn fetch(c: &Controller) -> Result<()> {
    let journal = c.depot.read(key::WORKER_JOURNAL).await?;
    if let Some(journal) = journal {
        plex_library::publish::file(&c.dir().join(report::WORKER_JOURNAL), &journal)?;
    }
    let above = format!("{}/{DEPOT}/", c.id());
    for listed in c.depot.list().await? {
        let Some(name) = listed.key.strip_prefix(&above) else {
            continue;
        };
        let is_plain = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !is_plain {
            continue;
        }
        let Some(bytes) = c.depot.read(&format!("{DEPOT}/{name}")).await? else {
            continue;
        };
        let path = c.dir().join(CHUNKS).join(name);
        if let Some(parent) = path.parent() {
            super::make_private(parent)
                .map_err(|e| crate::error::Error::failed(format!("cannot make {}", parent.display())).because(e))?;
        }
        plex_library::publish::file(&path, &bytes)?;
    }
    Ok(())
}

/// Packs everything that both sides have said.
pub(super) fn pack(c: &Controller) {
    let at = |name: &str| c.dir().join(name);
    let texts: [(&str, PathBuf); 4] = [
        ("terminal.log", at("log.txt")),
        ("journal.jsonl", crate::burst::store::journal_path(c.dir())),
        (report::WORKER_JOURNAL, at(report::WORKER_JOURNAL)),
        (report::FILE, at(report::FILE)),
    ];
    let packed = archive::write(&at(archive::FILE), &texts, &at(CHUNKS), &redactor(c)).and_then(|()| {
        // What is to come is packed together with what was; after the end nothing comes.
        if c.has_ended() { discard(&at(CHUNKS)) } else { Ok(()) }
    });
    if let Err(error) = packed {
        c.printer()
            .warn(&format!("the burst's logs could not be packed: {}", error.chain()));
    }
}

/// Knows every secret that this side can come by.
fn redactor(c: &Controller) -> Redactor {
    let mut redactor = Redactor::of_environment();
    let config = c.config();
    let files = [
        &config.media.rclone_config,
        &config.depot.rclone_config,
        &config.depot.credentials_file,
        &config.depot.worker_credentials_file,
        &config.worker.claim_file,
    ];
    let s3 = config.media.s3.as_ref().and_then(|s3| s3.credentials_file.clone());
    let mut paths: Vec<PathBuf> = files.into_iter().flatten().cloned().chain(s3).collect();
    paths.push(c.dir().join("depot.key"));
    let mut tokens: Vec<PathBuf> = [&config.home.token_file, &config.worker.account_token_file]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    if let Some(home) = &c.home {
        paths.push(home.data_dir().join("Preferences.xml"));
        tokens.push(home.data_dir().join(".LocalAdminToken"));
    }
    paths.iter().for_each(|path| redactor.learn_file(path));
    tokens.iter().for_each(|path| redactor.learn_content(path));
    redactor
}
