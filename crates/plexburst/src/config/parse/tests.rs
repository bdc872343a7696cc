//! Broken configurations, one defect each: the message names file, line and key, the hint what to write instead.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;

use super::*;
use crate::config::CellMode;

fn none(_: &str) -> Option<String> {
    None
}

/// (text, line, key, part of the hint)
const BROKEN: &[(&str, usize, &str, &str)] = &[
    // Not TOML.
    (
        "[home]\ndata_dir = /var/lib/plex\n",
        2,
        "data_dir",
        "quotes: data_dir = \"/var/lib/plex\"",
    ),
    ("[home]\nurl = \"http://127.0.0.1:32400\n", 2, "url", "no closing quote"),
    ("[home\nurl = \"http://h:1\"\n", 1, "[home", "brackets"),
    ("[worker]\nport = 1\nport = 2\n", 3, "port", "remove one of the two"),
    ("[worker]\nport =\n", 2, "port", "write a value after `port =`"),
    (
        "[home]\nstop = [\"a\", \"b\"\n\n[worker]\n",
        4,
        "[worker]",
        "alone on its line",
    ),
    ("home.data_dir\n", 1, "home.data_dir", "key = value"),
    // Keys.
    (
        "[home]\ndata_dirr = \"/x\"\n",
        2,
        "home.data_dirr",
        "did you mean `home.data_dir`?",
    ),
    ("[hom]\nurl = \"http://h:1\"\n", 1, "hom", "did you mean `home`?"),
    (
        "[media]\nmin_sped = 5.0\n",
        2,
        "media.min_sped",
        "did you mean `media.min_speed`?",
    ),
    ("[home]\nzone = \"fr-par-1\"\n", 2, "home.zone", "`scaleway.zone`"),
    ("[xyzzy]\na = 1\n", 1, "xyzzy", "the tables are"),
    (
        "[[media.mappings]]\nfrom = \"/a\"\nto = \"/b\"\nkind = \"worker\"\nfro = 1\n",
        5,
        "fro",
        "did you mean `media.mappings.from`?",
    ),
    // Types.
    ("[limits]\nready = \"15 min\"\n", 2, "limits.ready", "a whole number"),
    ("[limits]\nready = -1\n", 2, "limits.ready", "a whole number"),
    (
        "[home]\nstop = \"systemctl stop plexmediaserver\"\n",
        2,
        "home.stop",
        "a list of texts",
    ),
    (
        "[worker]\ncell = \"perhaps\"\n",
        2,
        "worker.cell",
        "\"auto\", \"always\", \"never\"",
    ),
    ("[worker]\nport = 70000\n", 2, "worker.port", "a whole number"),
    (
        "[home]\nlimit_rate = \"fast\"\n",
        2,
        "home.limit_rate",
        "a text in quotes or a whole number",
    ),
    ("media = \"mega:music\"\n", 1, "media", "[media]"),
    (
        "[[media.mappings]]\nfrom = \"/a\"\nto = \"/b\"\nkind = \"for ever\"\n",
        4,
        "kind",
        "\"permanent\", \"worker\"",
    ),
    // Values.
    ("[home]\nurl = \"127.0.0.1:32400\"\n", 2, "home.url", "http://"),
    ("[home]\nstop = []\n", 2, "home.stop", "stop = [\"systemctl\""),
    (
        "[media]\nremote = \"m:x\"\ndirectory = \"/m\"\n",
        3,
        "media.directory",
        "keep `media.remote` or `media.directory`",
    ),
    (
        "[media]\nremote = \"/srv/media\"\n",
        2,
        "media.remote",
        "`media.directory`",
    ),
    (
        "[media.s3]\nregion = \"fr-par\"\n",
        1,
        "media.s3.bucket",
        "bucket = \"music/folder\"",
    ),
    (
        "[media]\nrclone_sha256 = \"abc\"\n",
        2,
        "media.rclone_sha256",
        "64 hexadecimal",
    ),
    (
        "[media.roots]\n\"Media/Music\" = \"Music\"\n",
        2,
        "media.roots.Media/Music",
        "\"/Media/Music\" = \"Music\"",
    ),
    (
        "[media.roots]\n\"/Media\" = \"../Music\"\n",
        2,
        "media.roots./Media",
        "\"/Media\" = \"Music\"",
    ),
    (
        "[[media.mappings]]\nfrom = \"a\"\nto = \"/b\"\nkind = \"worker\"\n",
        2,
        "media.mappings.0.from",
        "from = \"/a\"",
    ),
    (
        "[[media.mappings]]\nfrom = \"/a\"\nto = \"/b\"\nkind = \"worker\"\n[[media.mappings]]\nfrom = \"/a\"\nto = \"/c\"\nkind = \"worker\"\n",
        6,
        "media.mappings.1.from",
        "one place",
    ),
    (
        "[depot]\ndirectory = \"/d\"\nremote = \"s3://b\"\n",
        3,
        "depot.remote",
        "keep one",
    ),
    ("[depot]\nremote = \"ftp://h/x\"\n", 2, "depot.remote", "sftp://"),
    (
        "[depot]\nrecipients = [\"AGE-SECRET-KEY-1\"]\n",
        2,
        "depot.recipients.0",
        "identity_file",
    ),
    ("[worker]\nport = 0\n", 2, "worker.port", "between 1 and 65535"),
    ("[scaleway]\nzone = \"paris\"\n", 2, "scaleway.zone", "fr-par-1"),
    (
        "[scaleway]\ninbound = [\"203.0.113.7\"]\n",
        2,
        "scaleway.inbound.0",
        "/32",
    ),
    ("[scaleway]\nmax_cost = 0\n", 2, "scaleway.max_cost", "above zero"),
    ("[limits]\ninterval = 0\n", 2, "limits.interval", "above zero"),
    ("[limits]\nstall = 0\n", 2, "limits.stall", "above zero"),
];

