//! A word to the user when a burst ends or needs a person: a command, a webhook, a topic of ntfy.
//!
//! A message that cannot be delivered is a warning, never the failure of a burst. Addresses are secrets (whoever knows
//! them can write there): they stand in files of mode 0600 and are shown nowhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt;

use crate::config::{Notify, When};
use crate::error::{Error, Result};
use crate::secret::Token;
use crate::term::Printer;

/// No message is worth waiting longer for.
const LIMIT: Duration = Duration::from_secs(20);

/// What is said: also the JSON that a webhook and a command get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The burst.
    pub burst: String,
    /// In a few words.
    pub title: String,
    /// One or a few lines.
    pub text: String,
    /// Whether somebody has to do something.
    pub needs_a_person: bool,
    /// The exit code of the program.
    pub exit: u8,
}

/// Delivers `message` in every way that is configured.
pub async fn send(config: &Notify, message: &Message, printer: &Printer) {
    if config.when == When::Trouble && !message.needs_a_person {
        return;
    }
    if let Some(words) = &config.command {
        warn(printer, "notify.command", command(words, message).await);
    }
    if let Some(file) = &config.webhook_file {
        let sent = post(file, message, |http, url| http.post(url).json(message)).await;
        warn(printer, "notify.webhook_file", sent);
    }
    if let Some(file) = &config.ntfy_file {
        // As ntfy's own documentation has it: the body is the text, the rest are headers.
        let priority = if message.needs_a_person { "high" } else { "default" };
        let sent = post(file, message, |http, url| {
            http.post(url)
                .header("Title", message.title.clone())
                .header("Priority", priority)
                .body(message.text.clone())
        })
        .await;
        warn(printer, "notify.ntfy_file", sent);
    }
}

fn warn(printer: &Printer, key: &str, sent: Result<()>) {
    if let Err(error) = sent {
        printer.warn(&format!("{key}: {}", error.chain()));
    }
}

/// The command gets the text as its last word, and all of it as JSON on its input.
async fn command(words: &[String], message: &Message) -> Result<()> {
    let Some((program, args)) = words.split_first() else {
        return Ok(());
    };
    let failed = |e: std::io::Error| Error::failed(format!("cannot run {program}")).because(e);
    let json = serde_json::to_vec(message).map_err(|e| Error::unexpected("cannot write JSON").because(e))?;
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .arg(format!("{}: {}", message.title, message.text))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let running = async {
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read has its text all the same.
            input.write_all(&json).await.ok();
        }
        child.wait().await
    };
    match tokio::time::timeout(LIMIT, running).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Error::failed(format!("{program} ended with {status}"))),
        Ok(Err(e)) => Err(failed(e)),
        Err(_) => Err(Error::failed(format!(
            "{program} has not ended after {} s",
            LIMIT.as_secs()
        ))),
    }
}

async fn post(
    file: &Path,
    message: &Message,
    request: impl FnOnce(&reqwest::Client, &str) -> reqwest::RequestBuilder,
) -> Result<()> {
    let address = address(file)?;
    let failed = |e: reqwest::Error| {
        let why = e.without_url();
        Error::failed(format!("nobody was told of {}", message.burst)).because(why)
    };
    let http = reqwest::Client::builder().timeout(LIMIT).build().map_err(failed)?;
    let answer = request(&http, address.reveal()).send().await.map_err(failed)?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(Error::failed(format!("the address answered {}", answer.status())))
}

fn address(file: &Path) -> Result<Token> {
    let cannot = |e: std::io::Error| Error::usage(format!("cannot read {}", file.display())).because(e);
    let meta = std::fs::metadata(file).map_err(cannot)?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(Error::usage(format!("{} can be read by others", file.display())).hint("chmod 600 it"));
    }
    let text = std::fs::read_to_string(file).map_err(cannot)?;
    Ok(Token::new(text.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    fn message(needs_a_person: bool) -> Message {
        Message {
            burst: "01".into(),
            title: "burst committed".into(),
            text: "Music: +8 tracks".into(),
            needs_a_person,
            exit: 0,
        }
    }

    /// A server that answers once with `status`; gives its address and what it was sent.
    async fn server(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/secret-topic", listener.local_addr().unwrap());
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            // The whole request is there once its body is as long as it says.
            while !is_whole(&text) {
                let count = stream.read(&mut buffer).await.unwrap();
                text.extend_from_slice(&buffer[..count]);
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        (address, heard)
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        body.len() >= length.unwrap_or(0)
    }

    fn secret(dir: &Path, text: &str, mode: u32) -> PathBuf {
        let path = dir.join("address");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_webhook_gets_json_and_ntfy_a_text_with_its_headers() {
        let tmp = tempfile::tempdir().unwrap();
        let (url, heard) = server("200 OK").await;
        let config = Notify {
            webhook_file: Some(secret(tmp.path(), &url, 0o600)),
            ..Notify::default()
        };
        send(&config, &message(false), &Printer::new(true)).await;
        let said = heard.await.unwrap();
        assert!(
            said.contains("\"text\":\"Music: +8 tracks\"") && said.contains("\"exit\":0"),
            "{said}"
        );

        let (url, heard) = server("200 OK").await;
        let config = Notify {
            ntfy_file: Some(secret(tmp.path(), &url, 0o600)),
            ..Notify::default()
        };
        send(&config, &message(true), &Printer::new(true)).await;
        let said = heard.await.unwrap().to_lowercase();
        assert!(
            said.contains("title: burst committed") && said.contains("priority: high"),
            "{said}"
        );
        assert!(said.ends_with("music: +8 tracks"), "{said}");
    }

    #[tokio::test]
    async fn a_command_gets_the_text_and_the_json() {
        let tmp = tempfile::tempdir().unwrap();
        let out = tmp.path().join("out");
        let script = format!("cat > {0}; echo \"$1\" >> {0}", out.display());
        let config = Notify {
            command: Some(["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()),
            when: When::Trouble,
            ..Notify::default()
        };
        send(&config, &message(false), &Printer::new(true)).await;
        assert!(!out.exists(), "nothing was the matter");
        send(&config, &message(true), &Printer::new(true)).await;
        let said = std::fs::read_to_string(&out).unwrap();
        assert!(
            said.contains("\"needs_a_person\":true") && said.ends_with("burst committed: Music: +8 tracks\n"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_delivered_shows_no_address() {
        let tmp = tempfile::tempdir().unwrap();
        let (url, heard) = server("403 Forbidden").await;
        let file = secret(tmp.path(), &url, 0o600);
        let error = post(&file, &message(true), |http, url| http.post(url))
            .await
            .unwrap_err();
        assert!(
            error.chain().contains("403") && !error.chain().contains("secret-topic"),
            "{}",
            error.chain()
        );
        heard.await.unwrap();
        let error = post(&file, &message(true), |http, url| http.post(url))
            .await
            .unwrap_err();
        assert!(!error.chain().contains("secret-topic"), "{}", error.chain());
        let open = secret(tmp.path(), &url, 0o644);
        let error = post(&open, &message(true), |http, url| http.post(url))
            .await
            .unwrap_err();
        assert_eq!(error.hint_text(), Some("chmod 600 it"));
    }
}
