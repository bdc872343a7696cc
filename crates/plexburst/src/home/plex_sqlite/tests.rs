use std::path::PathBuf;
use std::sync::Arc;

use super::*;

/// For a program that answers, on a machine that is busy.
const LONG: Patience = Patience {
    answer: Duration::from_secs(300),
    all: Duration::from_secs(900),
};

/// For one that never will.
const SHORT: Patience = Patience {
    answer: Duration::from_millis(300),
    all: Duration::from_secs(300),
};

fn script(text: &str, patience: Patience) -> PlexSqlite {
    PlexSqlite::new(["sh", "-c", text].map(str::to_owned).to_vec(), patience)
}

/// SQLite's own shell, which has a collation of that kind: digits in texts count as numbers.
fn shell(test: &str) -> Option<PlexSqlite> {
    let shell = PlexSqlite::new(vec!["sqlite3".to_owned()], LONG);
    match shell.compare("uint", &[("a", "b")]) {
        Ok(_) => Some(shell),
        Err(why) => {
            println!("SKIPPED {test}: {why}");
            None
        }
    }
}

#[test]
fn sqlites_own_shell_answers_question_after_question() {
    let Some(shell) = shell("questions to SQLite's own shell") else {
        return;
    };
    let odd = [
        "it's 9",
        "it's\n10",
        "",
        "\0",
        ";",
        ".mode",
        "--",
        "ü \"9\"",
        "ü \"10\"",
        "x\u{7f}",
        "'",
    ];
    let long = "9".repeat(3 * LONGEST);
    let pairs: Vec<(&str, &str)> = odd
        .iter()
        .flat_map(|a| odd.iter().map(move |b| (*a, *b)))
        .chain([("a", long.as_str())])
        .cycle()
        .take(700)
        .collect();
    let answers = shell.compare("uint", &pairs).expect("answers");
    let back: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
    let reversed = shell.compare("uint", &back).expect("answers");
    for ((answer, reversed), pair) in answers.iter().zip(&reversed).zip(&pairs) {
        assert_eq!(*answer, reversed.reverse(), "{pair:?}");
        assert_eq!(*answer == Ordering::Equal, pair.0 == pair.1, "{pair:?}");
    }
    let one = |a, b| shell.compare("uint", &[(a, b)]).expect("an answer")[0];
    assert_eq!(one("part 9", "part 10"), Ordering::Less);
    assert_eq!(one("Part 9", "part 10"), Ordering::Less);
    assert_eq!(one("part 10", "part 9"), Ordering::Greater);
    assert_eq!(shell.compare("uint", &[]), Ok(Vec::new()));
    let why = shell
        .compare("icu_root", &[("a", "b")])
        .expect_err("it has no such collation");
    assert!(why.contains("no such collation sequence: icu_root"), "{why}");
    assert_eq!(
        shell.compare("uint", &[("a", "b")]),
        Err(why),
        "after a failure it is asked no more"
    );
}

#[test]
fn a_merge_writes_rows_where_sqlites_own_shell_says() {
    use plex_library::{Databases, LIBRARY_DB, merge};
    use sim::fixture::{Builder, edit};
    let Some(shell) = shell("a merge that asks SQLite's own shell") else {
        return;
    };
    // An index whose collation is in no library of ours, and in that shell.
    let dir = tempfile::tempdir().unwrap();
    let base = Builder::new(dir.path().join("base"))
        .movies("Films", "/films", 12)
        .build()
        .unwrap();
    let by_shell = |dir: &Path, sql: &str| {
        let out = Command::new("sqlite3")
            .arg(dir.join(LIBRARY_DB))
            .arg(sql)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let index = "CREATE INDEX index_title_sort_icu ON metadata_items(title_sort COLLATE uint)";
    by_shell(
        &base.databases_dir,
        &format!("DROP INDEX index_title_sort_icu; {index}"),
    );
    let mine = base.copy(&dir.path().join("mine")).unwrap();
    let theirs = base.copy(&dir.path().join("theirs")).unwrap();
    plex_library::ids::keep_apart(&Databases::at(&theirs.databases_dir), 1).unwrap();
    let films = &base.sections[0].leaves;
    let lists: Vec<i64> = {
        let pair = mine.open().unwrap();
        let titles = ["Part 10", "Part 9", "part 9", "It's"];
        // The simulator has no such collation; the index is made anew by the shell that has it.
        pair.library.execute_batch("DROP INDEX index_title_sort_icu").unwrap();
        titles
            .iter()
            .map(|title| edit::add_playlist(&pair, 1, title, &films[..2], 1_795_000_000).unwrap())
            .collect()
    };
    by_shell(&mine.databases_dir, index);
    let [base, home, staged] = [&base, &mine, &theirs].map(|f| Databases::at(&f.databases_dir));
    let options = merge::Options {
        plex: Some(Arc::new(shell)),
        ..merge::Options::default()
    };
    let report = merge::merge(&base, &home, &staged, &options).unwrap();
    assert!(report.kept_aside.is_empty() && report.placed_by_plex == 4, "{report:?}");
    let sorted = by_shell(
        &theirs.databases_dir,
        "SELECT id FROM metadata_items INDEXED BY index_title_sort_icu WHERE metadata_type = 15 ORDER BY title_sort COLLATE uint",
    );
    let wanted: String = [3, 1, 0, 2].map(|n: usize| format!("{}\n", lists[n])).concat();
    assert_eq!(sorted, wanted);
    assert_eq!(
        by_shell(&theirs.databases_dir, "PRAGMA integrity_check('metadata_items')"),
        "ok\n"
    );
}

#[test]
fn nothing_is_started_before_a_question() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("started");
    let program = script(&format!("touch {}; cat", mark.display()), LONG);
    assert_eq!(program.compare("x", &[("same", "same")]), Ok(vec![Ordering::Equal]));
    drop(program);
    assert!(!mark.exists());
}

