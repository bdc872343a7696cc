use super::*;

#[test]
fn films_and_their_guids() {
    let world = World::new(1, "tv.plex.agents.movie");
    world.file("The Family Plan (2023) {tmdb-1}/The Family Plan (2023).mkv", "film one");
    world.file("Elephant Dream/Elephant Dream.mp4", "film two");
    assert_eq!(world.scan().added, 2);
    assert_eq!(world.titles(1), ["Elephant Dream", "The Family Plan"]);
    assert_eq!(
        world.number("SELECT year FROM metadata_items WHERE title = 'The Family Plan'"),
        2023
    );
    assert!(
        world
            .texts("SELECT guid FROM metadata_items NOT INDEXED")
            .iter()
            .all(|guid| guid.starts_with("plex://movie/"))
    );
    let hints = world.texts("SELECT hints FROM media_items ORDER BY hints DESC");
    assert_eq!(hints, ["name=The%20Family%20Plan&year=2023", "name=Elephant%20Dream"]);
    let hash = world
        .texts("SELECT hash FROM media_parts ORDER BY id LIMIT 1")
        .remove(0);
    let thumb = format!(
        "Plex Media Server/Media/localhost/{}/{}.bundle/Contents/Thumbnails/thumb1.jpg",
        &hash[..1],
        &hash[1..]
    );
    assert!(world.support.join(thumb).is_file());
}

#[test]
fn shows_have_seasons_and_episodes() {
    let world = World::new(2, "tv.plex.agents.series");
    for path in [
        "Show (2005)/Season 1/S01E01.mkv",
        "Show (2005)/Season 1/S01E02.mkv",
        "Show (2005)/Season 2/S02E01.mkv",
    ] {
        world.file(path, path);
    }
    world.file("Show (2005)/trailer.mkv", "no number, no episode");
    assert_eq!(world.scan().added, 3);
    for (kind, count) in [(2, 1), (3, 2), (4, 3)] {
        let sql = format!("SELECT count(*) FROM metadata_items WHERE metadata_type = {kind} AND guid LIKE 'plex://%'");
        assert_eq!(world.number(&sql), count, "{kind}");
    }
    assert_eq!(world.titles(2), ["Show"]);
    assert_eq!(world.titles(3), ["", ""]);
    world.file("Show (2005)/Season 2/S02E02.mkv", "another");
    assert_eq!(world.scan().added, 1);
    assert_eq!(world.titles(2), ["Show"]);
}

#[test]
fn personal_media_have_guids_of_their_own() {
    let world = World::new(2, "com.plexapp.agents.none");
    world.file("Greatest Show (3000)/Season 1/S01E02.mkv", "a");
    world.scan();
    let show = world.number("SELECT id FROM metadata_items WHERE metadata_type = 2");
    let guids = world.texts("SELECT guid FROM metadata_items NOT INDEXED ORDER BY id");
    let expected = ["", "/1", "/1/2"].map(|rest| format!("com.plexapp.agents.none://{show}{rest}?lang=xn"));
    assert_eq!(guids, expected);

    let world = World::new(1, "com.plexapp.agents.none");
    world.file("Movie One (2020)/Movie One (2020).mkv", "abc");
    world.scan();
    assert_eq!(world.titles(1), ["Movie One (2020)"]);
    let guid = world.texts("SELECT guid FROM metadata_items NOT INDEXED").remove(0);
    assert_eq!(
        guid,
        "com.plexapp.agents.none://3a9993e364706816aba3e25717850c26c9cd0d89d?lang=xn"
    );

    let world = World::new(1, "tv.plex.agents.none");
    world.file("Film.mkv", "abc");
    world.scan();
    assert_eq!(
        world.number("SELECT count(*) FROM metadata_items WHERE guid = 'local://' || id"),
        1
    );
}

#[test]
fn photos_are_in_albums() {
    let world = World::new(13, "tv.plex.agents.photos");
    world.file("2020/Summer/one.jpg", "1");
    world.file("2020/Summer/two.jpg", "2");
    world.file("loose.png", "3");
    world.file("notes.txt", "no photo");
    assert_eq!(world.scan().added, 3);
    assert_eq!(world.titles(14), ["2020", "Summer"]);
    assert_eq!(world.titles(13), ["loose", "one", "two"]);
    let parents = "SELECT count(*) FROM metadata_items WHERE title = 'Summer'
        AND parent_id = (SELECT id FROM metadata_items WHERE title = '2020' AND metadata_type = 14)";
    assert_eq!(world.number(parents), 1);
    settle(&world.media);
    world.scan();
    assert_eq!(world.scan(), Outcome::default());
}

#[test]
fn two_roots_of_one_section() {
    let world = World::new(1, "tv.plex.agents.movie");
    let second = world.media.with_file_name("second");
    fs::create_dir_all(second.join("Same (2001)")).unwrap();
    fs::write(second.join("Same (2001)/Same (2001).mkv"), "other").unwrap();
    world.file("Same (2001)/Same (2001).mkv", "one");
    world
        .library()
        .execute(
            "INSERT INTO section_locations (library_section_id, root_path) VALUES (?1, ?2)",
            (world.section, second.to_str().unwrap()),
        )
        .unwrap();
    assert_eq!(world.scan().added, 2);
    assert_eq!(world.number("SELECT count(*) FROM directories WHERE path = ''"), 2);
    let rows = world.rows();
    assert_eq!(world.forced().changed, 0);
    assert_eq!(world.rows()["directories"], rows["directories"]);
    fs::remove_dir_all(second.join("Same (2001)")).unwrap();
    assert_eq!(
        world.scan(),
        Outcome {
            missing: 1,
            removed: 1,
            ..Outcome::default()
        }
    );
    assert_eq!(world.number("SELECT count(*) FROM media_parts"), 1);
    assert_eq!(world.titles(1), ["Same"]);
}
