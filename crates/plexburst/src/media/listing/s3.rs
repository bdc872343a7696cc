//! A listing of plain S3, asked for in parallel: the keys are cut into ranges at folders, and each range is read from its
//! beginning to the next one's.
//!
//! Guarantees: the ranges join without a gap, keys rise within each of them, and a range that ends before the folder
//! where the next one begins is an error: whatever the store does, half a listing is never taken for a whole one. A
//! store that cannot begin in the middle ([`Error::NoRanges`]) is left to rclone.

use std::time::Duration;

use futures::StreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};

use super::page::{self, Page};
use super::{Builder, Count, Listing, names};
use crate::clock::{Clock, SystemClock};
use crate::media::error::Error;
use crate::media::store::Store;

/// Requests at once: enough to hide a slow store's 100 ms, few enough for a router's table of connections.
const AT_ONCE: usize = 8;
/// Ranges: more than run at once, so that a long one is not waited for alone.
const RANGES: usize = 48;
/// Pages of folders that are looked at for places to cut.
const LOOKS: usize = 4;
/// Silence that ends a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before each further try of a page.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Lists everything below `prefix` (a folder, "" for the whole bucket).
pub(super) async fn list(
    store: &Store,
    prefix: &str,
    root: &str,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Listing, Error> {
    let prefix = match prefix.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let asker = Asker::new(store, prefix)?;
    let cuts = asker.cuts().await?;
    let ranges = std::iter::once(None)
        .chain(cuts.iter().map(Some))
        .zip(cuts.iter().map(Some).chain([None]));
    let jobs = ranges.map(|(from, to)| asker.range(from.map(Vec::as_slice), to.map(Vec::as_slice)));
    let mut jobs = futures::stream::iter(jobs).buffer_unordered(AT_ONCE);
    let (mut listing, mut count) = (Builder::default(), Count::default());
    while let Some(part) = jobs.next().await {
        let part = part?;
        count.add(part.len() as u64, progress);
        listing.append(part);
    }
    Ok(listing.finish(root))
}

/// Asks for pages of one bucket.
struct Asker<'a> {
    store: &'a Store,
    prefix: String,
    client: reqwest::Client,
    signer: Signer<Credential>,
}

impl<'a> Asker<'a> {
    fn new(store: &'a Store, prefix: String) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(PATIENCE / 3)
            .read_timeout(PATIENCE)
            .build()
            .map_err(|error| store.unreachable(&error))?;
        let mut keys = StaticCredentialProvider::new(&store.access_key, store.secret_key.reveal());
        if let Some(token) = &store.session_token {
            keys = keys.with_session_token(token.reveal());
        }
        let signer = Signer::new(Context::new(), keys, RequestSigner::new("s3", &store.region));
        Ok(Self {
            store,
            prefix,
            client,
            signer,
        })
    }

    /// Folders at which the keys are cut: those of the first level, or of the second where the first has few. They are
    /// but hints: a folder that is missing here only makes its range longer.
    async fn cuts(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut folders = self.folders(self.prefix.as_bytes()).await?;
        if folders.len() < RANGES / 2 {
            let mut below = Vec::new();
            for folder in folders.iter().take(RANGES / 2) {
                below.extend(self.folders(folder).await?);
            }
            folders.extend(below);
            folders.sort();
        }
        let step = folders.len().div_ceil(RANGES).max(1);
        // A range begins after its cut, so it has to be a name that a token can begin with.
        let cuts = folders.into_iter().step_by(step).skip(1);
        Ok(cuts.filter(|cut| std::str::from_utf8(cut).is_ok()).collect())
    }

