//! `plexburst scan`: sections that home does not have yet, made one at a time, and then a burst that indexes them.
//!
//! Plex scans a section the moment it is made, which is what home is too weak for: its scan is ended at once, and awaited, before
//! the next section is made. What home has by then is only merged with what the worker finds, as in any burst: into a home
//! that already has a library this goes with everything that is in it.

use std::time::Duration;

use super::{Context, confirm, print, print_json, sync};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::config::sections::WantedSection;
use crate::error::{Error, Result};
use crate::exit;
use crate::home::Home;
use crate::plex::client::{Client, Section};

/// Between two looks at a scan that was ended.
const LOOK: Duration = Duration::from_millis(200);

/// Runs it, with the options of `sync`.
pub(super) async fn run(mut args: sync::Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    if args.archive.is_some() {
        return Err(
            Error::usage("a section is made by home's server, and an archive has none")
                .hint("leave out --archive; or make the sections in Plex, export, and `plexburst sync --archive`"),
        );
    }
    let wanted = wanted(&settings, &args.sections)?;
    let home = Home::of(&settings.config)?;
    let client = home.client()?;
    let there = client.sections().await?;
    let missing = missing(&wanted, &there)?;
    if args.dry_run {
        return show(&wanted, &missing, args.json);
    }
    if !missing.is_empty() {
        let named: Vec<String> = missing.iter().map(|section| describe(section)).collect();
        let question = format!("Home will get {}. Go on?", named.join("; "));
        confirm::confirm(&question, args.yes, context)?;
    }
    for section in &missing {
        make(&client, section, &settings, context).await?;
    }
    args.sections = wanted.iter().map(|section| section.title.clone()).collect();
    sync::run(args, context).await
}

/// The configuration's sections, or those of them that are named.
fn wanted(settings: &Settings, names: &[String]) -> Result<Vec<WantedSection>> {
    let all = &settings.config.sections;
    if all.is_empty() {
        return Err(Error::usage("no sections are configured").hint(
            "write them as [[sections]] into plexburst.toml (docs/scan.md), or put a plex_libraries.json beside it",
        ));
    }
    for name in names {
        if !all.iter().any(|section| section.title == *name) {
            let known: Vec<&str> = all.iter().map(|section| section.title.as_str()).collect();
            return Err(Error::usage(format!("no section {name:?} is configured"))
                .hint(format!("configured are: {}", known.join(", "))));
        }
    }
    let is_named = |section: &&WantedSection| names.is_empty() || names.contains(&section.title);
    Ok(all.iter().filter(is_named).cloned().collect())
}

/// Those that home does not have. One that it has in another form is the user's to decide about.
fn missing<'w>(wanted: &'w [WantedSection], there: &[Section]) -> Result<Vec<&'w WantedSection>> {
    let mut missing = Vec::new();
    for section in wanted {
        let Some(found) = there.iter().find(|found| found.title == section.title) else {
            missing.push(section);
            continue;
        };
        if found.kind != section.kind.word() {
            return Err(Error::usage(format!(
                "home has a section {:?}, of type {} and not {}",
                section.title,
                found.kind,
                section.kind.word()
            ))
            .hint("name one of the two differently"));
        }
        let lacks: Vec<&str> = section
            .paths
            .iter()
            .map(String::as_str)
            .filter(|path| !found.locations.iter().any(|location| location.path == *path))
            .collect();
        if !lacks.is_empty() {
            return Err(
                Error::usage(format!("home's section {:?} lacks {}", section.title, lacks.join(", ")))
                    .hint("add it to the section in Plex (Edit, Add folders), or take it out of the configuration"),
            );
        }
    }
    Ok(missing)
}

/// Makes a section, and comes back when home has ended the scan of it.
async fn make(client: &Client, wanted: &WantedSection, settings: &Settings, context: &Context) -> Result<()> {
    let title = &wanted.title;
    let id = client.create_section(&wanted.to_new()).await?;
    context
        .printer
        .say(&format!("            home has the section {title:?} now"));
    let limit = Duration::from_secs(settings.config.limits.ready);
    let clock = SystemClock;
    let since = clock.now();
    loop {
        let is_refreshing = client.sections().await?.iter().any(|s| s.id == id && s.refreshing);
        let is_busy = client.activities().await?.iter().any(|a| a.section == Some(id));
        if !is_refreshing && !is_busy {
            return Ok(());
        }
        // Again and again: a scan that was only queued begins later.
        if is_refreshing {
            client.cancel_refresh(id).await?;
        }
        if clock.now() - since >= limit {
            return Err(Error::failed(format!(
                "home goes on with the new section {title:?} after {} s",
                limit.as_secs()
            ))
            .hint("wait until Plex is quiet, then give the command again; `limits.ready` gives it more time"));
        }
        context
            .printer
            .progress(&format!("home ends its own scan of {title:?}"));
        clock.sleep(LOOK).await;
    }
}

fn describe(section: &WantedSection) -> String {
    format!(
        "the section {:?} ({}) with {}",
        section.title,
        section.kind.word(),
        section.paths.join(", ")
    )
}

fn show(wanted: &[WantedSection], missing: &[&WantedSection], json: bool) -> Result<u8> {
    if json {
        let list: Vec<_> = wanted
            .iter()
            .map(|section| serde_json::json!({ "section": section, "is_made": missing.contains(&section) }))
            .collect();
        print_json(&serde_json::json!({ "sections": list }))?;
        return Ok(exit::DONE);
    }
    for section in wanted {
        match missing.contains(&section) {
            true => print(&format!("would make {}, and index it", describe(section)))?,
            false => print(&format!("home has {}: would index what is new", describe(section)))?,
        }
    }
    Ok(exit::DONE)
}
