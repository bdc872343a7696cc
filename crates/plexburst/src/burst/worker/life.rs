//! A rented worker's proof of life: a line in the machine's own user data, every minute, that `sweep` reads wherever it
//! runs. It needs no key of the provider: the machine may write its own (facts: cloud §1.6), from a port below 1024.
//!
//! Whatever a deadline is held against is the provider's time: told at the start, moved on by the machine's monotonic clock
//! (its wall clock may be set right meanwhile), and corrected by the date of each answer, where the service gives one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::Worker;
use crate::burst::phase::Phase;
use crate::burst::spec::Lease;
use crate::clock::{Clock, SystemClock};
use crate::cloud::lease::{INTERVAL, KEY, Life};

/// Where the metadata service listens when the machine's environment does not say.
const METADATA: &str = "http://169.254.42.42";
/// One proof may take so long; the next is due soon.
const LIMIT: Duration = Duration::from_secs(10);
/// Ports that only root may send from.
const PORTS: std::ops::Range<u16> = 600..1023;

/// The provider's time as far as this machine knows it.
#[derive(Debug, Clone)]
pub(super) struct ProviderTime(Arc<Mutex<(i64, Instant)>>);

impl ProviderTime {
    /// By the machine's clock and what it was told to add; the machine's own without a lease.
    pub(super) fn of(lease: Option<&Lease>) -> Self {
        let offset = lease.map_or(0, |lease| lease.clock_offset);
        let now = jiff::Timestamp::now().as_second().saturating_add(offset);
        Self(Arc::new(Mutex::new((now, Instant::now()))))
    }

    /// Seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        let (at, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.saturating_add(i64::try_from(since.elapsed().as_secs()).unwrap_or(i64::MAX))
    }

    fn correct(&self, now: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
    }
}

/// A proof is given again and again until this ends.
pub(super) struct Living {
    task: tokio::task::JoinHandle<()>,
    lease: Lease,
}

/// Begins, when the machine is rented.
pub(super) fn live(w: &Worker) -> Option<Living> {
    let lease = w.spec.lease.clone()?;
    let phase: Arc<dyn Fn() -> String + Send + Sync> = {
        let path = crate::burst::store::journal_path(&w.dir);
        Arc::new(move || {
            // The journal is the truth, and another handle on it costs nothing once a minute.
            let entries = crate::burst::journal::Journal::read(&path).unwrap_or_default();
            entries
                .last()
                .map_or_else(|| "begin".to_owned(), |entry| entry.phase.to_string())
        })
    };
    let (told, time) = (lease.clone(), w.time.clone());
    let task = tokio::spawn(async move {
        let mut was_heard = true;
        loop {
            let mut proof = proof(&told, &time, phase(), false);
            match put(&proof).await {
                Ok(dated) => {
                    was_heard = true;
                    if let Some(dated) = dated {
                        let apart = dated.abs_diff(time.now());
                        time.correct(dated);
                        // A proof that was stamped by a clock that is wrong is given again at once.
                        if apart > INTERVAL.as_secs() {
                            proof.at = dated;
                            let _ = put(&proof).await;
                        }
                    }
                }
                Err(error) if was_heard => {
                    was_heard = false;
                    tracing::warn!(%error, "the proof of life could not be left; it is tried again every minute");
                }
                Err(_) => {}
            }
            SystemClock.sleep(INTERVAL).await;
        }
    });
    Some(Living { task, lease })
}

impl Living {
    /// The last proof says whether everything is safe.
    pub(super) async fn end(self, w: &Worker) {
        self.task.abort();
        let is_safe = w.side.is_done(Phase::ParkResult);
        let phase = if is_safe { Phase::ParkResult } else { Phase::Work };
        if let Err(error) = put(&proof(&self.lease, &w.time, phase.to_string(), is_safe)).await {
            tracing::warn!(%error, "the last proof of life could not be left");
        }
    }
}

fn proof(lease: &Lease, time: &ProviderTime, phase: String, is_safe: bool) -> Life {
    Life {
        at: time.now(),
        burst: lease.burst.clone(),
        phase,
        is_safe,
    }
}

/// `PATCH /user_data/KEY` from a privileged port: written by hand, since the port of an HTTP client cannot be chosen. Comes
/// back with the date of the answer, if it has one.
async fn put(life: &Life) -> std::io::Result<Option<i64>> {
    let base = std::env::var("SCW_METADATA_URL").unwrap_or_else(|_| METADATA.to_owned());
    let authority = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let address = if authority.contains(':') {
        authority.clone()
    } else {
        format!("{authority}:80")
    };
    let address: SocketAddr = address
        .parse()
        .map_err(|_| std::io::Error::other(format!("{base} is no address of a metadata service")))?;
    let body = serde_json::to_string(life).map_err(std::io::Error::other)?;
    let request = format!(
        "PATCH /user_data/{KEY} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        let status = text.lines().next().unwrap_or_default().to_owned();
        if status
            .split_whitespace()
            .nth(1)
            .is_some_and(|code| code.starts_with('2'))
        {
            Ok(date(&text))
        } else {
            Err(std::io::Error::other(format!(
                "the metadata service answered {status:?}"
            )))
        }
    };
    tokio::time::timeout(LIMIT, exchange)
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}

fn date(answer: &str) -> Option<i64> {
    let head = answer.split("\r\n\r\n").next()?;
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then_some(value.trim())
    })?;
    Some(jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_second())
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    // A port that another connection has just left cannot be had at once.
    for _ in 0..20 {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let port = fastrand::u16(PORTS);
        let own = if address.is_ipv4() {
            SocketAddr::from(([0, 0, 0, 0], port))
        } else {
            SocketAddr::from(([0_u16; 8], port))
        };
        match socket.bind(own) {
            Ok(()) => return socket.connect(address).await,
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_its_heads() {
        let answer = "HTTP/1.1 204 No Content\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\nDate: Wed, 16 Nov 1994";
        assert_eq!(date(answer), Some(784_887_151));
        assert_eq!(date("HTTP/1.1 204 No Content\r\n\r\n"), None);
    }

    #[test]
    fn the_time_is_the_providers() {
        let lease = Lease {
            burst: "B".to_owned(),
            deadline: 0,
            work_until: 0,
            clock_offset: 7200,
        };
        let time = ProviderTime::of(Some(&lease));
        let ahead = time.now() - jiff::Timestamp::now().as_second();
        assert!((7190..=7210).contains(&ahead), "{ahead}");
        time.correct(1_000_000);
        assert!((1_000_000..1_000_600).contains(&time.now()));
    }
}