#[test]
fn whatever_a_program_does_wrong_is_a_failure_that_says_so() {
    let answer = "sed -un 's/.*VALUES (\\([0-9]*\\),.*/\\1:-1/p'";
    let fine = script(answer, LONG);
    assert_eq!(
        fine.compare("x", &[("a", "b")]),
        Ok(vec![Ordering::Less]),
        "a script can be well"
    );
    for (text, patience, wanted) in [
        ("exit 1", LONG, "ended without an answer (exit status: 1)"),
        ("kill -9 $$", LONG, "ended without an answer (signal: 9 (SIGKILL))"),
        (
            "read a; read b; read c; exit 3",
            LONG,
            "ended without an answer (exit status: 3)",
        ),
        ("echo broken >&2; cat >/dev/null", LONG, "says: broken"),
        ("echo 1:7; cat >/dev/null", LONG, "answers what was not asked: 1:7"),
        ("echo 2:1; cat >/dev/null", LONG, "answers what was not asked: 2:1"),
        ("echo Plex; cat >/dev/null", LONG, "answers what was not asked: Plex"),
        ("cat >/dev/null", SHORT, "does not answer in time"),
        // It neither reads nor ends, and what it started does not either.
        ("sleep 1000 & wait", SHORT, "does not answer in time"),
    ] {
        let program = script(text, patience);
        let why = program.compare("x", &[("a", "b")]).expect_err(text);
        assert!(why.ends_with(wanted) && why.starts_with("sh -c"), "{text}: {why}");
        assert_eq!(program.compare("x", &[("a", "b")]), Err(why), "{text}");
    }
    let none = PlexSqlite::new(vec!["/nowhere/Plex SQLite".to_owned()], LONG);
    let why = none.compare("x", &[("a", "b")]).expect_err("not there");
    assert!(
        why.contains("/nowhere/Plex SQLite cannot be run: No such file"),
        "{why}"
    );
}

#[test]
fn all_answers_together_have_a_limit_too() {
    let patience = Patience {
        answer: Duration::from_secs(300),
        all: Duration::ZERO,
    };
    let program = script("cat >/dev/null", patience);
    let why = program.compare("x", &[("a", "b")]).expect_err("no time");
    assert!(why.ends_with("does not answer in time"), "{why}");
}

#[test]
fn it_does_not_outlive_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let text = format!("sleep 1000 & echo $! $$ >{}; echo no; exec sleep 1000", pids.display());
    let program = script(&text, LONG);
    program.compare("x", &[("a", "b")]).expect_err("that is no answer");
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2, "{pids}");
    let alive =
        |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let since = Instant::now();
    while pids.split_whitespace().any(alive) {
        assert!(since.elapsed() < Duration::from_secs(120), "still there: {pids}");
        thread::sleep(LOOK);
    }
}

#[test]
fn the_packages_program_is_only_asked_about_the_packages_library() {
    let dir = tempfile::tempdir().unwrap();
    let (program, data) = (dir.path().join("Plex SQLite"), dir.path().join("data"));
    let package = |home: PathBuf| of_package(&home, (program.to_str().unwrap(), data.to_str().unwrap()));
    assert_eq!(package(data.join("Library")), None);
    std::fs::write(&program, "").unwrap();
    assert_eq!(package(data.join("Library")).as_deref(), program.to_str());
    assert_eq!(package(dir.path().join("elsewhere")), None);
}
