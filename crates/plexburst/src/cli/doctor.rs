//! `plexburst doctor`: every precondition of a burst with its evidence and its fix, changing nothing.

use plex_library::Databases;
use serde::Serialize;

use super::{Context, print_folded, print_json};
use crate::burst::controller;
use crate::burst::guard::before::{self, Subject};
use crate::burst::guard::{Finding, Findings, Outcome};
use crate::burst::request::Options;
use crate::error::Result;
use crate::exit;
use crate::home::Home;

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Diagnosis {
    /// Whether a burst would begin.
    ok: bool,
    guards: Findings,
}

/// Runs it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    let home = Home::of(&settings.config)?;
    let databases: Databases = home.databases();
    let options = Options::default();
    let library = controller::look(&databases, &options.sections)?;
    let subject = Subject {
        config: &settings.config,
        home: Some(&home),
        plex_version: None,
        databases: &databases,
        sections: &library.sections,
        selected: &library.selected,
        options: &options,
        server: &controller::server_of(&settings.config),
        places: &controller::places_of(
            &settings.config,
            &options.on,
            Some(plex_library::swap::area(&databases)?),
            &settings.state_dir,
        ),
        is_thorough: true,
    };
    let (guards, _) = before::look(&subject, &context.printer).await;
    context.printer.clear();
    let outcome = guards.check();
    if args.json {
        print_json(&Diagnosis {
            ok: outcome.is_ok(),
            guards,
        })?;
    } else {
        print_folded(&text(&guards))?;
    }
    Ok(match outcome {
        Ok(()) => exit::DONE,
        Err(error) => error.exit(),
    })
}

/// One guard a line, the fix under it; and what comes of it.
pub(super) fn text(guards: &Findings) -> String {
    let mut text = String::new();
    for finding in &guards.0 {
        text.push_str(&finding.line());
        text.push('\n');
        if let Some(hint) = hint(finding) {
            text.push_str(&format!("{:<25} hint: {hint}\n", ""));
        }
    }
    let count = |outcome| guards.0.iter().filter(|f| f.outcome == outcome).count();
    text.push_str(&match count(Outcome::Refused) {
        0 => format!(
            "\na burst would begin; {}\n",
            counted(count(Outcome::Warned), "warning", "warnings")
        ),
        refused => format!(
            "\na burst would not begin: {}\n",
            counted(refused, "guard refuses", "guards refuse")
        ),
    });
    text
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn hint(finding: &Finding) -> Option<&str> {
    finding.hint.as_deref().filter(|hint| !hint.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::guard::Guard;

    #[test]
    fn each_guard_has_a_line_and_its_fix() {
        let guards = Findings(vec![
            Finding::passed(Guard::FreeSpace, "5 GiB free"),
            Finding::refused(Guard::RootsExist, "no /tv", "add it to `media.roots`"),
        ]);
        let text = text(&guards);
        assert!(text.contains("passed   free-space       5 GiB free\n"), "{text}");
        assert!(text.contains("REFUSED  roots-exist      no /tv\n"), "{text}");
        assert!(text.contains(" hint: add it to `media.roots`\n"), "{text}");
        assert!(text.ends_with("a burst would not begin: 1 guard refuses\n"), "{text}");
    }
}
