//! Commands that need home when home is another machine: carried out there, shown here.

use std::path::{Path, PathBuf};

use super::{Command, Context, confirm, export, print, print_folded};
use crate::burst::request::On;
use crate::burst::store;
use crate::config::Settings;
use crate::distant::settle::{self, Account, LateClaim};
use crate::distant::{Machine, follow};
use crate::error::{Error, Result};
use crate::exit;

/// What a command needs of home's machine.
enum Need<'a> {
    /// Nothing: it is done here.
    Nothing,
    /// The command is carried out there.
    Command(Account),
    /// The same, unless the burst that it is about is one of this machine (from an archive).
    Burst(Option<&'a str>, Account),
    /// An archive goes there first.
    Import(&'a Path),
    /// An archive comes back.
    Export(&'a export::Args),
}

fn need(command: &Command) -> Need<'_> {
    let account = |on: &On| match on {
        On::Scaleway => Account::Needed,
        On::Here | On::Host(_) => Account::NotNeeded,
    };
    match command {
        Command::Doctor(_) | Command::Plan(_) | Command::Rollback(_) => Need::Command(Account::NotNeeded),
        Command::Sync(args) if args.archive.is_none() => Need::Command(account(&args.on)),
        Command::Scan(args) => Need::Command(account(&args.on)),
        Command::Import(args) => match &args.file {
            Some(file) => Need::Import(file),
            None => Need::Command(Account::NotNeeded),
        },
        Command::Export(args) => match args.leaves_a_file() {
            true => Need::Export(args),
            false => Need::Command(Account::NotNeeded),
        },
        Command::Runs(_) | Command::Uninstall(_) => Need::Command(Account::NotNeeded),
        Command::Status(args) => Need::Burst(args.run.as_deref(), Account::NotNeeded),
        Command::Attach(args) => Need::Burst(args.run.as_deref(), Account::NotNeeded),
        Command::Logs(args) => Need::Burst(args.run.as_deref(), Account::NotNeeded),
        Command::Report(args) => Need::Burst(args.run.as_deref(), Account::NotNeeded),
        Command::Resume(args) => Need::Burst(args.run.run.as_deref(), Account::IfThere),
        Command::Cancel(args) => Need::Burst(args.run.run.as_deref(), Account::IfThere),
        Command::Depot(args) if args.knows_bursts() => Need::Command(Account::NotNeeded),
        Command::Inspect(args) if args.path.is_none() => Need::Command(Account::NotNeeded),
        Command::Verify(args) if args.path.is_none() => Need::Command(Account::NotNeeded),
        _ => Need::Nothing,
    }
}

/// Has `command` carried out at home, if home is another machine and the command needs it.
pub(super) async fn carry_out(command: &Command, context: &Context) -> Result<Option<u8>> {
    let need = need(command);
    if context.here || matches!(need, Need::Nothing) {
        return Ok(None);
    }
    let settings = context.read()?;
    if settings.config.home.host.is_none() {
        return Ok(None);
    }
    let (file, account) = match need {
        Need::Nothing => return Ok(None),
        Need::Command(account) => (None, account),
        Need::Burst(run, account) => {
            if run.is_some() && store::find(&settings.state_dir, run).is_ok() {
                return Ok(None);
            }
            (None, account)
        }
        Need::Import(path) => (Some(path), Account::NotNeeded),
        Need::Export(args) => return bring_export(&settings, args, context).await.map(Some),
    };
    let detaches = match command {
        Command::Sync(args) => args.detach,
        Command::Scan(args) => args.detach,
        Command::Resume(args) => args.detach,
        _ => false,
    };
    if detaches {
        return Err(Error::usage(
            "a burst of a home on another machine is a process there, which no connection's end reaches",
        )
        .hint("leave out --detach; Ctrl-C twice leaves it alone, `plexburst attach` shows it again"));
    }
    if let Command::Report(args) = command
        && args.open
    {
        return Err(
            Error::usage("the page lies on home's machine, which is not the one with your browser")
                .hint("`plexburst serve` shows it here"),
        );
    }
    context.warn_ignored(&settings);
    ask(command, &settings, context)?;
    if let Command::Sync(args) = command
        && args.on == On::Here
        && !args.dry_run
    {
        context
            .printer
            .say("the work is done on home's own machine; `--on` names another one");
    }
    if matches!(command, Command::Runs(_)) && store::all(&settings.state_dir).is_ok_and(|(known, _)| !known.is_empty())
    {
        context
            .printer
            .say("bursts of archives on this machine: `plexburst --here runs`");
    }
    let mut args = words()?;
    let has_agreed = match command {
        Command::Import(args) => !args.yes,
        Command::Uninstall(args) => !args.yes && !args.dry_run,
        Command::Rollback(args) => !args.yes && !args.list,
        _ => false,
    };
    if has_agreed {
        // It was agreed to here, and there nobody sits.
        args.push("-y".to_owned());
    }
    if let Some(path) = file {
        super::library::check_archive(path, "`plexburst sync --archive FILE`")?;
    }
    let mut machine = Machine::reach(&settings.config, &context.printer).await?;
    if let Some(path) = file {
        let there = machine.send(path).await?;
        let written = path.to_str().unwrap_or_default();
        // What was parsed stands on the command line as it is.
        if let Some(word) = args.iter_mut().find(|word| *word == written) {
            *word = there;
        }
    }
    let order = settle::order(&settings, machine.folders(), account, args)?;
    let claim = LateClaim::of(&settings, machine.folders());
    let show = match command {
        Command::Doctor(args) if !args.json => print_folded,
        Command::Plan(args) if !args.json => print_folded,
        _ => print,
    };
    let code = follow::carry_out(&mut machine, &order, claim, &context.printer, &mut |text| show(text)).await;
    if let (Command::Report(args), Ok(exit::DONE)) = (command, &code)
        && !args.json
    {
        context.printer.say(&format!(
            "pages lie on {}; `plexburst serve` shows them here",
            machine.name()
        ));
    }
    machine.leave().await;
    code.map(Some)
}

/// `doctor` at home, over a connection that stands, with the configuration `settings`.
pub(super) async fn doctor(machine: &mut Machine, settings: &Settings, context: &Context) -> Result<u8> {
    let order = settle::order(
        settings,
        machine.folders(),
        Account::NotNeeded,
        vec!["doctor".to_owned()],
    )?;
    follow::carry_out(machine, &order, None, &context.printer, &mut |text| print_folded(text)).await
}

/// Questions are asked here, where somebody sits.
fn ask(command: &Command, settings: &Settings, context: &Context) -> Result<()> {
    let host = settings.config.home.host.as_deref().unwrap_or_default();
    match command {
        Command::Import(args) => confirm::confirm(&super::import::question(host), args.yes, context),
        Command::Uninstall(args) if !args.dry_run => {
            confirm::confirm(&super::uninstall::question(host), args.yes, context)
        }
        Command::Rollback(args) if !args.list => confirm::confirm(&super::rollback::question(host), args.yes, context),
        _ => Ok(()),
    }
}

/// The archive is written there, where nothing can keep it from being whole, and then brought here.
async fn bring_export(settings: &Settings, args: &export::Args, context: &Context) -> Result<u8> {
    context.warn_ignored(settings);
    let target = export::target(args)?;
    let mut machine = Machine::reach(&settings.config, &context.printer).await?;
    let there = format!("{}/export-{}.tar.zst", machine.folders().base, ulid::Ulid::generate());
    let mut words = words()?;
    let written = args.file.as_ref().and_then(|file| file.to_str());
    match written.and_then(|written| words.iter_mut().find(|word| *word == written)) {
        Some(word) => word.clone_from(&there),
        None => words.push(there.clone()),
    }
    if !args.json {
        words.push("--json".to_owned());
    }
    let order = settle::order(settings, machine.folders(), Account::NotNeeded, words)?;
    let mut said = String::new();
    let code = follow::carry_out(&mut machine, &order, None, &context.printer, &mut |text| {
        said.push_str(text);
        Ok(())
    })
    .await;
    let brought = match code {
        Ok(exit::DONE) => machine.fetch(&there, &target).await.map(|()| exit::DONE),
        other => other,
    };
    // It would be in the way of nobody, but for its room.
    machine.remove(&there).await.ok();
    machine.leave().await;
    if !matches!(brought, Ok(exit::DONE)) {
        return brought;
    }
    let mut value: serde_json::Value =
        serde_json::from_str(&said).map_err(|e| Error::unexpected("cannot understand what home says").because(e))?;
    value["file"] = target.display().to_string().into();
    if args.json {
        super::print_json(&value)?;
    } else {
        let size = crate::term::bytes(value["bytes"].as_u64().unwrap_or_default());
        print(&format!("{} ({size})", target.display()))?;
    }
    Ok(exit::DONE)
}

/// This process's command line without what concerns this machine alone.
fn words() -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut given = std::env::args_os().skip(1);
    while let Some(word) = given.next() {
        let word = word
            .into_string()
            .map_err(|word| Error::usage(format!("{} is not UTF-8", PathBuf::from(word).display())))?;
        match word.as_str() {
            "--config" => drop(given.next()),
            "--here" | "-q" | "--quiet" => {}
            _ if word.starts_with("--config=") => {}
            _ => words.push(word),
        }
    }
    Ok(words)
}
