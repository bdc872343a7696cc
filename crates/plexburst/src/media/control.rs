//! rclone's remote control: a running mount asked over a unix socket that only its owner reaches.
//!
//! Every call has a limit: an rclone that was stopped answers nobody. Errors of `vfs/refresh` come inside an answer that
//! says 200 (facts/cloud.md §5.2).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Error;
use crate::clock::Clock;

/// An answer takes milliseconds; rclone under load was seen to take seconds.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(200);

/// One mount's remote control.
#[derive(Debug, Clone)]
pub struct Control {
    http: reqwest::Client,
    /// Where its cache keeps files and notes: always at the same places, so asked only once.
    places: Arc<OnceLock<CachePlaces>>,
}

/// What rclone has counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Statistics {
    /// Bytes that came from the store; what the cache answered is not among them.
    pub bytes: u64,
    /// Errors.
    pub errors: u64,
    /// The last one, in rclone's words.
    pub last_error: String,
}

/// The mount's cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cache {
    /// What it takes of the disk.
    pub bytes_used: u64,
    /// Files of which it holds something.
    pub files: u64,
    /// Its disk is full.
    pub out_of_space: bool,
    /// Where the files of the cache lie, with holes where it holds nothing.
    pub path: PathBuf,
    /// Where rclone writes down which parts of a file it holds.
    pub path_meta: PathBuf,
}

/// The two folders of a mount's cache: for each file that it holds something of, one of the same name in either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CachePlaces {
    pub(super) data: PathBuf,
    pub(super) notes: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vfs {
    #[serde(default)]
    disk_cache: Cache,
}

impl Control {
    /// The remote control behind `socket`. Nothing is asked yet.
    ///
    /// # Errors
    /// No client can be made.
    pub fn at(socket: &Path) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .timeout(LIMIT)
            .no_proxy()
            .build()
            .map_err(|error| failed("its start", &error))?;
        Ok(Self {
            http,
            places: Arc::default(),
        })
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// It does not, in time.
    pub async fn noop(&self) -> Result<(), Error> {
        self.call("rc/noop", &json!({})).await.map(drop)
    }

    /// What was counted.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn statistics(&self) -> Result<Statistics, Error> {
        self.ask("core/stats", &json!({"short": true})).await
    }

    /// The cache.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn cache(&self) -> Result<Cache, Error> {
        let vfs: Vfs = self.ask("vfs/stats", &json!({})).await?;
        Ok(vfs.disk_cache)
    }

    /// Where its cache keeps files and notes; none when it does not say.
    pub(super) async fn places(&self) -> Option<CachePlaces> {
        if self.places.get().is_none() {
            let cache = self.cache().await.ok()?;
            if !cache.path.as_os_str().is_empty() && !cache.path_meta.as_os_str().is_empty() {
                let _ = self.places.set(CachePlaces {
                    data: cache.path,
                    notes: cache.path_meta,
                });
            }
        }
        self.places.get().cloned()
    }

    /// Lists a folder anew with everything below it, since nothing polls a bucket; waits until it is done.
    ///
    /// # Errors
    /// The store refuses, or it takes longer than `limit`.
    pub async fn refresh(&self, folder: &str, limit: Duration, clock: &dyn Clock) -> Result<(), Error> {
        const CALL: &str = "vfs/refresh";
        let mut question = json!({"recursive": "true", "_async": true});
        if !folder.is_empty() {
            question["dir"] = Value::from(folder);
        }
        let refuse = |said: String| Error::Control {
            call: format!("{CALL} of {folder:?}"),
            said,
        };
        let job: Job = self.ask(CALL, &question).await?;
        let begun = clock.now();
        loop {
            let status: Status = self.ask("job/status", &json!({"jobid": job.jobid})).await?;
            if status.finished {
                if !status.success {
                    return Err(refuse(status.error));
                }
                return match status.failed() {
                    Some(said) => Err(refuse(said)),
                    None => Ok(()),
                };
            }
            if clock.now() - begun >= limit {
                // What is left of it must not hold up the next one.
                let _ = self.call("job/stop", &json!({"jobid": job.jobid})).await;
                return Err(refuse(format!("not done after {} s", limit.as_secs())));
            }
            clock.sleep(LOOK).await;
        }
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, call: &str, question: &Value) -> Result<T, Error> {
        let answer = self.call(call, question).await?;
        serde_json::from_value(answer).map_err(|error| Error::Control {
            call: call.to_owned(),
            said: error.to_string(),
        })
    }

    async fn call(&self, call: &str, question: &Value) -> Result<Value, Error> {
        let asked = async {
            let answer = self
                .http
                .post(format!("http://rclone/{call}"))
                .json(question)
                .send()
                .await?;
            let status = answer.status();
            Ok((status, answer.json::<Value>().await?))
        };
        let (status, answer) = asked.await.map_err(|error| failed(call, &error))?;
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer.get("error").and_then(Value::as_str).unwrap_or(status.as_str());
        Err(Error::Control {
            call: call.to_owned(),
            said: said.to_owned(),
        })
    }
}

