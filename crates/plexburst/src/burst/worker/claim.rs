//! The claim: the last thing that a worker's server needs, asked for when everything else stands, and used at once.
//!
//! In order: an identity that was kept from an earlier burst (then nothing has to be claimed), a claim that was given and
//! is fresh, one that the controller gets when it is asked. With none of them Sonic analysis is left out, and that is said;
//! a claim that was given and is refused is an error, since somebody wanted it.

use std::path::Path;
use std::time::Duration;

use super::Worker;
use super::progress::Teller;
use crate::burst::claim::{self, Answer, Wish};
use crate::burst::phase::Phase;
use crate::burst::spec::key;
use crate::clock::{Clock, SystemClock};
use crate::error::{Context, Error, Result};
use crate::plex::client::{Client, Error as CallError, Kind, Pass, Token};
use crate::plex::ready::{self, Waiting};

/// How long the account may take to be seen by the server after an accepted claim, on the user's own machine and in the
/// cloud (facts/legacy.md §4).
const SEEN: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(180)];
/// Between two looks for it.
const SEEN_EVERY: Duration = Duration::from_secs(10);
/// How long a server may take to see its Plex Pass.
const PASS: Duration = Duration::from_secs(120);
/// Between two looks for the pass, and for an answer of the controller.
const LOOK: Duration = Duration::from_millis(500);
/// How many claims are tried.
const TRIES: u32 = 3;
/// Marks of claims that were used, so that none is tried twice.
const USED: &str = "claims-used";

const FRESH: &str = "a claim lives four minutes and is used once: get a fresh one of plex.tv/claim, then `plexburst \
                     resume`; `worker.account_token_file` gets one by itself";

/// What was given beforehand.
enum AtHand {
    /// Worth trying.
    Good(Given),
    /// Known to be worth nothing.
    Bad(Error),
    /// Nothing.
    None,
}

/// A claim, and what is known of it.
struct Given {
    claim: Token,
    from: String,
}

/// Makes the server the account's where it can be; whether it has a Plex Pass, without which there is no Sonic analysis.
pub(super) async fn claim(
    w: &Worker,
    client: &Client,
    process: ready::Process<'_>,
    teller: &Teller<'_>,
) -> Result<bool> {
    if w.spec.options.quick {
        return Ok(false);
    }
    let mut progress = |waiting: &Waiting| teller.tell(&waiting.to_string());
    if client.pass().await.map_err(Error::from)? == Pass::Unclaimed && !be_claimed(w, client, process, teller).await? {
        return Ok(false);
    }
    let limits = ready::Limits {
        interval: LOOK,
        ..ready::Limits::of_total(PASS)
    };
    let pass = ready::wait_pass(&SystemClock, &limits, client, Some(process), &mut progress)
        .await
        .map_err(Error::from)?;
    if pass != Pass::Active {
        w.side.note(
            Phase::Quiet,
            format!(
                "warning: the account has no Plex Pass that the server sees within {} s, so Sonic analysis is left out",
                PASS.as_secs()
            ),
        )?;
    }
    Ok(pass == Pass::Active)
}