    async fn folders(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let Ok(prefix) = std::str::from_utf8(prefix) else {
            return Ok(Vec::new());
        };
        let (mut folders, mut token) = (Vec::new(), None);
        for _ in 0..LOOKS {
            let mut page = self.page(prefix, &[("delimiter", "/")], token.as_deref(), None).await?;
            folders.append(&mut page.prefixes);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        Ok(folders)
    }

    /// The keys after `from` and before `to`.
    async fn range(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<Builder, Error> {
        let start = from.and_then(|from| std::str::from_utf8(from).ok());
        let (mut part, mut token) = (Builder::default(), None);
        // A folder's own marker, if there is one, comes before all that is in it and is no file.
        let mut last = from.unwrap_or_default().to_vec();
        loop {
            let page = self.page(&self.prefix, &[], token.as_deref(), start).await?;
            for (key, size) in page.objects {
                if to.is_some_and(|to| key.as_slice() >= to) {
                    return Ok(part);
                }
                if key <= last && !last.is_empty() {
                    return Err(if token.is_none() {
                        Error::NoRanges
                    } else {
                        self.store.half("a page begins before the end of the one before it")
                    });
                }
                let below = key.strip_prefix(self.prefix.as_bytes());
                if let Some(name) = below.and_then(names::shown) {
                    part.add(&name, size);
                }
                last = key;
            }
            token = page.next;
            if token.is_none() {
                return match to {
                    None => Ok(part),
                    Some(to) => Err(self
                        .store
                        .half(&format!("it ends although {:?} was seen", String::from_utf8_lossy(to)))),
                };
            }
        }
    }

    /// One page, asked for again when the store is busy or breaks off.
    async fn page(
        &self,
        prefix: &str,
        further: &[(&str, &str)],
        token: Option<&str>,
        after: Option<&str>,
    ) -> Result<Page, Error> {
        let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)];
        query.extend(further);
        match (token, after) {
            (Some(token), _) => query.push(("continuation-token", token)),
            (None, Some(after)) => query.push(("start-after", after)),
            (None, None) => {}
        }
        let mut pauses = AGAIN.iter();
        loop {
            let error = match self.ask(&query).await {
                Ok(page) => return Ok(page),
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::ForNow(error)) => error,
            };
            match pauses.next() {
                Some(pause) => SystemClock.sleep(*pause).await,
                None => return Err(error),
            }
        }
    }

    async fn ask(&self, query: &[(&str, &str)]) -> Result<Page, Failed> {
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY)))
            .collect();
        let url = format!("{}?{}", self.store.url(), query.join("&"));
        let for_good = |error: &dyn std::fmt::Display| Failed::ForGood(self.store.rejected(&error.to_string()));
        let (mut parts, ()) = http::Request::get(url)
            .body(())
            .map_err(|error| for_good(&error))?
            .into_parts();
        self.signer
            .sign(&mut parts, None)
            .await
            .map_err(|error| for_good(&error))?;
        let request = reqwest::Request::try_from(http::Request::from_parts(parts, reqwest::Body::default()))
            .map_err(|error| for_good(&error))?;
        let for_now = |error: reqwest::Error| Failed::ForNow(self.store.unreachable(&error));
        let response = self.client.execute(request).await.map_err(for_now)?;
        let status = response.status();
        let body = response.bytes().await.map_err(for_now)?;
        if status.is_success() {
            // A page that breaks off may be whole the next time; one that stays so is an error.
            return page::parse(&body).map_err(|why| Failed::ForNow(self.store.half(&why)));
        }
        let said = format!("{} {}", status.as_u16(), complaint(&body));
        let error = self.store.complaint(status.as_u16(), &said);
        Err(if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            Failed::ForNow(error)
        } else {
            Failed::ForGood(error)
        })
    }
}

enum Failed {
    /// Worth another try.
    ForNow(Error),
    ForGood(Error),
}

/// Code and message of an error in XML.
fn complaint(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let field = |name: &str| {
        let from = text.split_once(&format!("<{name}>"))?.1;
        Some(from.split_once("</")?.0.to_owned())
    };
    match (field("Code"), field("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => "without a reason".to_owned(),
    }
    .chars()
    .take(300)
    .collect()
}