#[derive(Deserialize)]
struct Job {
    jobid: u64,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Status {
    finished: bool,
    success: bool,
    error: String,
    output: Value,
}

impl Status {
    /// The first folder whose word is not OK.
    fn failed(&self) -> Option<String> {
        let folders = self.output.get("result")?.as_object()?;
        let bad = folders.iter().find(|(_, word)| word.as_str() != Some("OK"));
        bad.map(|(folder, word)| format!("{folder:?}: {}", word.as_str().unwrap_or("no word")))
    }
}

fn failed(call: &str, error: &reqwest::Error) -> Error {
    let mut said = if error.is_timeout() {
        "no answer".to_owned()
    } else {
        "it cannot be reached".to_owned()
    };
    if error.is_decode() {
        "its answer is no JSON".clone_into(&mut said);
    }
    Error::Control {
        call: call.to_owned(),
        said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::plex::canned::{Answer, Canned};

    fn refreshed(output: &'static str) -> impl Fn(&crate::plex::canned::Asked) -> Answer {
        move |request| match request.target.as_str() {
            "/vfs/refresh" => Answer::json(r#"{"jobid": 7}"#),
            "/job/status" => Answer::json(output),
            "/vfs/stats" => Answer::json(r#"{"diskCache": {"outOfSpace": true, "bytesUsed": 5, "pathMeta": "/m"}}"#),
            "/core/stats" => Answer::json(r#"{"bytes": 12, "errors": 1, "lastError": "EOF"}"#),
            _ => Answer::new(404, r#"{"error": "couldn't find method"}"#),
        }
    }

    async fn refresh(output: &'static str) -> Result<(), Error> {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("rc");
        let _server = Canned::start_on(&socket, refreshed(output)).await;
        let control = Control::at(&socket).unwrap();
        assert!(control.cache().await.unwrap().out_of_space);
        assert_eq!(control.statistics().await.unwrap().bytes, 12);
        let unknown = control.noop().await.unwrap_err().to_string();
        assert!(
            unknown.contains("rc/noop") && unknown.contains("find method"),
            "{unknown}"
        );
        control
            .refresh("Music", Duration::from_secs(60), &ManualClock::new())
            .await
    }

    #[tokio::test]
    async fn an_error_inside_an_answer_that_says_ok() {
        assert!(
            refresh(r#"{"finished": true, "success": true, "output": {"result": {"Music": "OK"}}}"#)
                .await
                .is_ok()
        );
        let inside = refresh(
            r#"{"finished": true, "success": true, "output": {"result": {"Music": "403 InvalidAccessKeyId"}}}"#,
        );
        let said = inside.await.unwrap_err().to_string();
        assert!(said.contains("403 InvalidAccessKeyId"), "{said}");
        let failed = refresh(r#"{"finished": true, "success": false, "error": "boom"}"#).await;
        assert!(failed.unwrap_err().to_string().contains("boom"));
        let slow = refresh(r#"{"finished": false}"#).await.unwrap_err().to_string();
        assert!(slow.contains("not done after 60 s"), "{slow}");
    }

    #[tokio::test]
    async fn nobody_there() {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::at(&dir.path().join("none")).unwrap();
        assert!(matches!(control.noop().await, Err(Error::Control { .. })));
    }
}