/// Whether it belongs to the account now.
async fn be_claimed(w: &Worker, client: &Client, process: ready::Process<'_>, teller: &Teller<'_>) -> Result<bool> {
    let mut refused: Option<Error> = None;
    for _ in 0..TRIES {
        let given = match at_hand(w)? {
            AtHand::Good(given) => Some(given),
            AtHand::Bad(error) => {
                w.side.note(Phase::Quiet, format!("warning: {error}"))?;
                refused = Some(refused.unwrap_or(error));
                ask(w, teller, refused.is_some()).await?
            }
            AtHand::None => ask(w, teller, refused.is_some()).await?,
        };
        let Some(given) = given else {
            return match refused {
                Some(error) => Err(error),
                None => Ok(false),
            };
        };
        // Before it is used: one that is used twice because this process was killed is refused for nothing.
        remember(&w.dir, &given.claim)?;
        match client.claim(&given.claim).await {
            Ok(()) => {
                w.side.note(Phase::Quiet, format!("claimed with {}", given.from))?;
                let limits = ready::Limits {
                    interval: SEEN_EVERY,
                    ..ready::Limits::of_total(SEEN[usize::from(w.spec.lease.is_some())])
                };
                let mut progress = |waiting: &Waiting| teller.tell(&waiting.to_string());
                ready::wait_claimed(&SystemClock, &limits, client, Some(process), &mut progress)
                    .await
                    .map_err(Error::from)?;
                return Ok(true);
            }
            Err(error) if is_refusal(&error) => {
                w.side
                    .note(Phase::Quiet, format!("warning: {} was refused: {error}", given.from))?;
                refused = Some(
                    Error::failed(format!("plex.tv does not accept {}", given.from))
                        .because(error)
                        .hint(FRESH),
                );
            }
            Err(error) => {
                return Err(Error::failed("the worker's Plex cannot be claimed: it does not reach plex.tv")
                    .because(error)
                    .hint(
                        "see that the worker's machine reaches plex.tv (in a cell: `worker.internet` and slirp4netns), \
                         then `plexburst resume`; or `--quick`, without Sonic analysis",
                    ));
            }
        }
    }
    refused.map_or(Ok(false), Err)
}

/// plex.tv has answered, and does not want it.
fn is_refusal(error: &CallError) -> bool {
    matches!(
        error.kind,
        Kind::BadRequest(_) | Kind::Unauthorised | Kind::Forbidden(_) | Kind::NotFound
    )
}

/// One that was given beforehand.
fn at_hand(w: &Worker) -> Result<AtHand> {
    if let Ok(text) = std::env::var("PLEX_CLAIM")
        && !text.trim().is_empty()
    {
        return Ok(unless_used(w, Token::new(&text), "the claim in PLEX_CLAIM".to_owned()));
    }
    let Some(path) = &w.spec.claim_file else {
        return Ok(AtHand::None);
    };
    let from = format!("the claim in {}", path.display());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(AtHand::None),
        Err(e) => {
            return Err(Error::usage(format!("cannot read {from}"))
                .hint("`worker.claim_file` names a file with a fresh claim from plex.tv/claim")
                .because(e));
        }
    };
    if text.trim().is_empty() {
        return Ok(AtHand::None);
    }
    if let Some(age) = claim::too_old(path) {
        let error = Error::failed(format!("{from} is {} minutes old, and lives four", age.as_secs() / 60));
        return Ok(AtHand::Bad(error.hint(FRESH)));
    }
    Ok(unless_used(w, Token::new(&text), from))
}

fn unless_used(w: &Worker, claim: Token, from: String) -> AtHand {
    if tried(w).contains(&claim::mark(&claim)) {
        AtHand::Bad(Error::failed(format!("{from} was used already")).hint(FRESH))
    } else {
        AtHand::Good(Given { claim, from })
    }
}

/// Marks of the claims that were tried.
fn tried(w: &Worker) -> Vec<String> {
    let used = std::fs::read_to_string(w.dir.join(USED)).unwrap_or_default();
    used.lines().map(str::to_owned).collect()
}

fn remember(dir: &Path, claim: &Token) -> Result<()> {
    let path = dir.join(USED);
    let used = std::fs::read_to_string(&path).unwrap_or_default();
    let text = format!("{used}{}\n", claim::mark(claim));
    plex_library::publish::file(&path, text.as_bytes()).context(|| format!("cannot write {}", path.display()))
}

