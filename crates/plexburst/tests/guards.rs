//! The guards from outside: `doctor`, `plan` and `sync` show and stop at the same list, and change nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::{Path, PathBuf};

use common::World;
use plexburst::exit;
use sim::fixture::Builder;

/// A home whose library has films at two roots and shows; every file of it exists in the media.
fn library() -> (World, PathBuf) {
    let mut world = World::new();
    let databases = world.databases();
    std::fs::create_dir_all(&databases).unwrap();
    Builder::new(&databases)
        .seed(5)
        .movies("Films", "/Media/Films", 12)
        .shows("TV", "/Media/TVShows", 3, 2, 5)
        .build()
        .unwrap();
    let db = plex_library::open::read_write(&databases.join(plex_library::LIBRARY_DB)).unwrap();
    db.execute(
        "INSERT INTO section_locations (library_section_id, root_path, available)
         SELECT id, '/Media/More Films', 't' FROM library_sections WHERE name = 'Films'",
        [],
    )
    .unwrap();
    drop(db);
    let media = world.media();
    for (path, size, at) in known(&world) {
        let file = media.join(path.strip_prefix("/Media/").unwrap());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let made = std::fs::File::create(&file).unwrap();
        made.set_len(size).unwrap();
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at);
        made.set_modified(at).unwrap();
    }
    std::fs::create_dir_all(media.join("More Films")).unwrap();
    std::fs::write(media.join("More Films/Another (2001).mkv"), "new").unwrap();
    world.media_config = String::new();
    world.configure(&[("/Media", "")]);
    world.start_home();
    (world, media)
}

fn known(world: &World) -> Vec<(String, u64, u64)> {
    let db = plex_library::open::read_only(&world.databases().join(plex_library::LIBRARY_DB)).unwrap();
    let mut statement = db
        .prepare("SELECT file, max(size), max(updated_at) FROM media_parts WHERE file LIKE '/Media/%' GROUP BY file")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get::<_, i64>(1)?.unsigned_abs(),
            row.get::<_, i64>(2)?.unsigned_abs(),
        ))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn json(world: &World, args: &[&str], code: u8) -> serde_json::Value {
    let output = world.run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {stderr}"))
}

fn guard<'v>(json: &'v serde_json::Value, name: &str) -> &'v serde_json::Value {
    let guards = json["guards"].as_array().unwrap();
    guards
        .iter()
        .find(|found| found["guard"] == name)
        .unwrap_or_else(|| panic!("no {name} in {json:#}"))
}

fn names(json: &serde_json::Value) -> Vec<&str> {
    let guards = json["guards"].as_array().unwrap();
    guards.iter().map(|found| found["guard"].as_str().unwrap()).collect()
}

