//! What is made from the definition of the command line itself, so that it cannot differ from it: completions, man pages,
//! the JSON schema of the configuration, and (by its test) docs/commands.md.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use super::{Cli, print, print_json};
use crate::error::{Error, Result};
use crate::exit;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete.
    shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this folder; default: print that of plexburst itself.
    #[arg(long, value_name = "FOLDER")]
    all: Option<PathBuf>,
}

/// The command line without what is not for people.
fn command() -> Command {
    let command = Cli::command();
    let hidden: Vec<String> = command
        .get_subcommands()
        .filter(|sub| sub.is_hide_set())
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut shown = Command::new("plexburst");
    // clap cannot take a subcommand away: what is shown is put together anew.
    shown = shown
        .about(command.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(super::AFTER_HELP);
    for arg in command.get_arguments() {
        shown = shown.arg(arg.clone());
    }
    for sub in command
        .get_subcommands()
        .filter(|sub| !hidden.contains(&sub.get_name().to_owned()))
    {
        shown = shown.subcommand(sub.clone());
    }
    shown
}

/// `completions SHELL`.
pub(super) fn completions(args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "plexburst", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(exit::DONE)
}

/// `man`.
pub(super) fn man(args: &ManArgs) -> Result<u8> {
    let Some(folder) = &args.all else {
        print(&page(command())?)?;
        return Ok(exit::DONE);
    };
    let cannot = |path: &Path| Error::failed(format!("cannot write {}", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| cannot(folder).because(e))?;
    let mut names = Vec::new();
    for (name, command) in pages() {
        let path = folder.join(format!("{name}.1"));
        plex_library::publish::file(&path, page(command)?.as_bytes()).map_err(|e| cannot(&path).because(e))?;
        names.push(path.display().to_string());
    }
    print(&names.join("\n"))?;
    Ok(exit::DONE)
}

/// Every command with the name of its page: `plexburst`, `plexburst-sync`, `plexburst-depot-list`.
fn pages() -> Vec<(String, Command)> {
    fn walk(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        found.push((name.to_owned(), command.clone().name(name.to_owned())));
        for sub in command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        {
            walk(sub, &format!("{name}-{}", sub.get_name()), found);
        }
    }
    let mut found = Vec::new();
    let mut top = command();
    // So that global options stand in every page.
    top.build();
    walk(&top, "plexburst", &mut found);
    found
}

fn page(command: Command) -> Result<String> {
    let mut text = Vec::new();
    let wrong = |e: std::io::Error| Error::unexpected("cannot make the man page").because(e);
    clap_mangen::Man::new(command).render(&mut text).map_err(wrong)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// `schema`.
pub(super) fn schema() -> Result<u8> {
    print_json(&crate::config::schema::schema())?;
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// docs/commands.md.
    fn commands() -> String {
        let mut text = String::from(
            "# Commands\n\nMade from the program's own `--help` (`PLEXBURST_UPDATE_DOCS=1 cargo test -p plexburst --lib reference` \
             makes it anew). `-q`,\n`--config` and `--help` go with every command. `plexburst man` has the same as man pages, \
             `plexburst completions SHELL` the\ncompletions of a shell.\n",
        );
        for (name, command) in pages().into_iter().skip(1) {
            let shown = name.replace('-', " ");
            let help = command.term_width(100).render_long_help().to_string();
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n## {shown}\n\n```text\n{}\n```\n",
                help.trim_end().replace(&name, &shown)
            );
        }
        let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
        trimmed.join("\n") + "\n"
    }

    fn docs(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
    }

    /// The file is what is made; where it is not, it is made anew when that is asked for.
    fn agrees(name: &str, made: &str) {
        let path = docs(name);
        if std::env::var_os("PLEXBURST_UPDATE_DOCS").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == made,
            "docs/{name} is not what the program says: PLEXBURST_UPDATE_DOCS=1 cargo test -p plexburst --lib reference"
        );
    }

    #[test]
    fn help_and_documentation_agree() {
        agrees("commands.md", &commands());
        let schema = serde_json::to_string_pretty(&crate::config::schema::schema()).unwrap();
        agrees("plexburst.schema.json", &(schema + "\n"));
    }

    #[test]
    fn every_command_has_a_page_that_says_its_options() {
        let pages = pages();
        assert!(pages.iter().any(|(name, _)| name == "plexburst-depot-list"));
        for (name, command) in pages {
            let text = page(command.clone()).unwrap();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{name} does not say what it does");
            for option in command.get_arguments().filter(|a| !a.is_hide_set()) {
                let Some(long) = option.get_long() else { continue };
                assert!(
                    text.replace('\\', "").contains(&format!("--{long}")),
                    "{name}: --{long}"
                );
                assert!(option.get_help().is_some(), "{name}: --{long} says nothing");
            }
        }
    }

    #[test]
    fn every_key_stands_in_the_documentation() {
        let text = std::fs::read_to_string(docs("configuration.md")).unwrap();
        for (key, _) in crate::config::schema::keys() {
            let name = key.rsplit('.').next().unwrap();
            assert!(text.contains(name), "{key} is not in docs/configuration.md");
        }
    }
}