/// One of the controller, which is asked through the depot and answers beside this worker.
/// With none, and none that was `refused` before, what follows from that is said.
async fn ask(w: &Worker, teller: &Teller<'_>, refused: bool) -> Result<Option<Given>> {
    let without = |why: &str| if refused { Ok(None) } else { without(w, why) };
    let Some(drop) = &w.spec.claim_drop else {
        return without("none was given");
    };
    let wish = Wish {
        id: ulid::Ulid::generate().to_string(),
        tried: tried(w),
    };
    let text = serde_json::to_vec(&wish).context(|| "cannot ask for a claim".to_owned())?;
    w.depot.put_bytes(key::CLAIM_WANTED, &text).await?;
    let limit = Duration::from_secs(w.spec.limits.claim);
    let answer = wait_for(&SystemClock, limit, &wish, drop, &mut |waited| {
        teller.tell(&format!(
            "waiting for a claim from whoever controls this burst: {} s of at most {} s",
            waited.as_secs(),
            limit.as_secs()
        ));
    })
    .await?;
    w.depot.remove(key::CLAIM_WANTED).await?;
    match answer {
        Some(Answer {
            claim: Some(claim),
            why,
            ..
        }) => Ok(Some(Given {
            claim: Token::new(&claim),
            from: why,
        })),
        Some(Answer { why, .. }) => without(&why),
        None => without(&format!("nobody answered within {} s", limit.as_secs())),
    }
}

fn without(w: &Worker, why: &str) -> Result<Option<Given>> {
    w.side.note(
        Phase::Quiet,
        format!(
            "warning: there is no claim ({why}), so Plex has no Plex Pass here and Sonic analysis is left out \
             (docs/worker.md: `worker.account_token_file`, `worker.claim_file`, PLEX_CLAIM)"
        ),
    )?;
    Ok(None)
}

/// The answer to this very wish; none when nobody gives one in time. It is gone from the disk when this returns.
async fn wait_for(
    clock: &dyn Clock,
    limit: Duration,
    wish: &Wish,
    at: &Path,
    progress: &mut (dyn FnMut(Duration) + Send),
) -> Result<Option<Answer>> {
    let since = clock.now();
    loop {
        if let Ok(bytes) = std::fs::read(at) {
            // Half an answer is an answer that is being written.
            if let Ok(answer) = serde_json::from_slice::<Answer>(&bytes) {
                std::fs::remove_file(at).context(|| format!("cannot remove {}", at.display()))?;
                if answer.wish == wish.id {
                    return Ok(Some(answer));
                }
            }
        }
        let waited = clock.now() - since;
        if waited >= limit {
            return Ok(None);
        }
        progress(waited);
        clock.sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn wish(id: &str) -> Wish {
        Wish {
            id: id.to_owned(),
            tried: Vec::new(),
        }
    }

    #[tokio::test]
    async fn only_the_answer_to_this_wish_counts_and_none_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("claim");
        let (wish, other) = (wish("a"), wish("b"));
        let write = |wish: &Wish, claim: Option<&Token>| {
            std::fs::write(&at, serde_json::to_vec(&Answer::to(wish, claim, "x")).unwrap()).unwrap();
        };
        let clock = ManualClock::new();
        let limit = Duration::from_secs(600);
        let mut looks = 0;
        write(&other, Some(&Token::new("claim-old")));
        let none = wait_for(&clock, limit, &wish, &at, &mut |_| looks += 1).await.unwrap();
        assert!(none.is_none() && clock.passed() >= limit && looks > 100);
        assert!(!at.exists(), "an old claim does not stay");
        std::fs::write(&at, "{\"wish\"").unwrap();
        let mut looks = 0;
        let mut third = |_| {
            looks += 1;
            if looks == 3 {
                write(&wish, Some(&Token::new("claim-new")));
            }
        };
        let answer = wait_for(&clock, limit, &wish, &at, &mut third);
        assert_eq!(answer.await.unwrap().unwrap().claim.as_deref(), Some("claim-new"));
        assert!(!at.exists());
    }

    #[test]
    fn what_is_a_refusal_and_what_is_not() {
        let error = |kind| CallError {
            server: "worker".into(),
            call: "POST /myplex/claim".into(),
            kind,
        };
        assert!(is_refusal(&error(Kind::BadRequest(String::new()))));
        for kind in [
            Kind::Refused,
            Kind::Timeout(LOOK),
            Kind::Status {
                status: 500,
                body: String::new(),
            },
        ] {
            assert!(!is_refusal(&error(kind)));
        }
    }
}
