//! `serve` here for a home there: what its page shows while a burst runs, afterwards, and when home cannot be reached.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::common::{self, processes_with, wait_until};
use crate::cut::ssh_of;
use crate::support::{Distant, PATIENT};

/// A running `plexburst serve`.
pub(crate) struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    pub(crate) fn start(distant: &Distant) -> Self {
        let mut command = distant.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while lines.read_line(&mut said).unwrap() > 0 && !said.ends_with("}\n") {}
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        Self { child, url }
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        answer.text().await.unwrap()
    }

    pub(crate) async fn live(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("live.json").await).unwrap()
    }

    /// The live burst once it `holds`, while `child` runs.
    pub(crate) async fn live_while(
        &self,
        child: &mut Child,
        holds: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let since = std::time::Instant::now();
        loop {
            let live = self.live().await;
            if holds(&live) {
                return live;
            }
            assert!(
                since.elapsed() < PATIENT && child.try_wait().unwrap().is_none(),
                "{live:#}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Loses everything that it has of home's machine.
    pub(crate) fn cut(&self) {
        let cut = ssh_of(self.child.id());
        assert!(!cut.is_empty());
        cut.into_iter().for_each(common::kill);
    }

    /// Told to end as a terminal or systemd does.
    pub(crate) fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A home that has no burst yet is shown; a lost connection is made again unnoticed; one that cannot be made is said, beside what
/// was seen last; and nothing is left there.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_outlives_its_connection() {
    let Some(mut distant) = Distant::new("a page of a distant home").await else {
        return;
    };
    let wrong = distant.run(&["serve", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    let said = crate::support::said(&wrong);
    assert_eq!(wrong.status.code(), Some(2), "{said}");
    assert!(said.contains("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "{said}");

    let serving = Serving::start(&distant);
    let page = serving.get("").await;
    assert!(
        page.contains("plexburst on nas") && page.contains("no burst yet"),
        "{page}"
    );
    serving.cut();
    assert_eq!(serving.live().await["state"], "idle");
    assert!(serving.get("burst/nowhere").await.contains("no such page"));

    distant.sshd.change_key().await;
    serving.cut();
    let live = serving.live().await;
    assert_eq!(live["state"], "unreached", "{live:#}");
    let headline = live["headline"].as_str().unwrap();
    assert!(
        headline.contains("nas cannot be asked") && headline.contains("host key") && headline.contains("was seen at"),
        "{headline}"
    );
    let page = serving.get("").await;
    assert!(page.contains("unreached") && page.contains("no burst yet"), "{page}");
    let report = serving.get("burst/nowhere").await;
    assert!(report.contains("host key"), "{report}");
    serving.end();
    let program = distant.world.path("state/bin").display().to_string();
    wait_until("nothing asks there any more", PATIENT, || {
        processes_with(&program).is_empty()
    });
    distant.assert_tidy();
}
