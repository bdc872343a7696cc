//! `init` for a home on another machine: found out there, by the same program, and written down here.

use std::path::Path;

use super::Args;
use crate::cli::{Context, print, quoted};
use crate::config::Settings;
use crate::distant::settle::{self, Account};
use crate::distant::{Machine, follow};
use crate::error::{Error, Result};
use crate::exit;

/// Writes what is found at the machine of `settings` (its `home.host`) to `output`. Nobody sits there, so what cannot be found
/// is an error with the option that says it.
pub(super) async fn run(args: &Args, settings: &Settings, output: &Path, context: &Context) -> Result<u8> {
    let host = settings.config.home.host.as_deref().unwrap_or_default();
    let mut machine = Machine::reach(&settings.config, &context.printer).await?;
    let there = format!("{}/init-{}.toml", machine.folders().base, ulid::Ulid::generate());
    let order = settle::order(settings, machine.folders(), Account::NotNeeded, words(args, &there))?;
    let code = follow::carry_out(&mut machine, &order, None, &context.printer, &mut |_| Ok(())).await;
    let text = match code {
        Ok(exit::DONE) => bring(&mut machine, &there, output).await,
        other => {
            machine.leave().await;
            return other;
        }
    };
    machine.leave().await;
    let text = with_host(&text?, host)?;
    plex_library::publish::file(output, text.as_bytes())?;
    // It must be what it was meant to be.
    let base = output.parent().unwrap_or(Path::new("/"));
    Settings::load(Some(output), base, &|name| std::env::var(name).ok())?;
    print(&format!(
        "wrote {}; next: plexburst --config {} doctor",
        output.display(),
        quoted(output)
    ))?;
    Ok(exit::DONE)
}

/// The same command as it is given there.
fn words(args: &Args, there: &str) -> Vec<String> {
    let mut words: Vec<String> = ["init", "--yes", "--no-doctor", "--output", there]
        .map(str::to_owned)
        .into();
    let data_dir = args.data_dir.as_ref().map(|dir| dir.display().to_string());
    for (option, value) in [
        ("--data-dir", &data_dir),
        ("--stop", &args.stop),
        ("--start", &args.start),
        ("--media", &args.media),
    ] {
        words.extend(value.as_ref().map(|value| format!("{option}={value}")));
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

fn with_host(text: &str, host: &str) -> Result<String> {
    let host = toml::Value::String(host.to_owned());
    match text.split_once("[home]\n") {
        Some((before, after)) => Ok(format!(
            "{before}[home]\n# The machine that home is on, by SSH; paths below are paths there.\nhost = {host}\n{after}"
        )),
        None => Err(Error::unexpected("what home's machine wrote has no [home]")),
    }
}