fn renamed(media: &Path, from: &str, to: &str) {
    let to = media.join(to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(media.join(from), to).unwrap();
}

#[test]
fn doctor_and_plan_show_what_a_burst_stops_at() {
    let (world, media) = library();
    let files = known(&world).len() as u64;

    let doctor = json(&world, &["doctor", "--json"], exit::DONE);
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    for name in [
        "home-healthy",
        "home-rights",
        "library-sound",
        "worker-server",
        "free-space",
        "roots-exist",
        "files-found",
        "file-times",
    ] {
        assert_eq!(guard(&doctor, name)["outcome"], "passed", "{doctor:#}");
    }
    // What only the worker can look at stands in the same list, with where and when.
    for name in ["mount-proved", "worker-invisible", "same-version", "nothing-lost"] {
        let found = guard(&doctor, name);
        assert_eq!(found["outcome"], "later", "{doctor:#}");
        assert!(found["evidence"].as_str().unwrap().contains("on the worker"), "{found}");
    }
    let all: Vec<&str> = plexburst::burst::guard::Guard::ALL
        .iter()
        .map(|guard| guard.name())
        .collect();
    assert_eq!(names(&doctor), all);
    let plan = json(&world, &["plan", "--json"], exit::DONE);
    assert_eq!(names(&plan), all);
    let sections = plan["survey"]["sections"].as_array().unwrap();
    let sum = |key: &str| {
        sections
            .iter()
            .map(|section| section[key].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (sum("present"), sum("missing"), sum("new"), sum("new_bytes")),
        (files, 0, 1, 3)
    );
    let todo = plan["todo"].as_array().unwrap();
    let films = todo.iter().find(|section| section["name"] == "Films").unwrap();
    assert_eq!(
        (&films["new"], &films["without_sonic"]),
        (&1.into(), &serde_json::Value::Null)
    );
    let text = String::from_utf8(world.run(&["sync", "--dry-run"]).stdout).unwrap();
    assert!(text.contains("to do in"), "{text}");
    assert!(text.contains("a burst would begin") && text.contains("Films"), "{text}");

    // Other times: Plex would analyse everything again.
    for (path, ..) in known(&world) {
        let file = std::fs::File::options()
            .append(true)
            .open(media.join(path.strip_prefix("/Media/").unwrap()))
            .unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(77))
            .unwrap();
    }
    let doctor = json(&world, &["doctor", "--json"], exit::DONE);
    assert_eq!(guard(&doctor, "file-times")["outcome"], "warned", "{doctor:#}");

    // A file that is gone is refused by name; so few are proved gone only where they are a small share.
    let (gone, ..) = known(&world).remove(0);
    std::fs::remove_file(media.join(gone.strip_prefix("/Media/").unwrap())).unwrap();
    let plan = json(&world, &["plan", "--json"], exit::DONE);
    let found = guard(&plan, "files-found");
    assert_eq!(found["outcome"], "warned", "one of {files} is a small share: {plan:#}");
    assert!(found["evidence"].as_str().unwrap().contains(&gone));
    assert_eq!(plan["survey"]["gone"][0], gone);
    let more: Vec<String> = known(&world)
        .into_iter()
        .skip(1)
        .take(5)
        .map(|(path, ..)| path)
        .collect();
    for path in &more {
        std::fs::remove_file(media.join(path.strip_prefix("/Media/").unwrap())).unwrap();
    }
    let plan = json(&world, &["plan", "--json"], exit::REFUSED);
    assert_eq!(guard(&plan, "files-found")["outcome"], "refused");
    let doctor = json(&world, &["doctor", "--json"], exit::REFUSED);
    assert_eq!(doctor["ok"], false);
    assert_eq!(
        guard(&plan, "files-found")["hint"],
        guard(&doctor, "files-found")["hint"]
    );
    let output = world.run(&["sync"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(exit::REFUSED)), "{stderr}");
    assert!(stderr.contains("--accept-losses 6"), "{stderr}");
    json(&world, &["plan", "--json", "--accept-losses", "6"], exit::DONE);
}

#[test]
fn what_there_is_to_do_is_counted_section_by_section() {
    use plexburst::burst::spec::Section;
    use plexburst::burst::todo;
    let dir = tempfile::tempdir().unwrap();
    Builder::new(dir.path())
        .seed(3)
        .movies("Films", "/Media/Films", 5)
        .music("Music", "/Media/Music", 2, 2, 3)
        .build()
        .unwrap();
    let databases = plex_library::Databases::at(dir.path());
    let change = |sql: &str| {
        let db = plex_library::open::read_write(&databases.library()).unwrap();
        db.execute(sql, []).unwrap()
    };
    let section = |id: i64, name: &str, kind: &str| Section {
        id,
        name: name.to_owned(),
        kind: kind.to_owned(),
        roots: Vec::new(),
    };
    let sections = [section(1, "Films", "movie"), section(2, "Music", "artist")];
    let count = |quick: bool| todo::of(&databases, &sections, &[1, 2], !quick, None).unwrap();
    let before = count(false);
    let (films, music) = (&before[0], &before[1]);
    assert_eq!(
        (films.without_loudness, films.without_sonic, films.new),
        (None, None, None)
    );
    assert!(
        music.without_loudness.is_some() && music.without_sonic <= Some(12),
        "{music:?}"
    );
    assert_eq!(count(true)[1].without_sonic, None);
    // Of one film nothing is known any more, and of all tracks no loudness.
    change("UPDATE media_items SET media_analysis_version = 1");
    change(
        "UPDATE media_items SET media_analysis_version = 0
         WHERE id = (SELECT min(id) FROM media_items WHERE library_section_id = 1)",
    );
    change("UPDATE media_streams SET extra_data = NULL");
    let after = count(false);
    assert_eq!((after[0].without_analysis, after[1].without_analysis), (1, 0));
    assert_eq!(after[1].without_loudness, Some(12));
}

#[test]
fn a_section_with_two_roots_of_which_one_is_not_in_the_media() {
    let (world, media) = library();
    renamed(&media, "More Films", "Films, more");
    let output = world.run(&["sync"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(exit::REFUSED)), "{stderr}");
    for words in ["/Media/More Films", "\"Films\"", "hint: ", "media.roots"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    // Nothing was begun: no snapshot, no worker, home's preferences as they were.
    let burst = world.burst_dir();
    let journal = std::fs::read_to_string(burst.join("journal.jsonl")).unwrap();
    assert!(
        !journal.contains("\"snapshot\"") && !journal.contains("\"quiet-home\""),
        "{journal}"
    );
    assert!(world.workers().is_empty());
    // The fix of the message.
    world.configure(&[("/Media", ""), ("/Media/More Films", "Films, more")]);
    json(&world, &["doctor", "--json"], exit::DONE);
}

#[test]
fn moves_are_offered_as_mappings_that_then_hold() {
    let (mut world, media) = library();
    renamed(&media, "TVShows", "TV");
    let plan = json(&world, &["plan", "--json"], exit::REFUSED);
    let offer = &plan["survey"]["moves"]["offers"][0];
    assert_eq!(
        (offer["from"].as_str(), offer["to"].as_str()),
        (Some("/Media/TVShows"), Some("/Media/TV")),
        "{plan:#}"
    );
    let files = known(&world)
        .iter()
        .filter(|(path, ..)| path.starts_with("/Media/TVShows/"))
        .count();
    assert_eq!(offer["files"], files);
    let roots = guard(&plan, "roots-exist");
    assert!(
        roots["hint"].as_str().unwrap().contains("[[media.mappings]]"),
        "{plan:#}"
    );
    let text = String::from_utf8(world.run(&["plan"]).stdout).unwrap();
    assert!(text.contains("/Media/TVShows") && text.contains("100"), "{text}");

    world.media_config = format!(
        "directory = {:?}\n[[media.mappings]]\nfrom = \"/Media/TVShows\"\nto = \"/Media/TV\"\nkind = \"permanent\"\n",
        media.display().to_string()
    );
    world.configure(&[("/Media", "")]);
    let plan = json(&world, &["plan", "--json"], exit::DONE);
    assert_eq!(plan["survey"]["moves"]["missing"], 0, "{plan:#}");
    assert_eq!(plan["mappings"][0]["kind"], "permanent");
    let tv = plan["survey"]["sections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|section| section["name"] == "TV")
        .unwrap();
    assert_eq!(tv["present"], files);
    assert_eq!(tv["roots"][0]["mapped"], "/Media/TV");
}

#[test]
fn another_spelling_is_explained() {
    let (world, media) = library();
    let (path, ..) = known(&world)
        .into_iter()
        .find(|(path, ..)| path.contains("/Films/"))
        .unwrap();
    let relative = path.strip_prefix("/Media/").unwrap();
    renamed(
        &media,
        relative,
        &relative.replace(".mkv", ".MKV").replace(".mp4", ".MP4"),
    );
    let plan = json(&world, &["plan", "--json"], exit::REFUSED);
    assert_eq!(plan["survey"]["respelled"][0]["how"], "case", "{plan:#}");
    let hint = guard(&plan, "files-found")["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("another spelling"), "{hint}");
}

/// A home with three tracks of music at `media/Music`.
async fn home_with_music() -> (World, String, i64) {
    let world = World::new();
    world.music(1, 1, 1, 3, 1.0);
    world.start_home();
    let root = world.media().join("Music").display().to_string();
    let section = world.create_music(&root, 3).await;
    (world, root, section)
}

fn paths_of(world: &World, sql: &str) -> Vec<String> {
    let db = plex_library::open::read_only(&world.databases().join(plex_library::LIBRARY_DB)).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

const FILES: &str = "SELECT file FROM media_parts WHERE deleted_at IS NULL ORDER BY file";
const ROOTS: &str = "SELECT root_path FROM section_locations";

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_move_stays_in_the_result_and_loses_nothing() {
    if !common::has("bwrap") {
        return common::skip(
            "a_permanent_move_stays_in_the_result_and_loses_nothing",
            "bubblewrap is not installed",
        );
    }
    let (mut world, root, section) = home_with_music().await;
    let before = common::files(&world.tracks(section).await);
    // The folder is renamed for good, and something new is in it.
    renamed(&world.media(), "Music", "Musik");
    let moved = world.media().join("Musik").display().to_string();
    let first = paths_of(&world, FILES)[0].replace(&root, &moved);
    std::fs::copy(&first, Path::new(&first).with_file_name("09 - New.flac")).unwrap();
    world.media_config = format!(
        "directory = {:?}\n[[media.mappings]]\nfrom = {root:?}\nto = {moved:?}\nkind = \"permanent\"\n",
        world.media().display().to_string()
    );
    let top = world.media().display().to_string();
    world.issue_claim();
    world.configure(&[(&top, "")]);
    let report = world.json(&["sync", "--json", "--quick"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let after = common::files(&world.tracks(section).await);
    // The copy has the tags of the first track, so Plex takes it for another file of that.
    for (id, file) in &before {
        let file = file.replace(&root, &moved);
        assert!(after[id].split('|').any(|one| one == file), "ids are kept: {after:?}");
    }
    assert_eq!(paths_of(&world, FILES).len(), before.len() + 1);
    assert_eq!(paths_of(&world, ROOTS), [moved.as_str()]);
    assert!(paths_of(&world, FILES).iter().all(|file| file.starts_with(&moved)));
    // The library from before is given back, and the files are where they are now.
    let report = world.json(&["rollback", "-y", "--json"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    assert_eq!(paths_of(&world, FILES).len(), before.len());
    assert_eq!(paths_of(&world, ROOTS), [moved.as_str()]);
    assert!(paths_of(&world, FILES).iter().all(|file| file.starts_with(&moved)));
}

/// Where a restructuring stopped in the middle of a folder, each file that was moved is offered by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_which_only_some_was_moved_keeps_its_items() {
    if !common::has("bwrap") {
        return common::skip(
            "a_folder_of_which_only_some_was_moved_keeps_its_items",
            "bubblewrap is not installed",
        );
    }
    let (mut world, root, section) = home_with_music().await;
    let before = common::files(&world.tracks(section).await);
    let known = paths_of(&world, FILES);
    for path in &known[..2] {
        let (album, name) = path.rsplit_once('/').unwrap();
        std::fs::create_dir_all(format!("{album} (again)")).unwrap();
        std::fs::rename(path, format!("{album} (again)/{name}")).unwrap();
    }
    world.issue_claim();
    world.configure(&[(&root, "Music")]);
    let plan = json(&world, &["plan", "--json", "--quick"], exit::REFUSED);
    let offers = plan["survey"]["moves"]["offers"].as_array().unwrap();
    let mut mappings = String::new();
    let mut moved = std::collections::BTreeMap::new();
    for offer in offers {
        let (from, to) = (offer["from"].as_str().unwrap(), offer["to"].as_str().unwrap());
        mappings.push_str(&format!(
            "[[media.mappings]]\nfrom = {from:?}\nto = {to:?}\nkind = \"permanent\"\n"
        ));
        moved.insert(from.to_owned(), to.to_owned());
    }
    assert!(moved.keys().eq(&known[..2]), "{plan:#}");
    world.media_config = format!("directory = {:?}\n{mappings}", world.media().display().to_string());
    world.configure(&[(&root, "Music")]);
    let report = world.json(&["sync", "--json", "--quick"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let after = common::files(&world.tracks(section).await);
    assert_eq!(after.len(), before.len());
    for (id, file) in &before {
        assert_eq!(&after[id], moved.get(file).unwrap_or(file), "{after:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_of_the_workers_alone_is_undone_on_return() {
    if !common::has("bwrap") {
        return common::skip(
            "a_mapping_of_the_workers_alone_is_undone_on_return",
            "bubblewrap is not installed",
        );
    }
    let (mut world, root, section) = home_with_music().await;
    let before = common::files(&world.tracks(section).await);
    let first = paths_of(&world, FILES)[0].clone();
    std::fs::copy(&first, Path::new(&first).with_file_name("09 - New.flac")).unwrap();
    world.media_config = format!(
        "directory = {:?}\n[[media.mappings]]\nfrom = {root:?}\nto = \"/elsewhere/Tunes\"\nkind = \"worker\"\n",
        world.media().display().to_string()
    );
    world.issue_claim();
    world.configure(&[("/elsewhere/Tunes", "Music")]);
    let report = world.json(&["sync", "--json", "--quick"]);
    assert_eq!(report["outcome"], "committed", "{report:#}");
    let after = common::files(&world.tracks(section).await);
    assert_eq!(paths_of(&world, FILES).len(), before.len() + 1);
    assert!(
        before
            .iter()
            .all(|(id, file)| after[id].split('|').any(|one| one == file)),
        "{after:?}"
    );
    assert_eq!(paths_of(&world, ROOTS), [root.as_str()]);
    assert!(paths_of(&world, FILES).iter().all(|file| file.starts_with(&root)));
}
