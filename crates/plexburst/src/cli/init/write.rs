//! The commented file.

use std::fmt::Write as _;
use std::path::Path;

use super::Answers;
use super::media::Place;

/// A text as TOML has it.
fn text(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn path(value: &Path) -> String {
    text(&value.display().to_string())
}

fn words(value: &[String]) -> String {
    let words: Vec<String> = value.iter().map(|word| text(word)).collect();
    format!("[{}]", words.join(", "))
}

/// The whole of `plexburst.toml`. Writing to a String cannot fail.
pub(super) fn file(answers: &Answers) -> String {
    let mut out = String::from("# plexburst's configuration; docs/configuration.md explains every key.\n");
    home(&mut out, answers);
    media(&mut out, answers);
    out.push_str(
        "\n[depot]\n# What travels between home and worker is parked here; default: a folder beside the bursts.\n\
         # For a worker that goes on without this machine: a bucket or an SFTP host (docs/depot.md).\n\
         # remote = \"s3://bucket/plexburst\"\n\
         \n[worker]\n# The Plex server that does the work on this machine (`sync --on here`); home's own program will do.\n\
         # server = \"/usr/lib/plexmediaserver/Plex Media Server\"\n\
         # Sonic analysis needs a Plex Pass and a claim of https://plex.tv/claim: PLEX_CLAIM, or\n# claim_file = \"claim\"\n\
         \n# For a rented machine (`sync --on scaleway`), docs/scaleway.md: keys are in scw's own configuration.\n\
         # [scaleway]\n# instance = \"standard\"\n# max_cost = 5.0\n",
    );
    out
}

fn home(out: &mut String, answers: &Answers) {
    let _ = writeln!(out, "\n[home]\n# {}.", answers.what);
    let _ = writeln!(out, "data_dir = {}", path(&answers.data_dir));
    match &answers.url {
        Some(url) => drop(writeln!(out, "url = {}", text(url))),
        None => out.push_str("# url = \"http://127.0.0.1:32400\"\n"),
    }
    for (key, command) in [("stop", &answers.stop), ("start", &answers.start)] {
        match command {
            Some(command) => drop(writeln!(out, "{key} = {}", words(command))),
            None => drop(writeln!(
                out,
                "# Still to be said, as a list of words:\n# {key} = [\"systemctl\", \"{key}\", \"plexmediaserver\"]"
            )),
        }
    }
    if let Some(command) = &answers.plex_sqlite {
        let _ = writeln!(
            out,
            "# Asked for Plex's order of titles where that cannot be told without it.\nplex_sqlite = {}",
            words(command)
        );
    }
}

fn media(out: &mut String, answers: &Answers) {
    out.push_str("\n[media]\n");
    match &answers.place {
        Place::Remote { name, config } => {
            let _ = writeln!(out, "remote = {}", text(name));
            if let Some(config) = config {
                let _ = writeln!(out, "rclone_config = {}", path(config));
            }
        }
        Place::Directory(dir) => drop(writeln!(out, "directory = {}", path(dir))),
    }
    out.push_str("\n[media.roots]\n# Section root at home = folder in the media. Every root needs one, also of sections that are not indexed.\n");
    for (section, roots) in &answers.sections {
        let _ = writeln!(out, "# {}", section.replace(['\n', '\r'], " "));
        for root in roots {
            let written = format!("{} = ", text(root));
            if out.contains(&format!("\n{written}")) {
                continue;
            }
            match answers.roots.iter().find(|(known, _)| known == root) {
                Some((_, Some(folder))) => drop(writeln!(out, "{written}{}", text(folder))),
                _ => drop(writeln!(out, "# {written}\"?\"")),
            }
        }
    }
}
