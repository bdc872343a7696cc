//! `init` for a home on another machine: found out there, by the same program, and written down here.

use std::path::Path;

use super::{Args, media};
use crate::cli::{Context, confirm, print, quoted};
use crate::config::Settings;
use crate::distant::settle::{self, Account};
use crate::distant::{Machine, follow};
use crate::error::{Error, Result};
use crate::exit;

/// Writes what is found at the machine of `settings` (its `home.host`) to `output`. Nobody sits there, so what cannot be found
/// is an error with the option that says it; where the files are is asked here.
pub(super) async fn run(args: &Args, mut settings: Settings, output: &Path, context: &Context) -> Result<u8> {
    // Whether it can be reached comes first: nobody should answer for nothing.
    let mut machine = Machine::reach(&settings.config, &context.printer).await?;
    let media = match &args.media {
        Some(media) => Ok(Some(media.clone())),
        None => ask_for_media(&settings, args, context),
    };
    let media = match media {
        Ok(media) => media,
        Err(error) => {
            machine.leave().await;
            return Err(error);
        }
    };
    // What opens the media is a file of this machine, and goes along.
    let beside = output.parent().map(|dir| dir.join("rclone.conf"));
    let media_config = &mut settings.config.media;
    media_config.rclone_config = beside
        .filter(|path| path.is_file())
        .or(media_config.rclone_config.take());
    media_config.remote = media.clone().filter(|text| media::is_remote(text));
    media_config.directory = None;
    media_config.s3 = None;
    let written = write(args, media.as_deref(), &settings, &mut machine, output, context).await;
    let code = match written {
        Ok(exit::DONE) if args.no_doctor => {
            print(&format!(
                "wrote {output}; next: plexburst --config {output} doctor",
                output = quoted(output)
            ))?;
            Ok(exit::DONE)
        }
        Ok(exit::DONE) => {
            context.printer.say(&format!("wrote {}", quoted(output)));
            match load(output) {
                Ok(settings) => crate::cli::distant::doctor(&mut machine, &settings, context)
                    .await
                    .inspect(|code| super::next(*code, output, context)),
                Err(error) => Err(error),
            }
        }
        other => other,
    };
    machine.leave().await;
    code
}

async fn write(
    args: &Args,
    media: Option<&str>,
    settings: &Settings,
    machine: &mut Machine,
    output: &Path,
    context: &Context,
) -> Result<u8> {
    let there = format!("{}/init-{}.toml", machine.folders().base, ulid::Ulid::generate());
    let words = words(args, media, &there, output);
    let order = settle::order(settings, machine.folders(), Account::NotNeeded, words)?;
    let code = follow::carry_out(machine, &order, None, &context.printer, &mut |_| Ok(())).await?;
    if code != exit::DONE {
        return Ok(code);
    }
    let text = as_of_here(&bring(machine, &there, output).await?, settings)?;
    plex_library::publish::file(output, text.as_bytes())?;
    // It must be what it was meant to be.
    load(output)?;
    Ok(exit::DONE)
}

fn load(output: &Path) -> Result<Settings> {
    let base = output.parent().unwrap_or(Path::new("/"));
    Settings::load(Some(output), base, &|name| std::env::var(name).ok())
}

/// Where somebody can be asked.
fn ask_for_media(settings: &Settings, args: &Args, context: &Context) -> Result<Option<String>> {
    if args.yes {
        return Ok(None);
    }
    let host = settings.config.home.host.as_deref().unwrap_or_default();
    let question = format!("where are the files (a folder of {host}, or remote:path of rclone): ");
    Ok(confirm::ask(&question, context)?.filter(|answer| !answer.is_empty()))
}