#[test]
fn each_defect_is_named_with_its_line_and_its_fix() {
    assert!(BROKEN.len() >= 30);
    for (text, line, key, fix) in BROKEN {
        let error = parse(text, "plexburst.toml", &none).map(|_| text).unwrap_err();
        let said = error.chain();
        let hint = error.hint_text().unwrap_or_default();
        assert!(
            said.starts_with(&format!("plexburst.toml: line {line}: ")),
            "{text}: {said}"
        );
        assert!(said.contains(key), "{text}: {said}");
        assert!(hint.contains(fix), "{text}: {hint}");
        assert_eq!(error.exit(), crate::exit::USAGE);
    }
}

#[test]
fn an_identity_in_the_wrong_place_is_not_printed() {
    let error = parse("[depot]\nrecipients = [\"AGE-SECRET-KEY-1QQ\"]\n", "f", &none).unwrap_err();
    assert!(!error.chain().contains("SECRET"), "{}", error.chain());
}

#[test]
fn environment_lies_over_file() {
    let env = |name: &str| (name == "PLEXBURST_WORKER_PORT").then(|| "4242".to_owned());
    let c = parse("[worker]\nport = 1\ncell = \"never\"\n", "f", &env).unwrap();
    assert_eq!(c.worker.port, Some(4242));
    assert_eq!(c.worker.cell, CellMode::Never);
}

#[test]
fn a_wrong_value_in_the_environment_is_an_error() {
    let env = |name: &str| (name == "PLEXBURST_WORKER_CELL").then(|| "perhaps".to_owned());
    let e = parse("", "f", &env).unwrap_err();
    assert!(e.chain().contains("PLEXBURST_WORKER_CELL"), "{}", e.chain());
    assert!(e.hint_text().unwrap().contains("\"never\""));
    let env = |name: &str| (name == "PLEXBURST_HOME_URL").then(|| "h:1".to_owned());
    let e = parse("[home]\nurl = \"http://h:1\"\n", "f", &env).unwrap_err();
    assert!(e.chain().starts_with("PLEXBURST_HOME_URL: "), "{}", e.chain());
}

#[test]
fn every_variable_stands_for_a_key() {
    let keys = crate::config::schema::keys();
    for key in SIMPLE_KEYS {
        assert!(keys.iter().any(|(known, _)| known == key), "{key} is no key");
    }
}

#[test]
fn paths_are_meant_from_the_file() {
    let mut c = parse("[home]\ndata_dir = \"pms\"\n", "f", &none).unwrap();
    c.make_absolute(Path::new("/etc/x"));
    assert_eq!(c.home.data_dir.unwrap(), Path::new("/etc/x/pms"));
}