/// The same command as it is given there.
fn words(args: &Args, media: Option<&str>, there: &str, output: &Path) -> Vec<String> {
    let mut words: Vec<String> = ["init", "--yes", "--no-doctor", "--output", there]
        .map(str::to_owned)
        .into();
    let data_dir = args.data_dir.as_ref().map(|dir| dir.display().to_string());
    let called = Some(quoted(output));
    for (option, value) in [
        ("--called", called.as_deref()),
        ("--data-dir", data_dir.as_deref()),
        ("--stop", args.stop.as_deref()),
        ("--start", args.start.as_deref()),
        ("--media", media),
    ] {
        words.extend(value.map(|value| format!("{option}={value}")));
    }
    words.extend(
        args.roots
            .iter()
            .map(|(root, folder)| format!("--root={root}={folder}")),
    );
    words
}

async fn bring(machine: &mut Machine, there: &str, output: &Path) -> Result<String> {
    let here = tempfile::tempdir_in(output.parent().unwrap_or(Path::new("/")))
        .map_err(|e| Error::failed(format!("cannot write beside {}", output.display())).because(e))?;
    let copy = here.path().join("plexburst.toml");
    machine.fetch(there, &copy).await?;
    machine.remove(there).await.ok();
    std::fs::read_to_string(&copy).map_err(|e| Error::unexpected(format!("cannot read {}", copy.display())).because(e))
}

/// What was written there, as it holds here: how that machine is reached, and files of here for files that were sent along.
fn as_of_here(text: &str, settings: &Settings) -> Result<String> {
    let home = &settings.config.home;
    let quote = |value: &str| toml::Value::String(value.to_owned()).to_string();
    let file = |path: &Path| quote(&path.display().to_string());
    let mut reached = format!(
        "# The machine that home is on, by SSH; paths below are paths there.\nhost = {}\n",
        quote(home.host.as_deref().unwrap_or_default())
    );
    for (key, path) in [("ssh_config", &home.ssh_config), ("directory", &home.directory)] {
        if let Some(path) = path {
            reached.push_str(&format!("{key} = {}\n", file(path)));
        }
    }
    let mut out = String::new();
    let mut has_home = false;
    for line in text.lines() {
        if line.starts_with("rclone_config = ") {
            continue;
        }
        out.push_str(&line.replace(
            "on this machine (`sync --on here`)",
            "on home's machine (`sync --on here`)",
        ));
        out.push('\n');
        if line == "[home]" {
            has_home = true;
            out.push_str(&reached);
        }
        if line.starts_with("remote = ")
            && let Some(path) = &settings.config.media.rclone_config
        {
            out.push_str(&format!(
                "# A file of this machine; its one remote goes along.\nrclone_config = {}\n",
                file(path)
            ));
        }
    }
    match has_home {
        true => Ok(out),
        false => Err(Error::unexpected("what home's machine wrote has no [home]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_there_alone_is_not_written_here() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rclone.conf"), "").unwrap();
        std::fs::write(dir.path().join("ssh"), "").unwrap();
        let text =
            "[home]\nhost = \"nas\"\nssh_config = \"ssh\"\n[media]\nremote = \"m:\"\nrclone_config = \"rclone.conf\"\n";
        std::fs::write(dir.path().join("plexburst.toml"), text).unwrap();
        let home = dir.path().display().to_string();
        let settings = Settings::load(None, dir.path(), &|name| (name == "HOME").then(|| home.clone())).unwrap();
        let there = "[home]\n# a kind.\ndata_dir = \"/p\"\n[media]\nremote = \"m:\"\nrclone_config = \"/dev/shm/x\"\n# Plex on this \
                     machine (`sync --on here`)\n";
        let here = as_of_here(there, &settings).unwrap();
        let config: toml::Table = here.parse().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(config["home"]["host"].as_str(), Some("nas"));
        assert_eq!(config["home"]["ssh_config"].as_str(), Some(at("ssh").as_str()));
        assert_eq!(
            config["media"]["rclone_config"].as_str(),
            Some(at("rclone.conf").as_str())
        );
        assert!(
            !here.contains("/dev/shm") && here.contains("on home's machine"),
            "{here}"
        );
        assert!(as_of_here("[media]\n", &settings).is_err());
    }
}
