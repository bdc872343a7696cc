//! Random histories: what a household and a worker may do to a library, as steps that proptest can choose and shrink.

use proptest::prelude::*;
use rusqlite::params;
use sim::fixture::edit::{self, Field};
use sim::fixture::{Fixture, Section};
use sim::store::Pair;

use crate::support::NOW;

/// A step; numbers choose among what there is, whatever there is.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Rate(usize, u8),
    Scrobble(usize),
    Unscrobble(usize),
    Offset(usize),
    View(usize),
    Playlist(usize, usize),
    Extend(usize, usize),
    DropPlaylist(usize),
    Collection(usize, usize),
    Label(usize, usize),
    Unlabel(usize),
    AddTrack(usize),
    Delete(usize),
    Trash(usize),
    Rename(usize, usize),
    Lock(usize),
    Refresh(usize),
    Streams(usize),
    Subtitle(usize),
    Select(usize),
    Analyse(usize),
    Match(usize),
    Absorb(usize),
    Remake(usize),
    Marker(usize),
    Device(usize),
    Statistics(usize),
    Preference(usize),
    Queue(usize),
    Bookmark(usize),
    Odds(usize),
    Cluster(usize),
    Place(usize),
    Relate(usize),
    Folder(usize),
    Section(usize),
}

/// What a household does.
pub(crate) fn household() -> impl Strategy<Value = Act> {
    let n = || 0usize..1000;
    prop_oneof![
        4 => (n(), 0u8..11).prop_map(|(n, stars)| Act::Rate(n, stars)),
        5 => n().prop_map(Act::Scrobble),
        2 => n().prop_map(Act::Unscrobble),
        3 => n().prop_map(Act::Offset),
        2 => n().prop_map(Act::View),
        3 => (n(), 0usize..5).prop_map(|(n, k)| Act::Playlist(n, k)),
        2 => (n(), n()).prop_map(|(p, n)| Act::Extend(p, n)),
        1 => n().prop_map(Act::DropPlaylist),
        2 => (n(), 1usize..4).prop_map(|(n, k)| Act::Collection(n, k)),
        2 => (n(), 0usize..3).prop_map(|(n, k)| Act::Label(n, k)),
        1 => n().prop_map(Act::Unlabel),
        4 => (0usize..12).prop_map(Act::AddTrack),
        2 => n().prop_map(Act::Delete),
        1 => n().prop_map(Act::Trash),
        1 => n().prop_map(Act::Remake),
        2 => (n(), n()).prop_map(|(n, k)| Act::Rename(n, k)),
        2 => n().prop_map(Act::Lock),
        1 => n().prop_map(Act::Refresh),
        1 => n().prop_map(Act::Streams),
        2 => n().prop_map(Act::Subtitle),
        2 => n().prop_map(Act::Select),
        1 => n().prop_map(Act::Device),
        1 => n().prop_map(Act::Statistics),
        1 => n().prop_map(Act::Preference),
        1 => n().prop_map(Act::Queue),
        1 => n().prop_map(Act::Bookmark),
        4 => (0usize..TABLES.len()).prop_map(Act::Odds),
        1 => (0usize..4).prop_map(Act::Cluster),
        1 => (0usize..4).prop_map(Act::Place),
        1 => n().prop_map(Act::Relate),
        1 => (0usize..3).prop_map(Act::Folder),
        1 => (0usize..3).prop_map(Act::Section),
    ]
}

/// What a worker does; it may also play something, as a careless owner would.
pub(crate) fn worker() -> impl Strategy<Value = Act> {
    let n = || 0usize..1000;
    prop_oneof![
        5 => (0usize..12).prop_map(Act::AddTrack),
        5 => n().prop_map(Act::Analyse),
        5 => n().prop_map(Act::Streams),
        4 => n().prop_map(Act::Refresh),
        2 => n().prop_map(Act::Match),
        1 => n().prop_map(Act::Absorb),
        2 => n().prop_map(Act::Remake),
        2 => n().prop_map(Act::Marker),
        1 => n().prop_map(Act::Scrobble),
        1 => (n(), 1usize..4).prop_map(|(n, k)| Act::Collection(n, k)),
        1 => (n(), 0usize..3).prop_map(|(n, k)| Act::Label(n, k)),
        1 => n().prop_map(Act::Device),
        1 => n().prop_map(Act::Statistics),
        1 => n().prop_map(Act::Trash),
        1 => (0usize..4).prop_map(Act::Cluster),
        1 => (0usize..4).prop_map(Act::Place),
        1 => n().prop_map(Act::Relate),
        1 => (0usize..3).prop_map(Act::Section),
    ]
}

/// Tables that nothing above writes, and a row for each.
pub(crate) const TABLES: [(&str, &str); 23] = [
    (
        "view_settings",
        "(account_id, client_type, view_group) VALUES (1, 'web', ?1)",
    ),
    (
        "media_item_settings",
        "(account_id, media_item_id, settings) SELECT 1, min(id), ?1 FROM media_items",
    ),
    (
        "media_stream_settings",
        "(account_id, media_stream_id, extra_data) SELECT 1, id, ?1 FROM media_streams WHERE id NOT IN (SELECT media_stream_id FROM media_stream_settings) LIMIT 1",
    ),
    (
        "library_section_permissions",
        "(library_section_id, account_id, permission) VALUES (1, 7, ?1)",
    ),
    ("custom_channels", "(name) VALUES (?1)"),
    ("hub_templates", "(section, identifier, title) VALUES ('1', 'hub', ?1)"),
    (
        "media_provider_resources",
        "(type, uuid) VALUES (1, hex(randomblob(8)) || ?1)",
    ),
    ("media_subscriptions", "(metadata_type, extra_data) VALUES (1, ?1)"),
    ("media_grabs", "(uuid, extra_data) VALUES (hex(randomblob(8)), ?1)"),
    ("download_queues", "(owner, client_identifier) VALUES (1, ?1)"),
    ("external_metadata_sources", "(uri) VALUES (hex(randomblob(8)) || ?1)"),
    (
        "metadata_subscription_desired_items",
        "(sub_id, remote_id) VALUES (1, ?1)",
    ),
    ("remote_id_translation", "(type, local_id, remote_id) VALUES (1, 1, ?1)"),
    ("accounts", "(name, created_at) VALUES (?1, 1)"),
    ("statistics_resources", "(timespan, at) VALUES (6, length(?1))"),
    ("plugins", "(identifier) VALUES (?1)"),
    (
        "plugin_prefixes",
        "(plugin_id, name) SELECT min(id), ?1 FROM plugins",
    ),
    (
        "external_metadata_items",
        "(id, external_metadata_source_id, guid) SELECT length(?1), min(id), ?1 FROM external_metadata_sources",
    ),
    (
        "metadata_agent_providers",
        "(identifier, created_at, updated_at) VALUES (hex(randomblob(8)) || ?1, 1, 1)",
    ),
    (
        "metadata_agent_provider_groups",
        "(title, created_at, updated_at) VALUES (?1, 1, 1)",
    ),
    (
        "metadata_agent_provider_group_items",
        "(metadata_agent_provider_group_id, metadata_agent_provider_id, \"order\") SELECT g.id, p.id, length(?1)
         FROM metadata_agent_provider_groups g, metadata_agent_providers p WHERE NOT EXISTS (SELECT 1 FROM metadata_agent_provider_group_items i
           WHERE i.metadata_agent_provider_group_id = g.id AND i.metadata_agent_provider_id = p.id) LIMIT 1",
    ),
    (
        "download_queue_items",
        "(queue_id, key, metadata_item_id, media_part_id) SELECT (SELECT min(id) FROM download_queues), '/library/metadata/' || m.metadata_item_id, m.metadata_item_id, p.id
         FROM media_parts p JOIN media_items m ON m.id = p.media_item_id WHERE ?1 <> '' LIMIT 1",
    ),
    (
        "versioned_metadata_items",
        "(metadata_item_id, selected_media_id, state) SELECT m.metadata_item_id, m.id, length(?1) FROM media_items m LIMIT 1",
    ),
];

/// The files that both sides may find.
pub(crate) fn file(n: usize) -> String {
    format!(
        "/music/Found Artist {}/Found Album {} (2021)/{:02} - Find {n}.flac",
        n % 3,
        n % 2,
        n % 4 + 1
    )
}

/// Takes a step at the library. Steps for which there is nothing are nothing.
pub(crate) fn act(fixture: &Fixture, pair: &Pair, act: &Act, step: usize) {
    let at = NOW + 10 * i64::try_from(step).expect("few steps");
    let db = &pair.library;
    let ids = |sql: &str| -> Vec<i64> {
        db.prepare(sql)
            .expect("sql")
            .query_map([], |row| row.get(0))
            .expect("query")
            .collect::<Result<_, _>>()
            .expect("ids")
    };
    // Versions of Plex differ in what they have.
    let has = |table: &str| -> bool {
        db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1")
            .and_then(|mut statement| statement.exists([table]))
            .expect("schema")
    };
    let pick = |ids: &[i64], n: usize| (!ids.is_empty()).then(|| ids[n % ids.len()]);
    let leaves = || {
        ids(
            "SELECT DISTINCT i.id FROM metadata_items i NOT INDEXED JOIN media_items m ON m.metadata_item_id = i.id
             JOIN media_parts p ON p.media_item_id = m.id WHERE i.library_section_id > 0 ORDER BY i.id",
        )
    };
    let tracks = || {
        ids(
            "SELECT i.id FROM metadata_items i NOT INDEXED WHERE i.metadata_type = 10 AND EXISTS (SELECT 1 FROM media_items m WHERE m.metadata_item_id = i.id) ORDER BY i.id",
        )
    };
    let guid = |id: i64| -> String {
        db.query_row("SELECT guid FROM metadata_items WHERE id = ?1", [id], |row| row.get(0))
            .expect("guid")
    };
    let part = |id: i64| -> i64 {
        db.query_row(
            "SELECT p.id FROM media_parts p JOIN media_items m ON m.id = p.media_item_id WHERE m.metadata_item_id = ?1 LIMIT 1",
            [id],
            |row| row.get(0),
        )
        .expect("part")
    };
    let playlists = || ids("SELECT id FROM metadata_items NOT INDEXED WHERE metadata_type = 15 ORDER BY id");
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| db.execute(sql, params).expect(sql);
    // By what they hold: a real library has them in an order of its own.
    let of_type = |kind: i64| -> &Section {
        let id = ids(&format!(
            "SELECT id FROM library_sections WHERE section_type = {kind} ORDER BY id"
        ))[0];
        fixture
            .sections
            .iter()
            .find(|section| section.id == id)
            .expect("section")
    };
    let (music, films) = (of_type(8), of_type(1));
    let leaf = |n: usize| pick(&leaves(), n);
    match *act {
        Act::Rate(n, stars) => {
            if let Some(item) = leaf(n) {
                edit::rate(pair, 1, &guid(item), Some(f64::from(stars)), at).expect("rate");
            }
        }
        Act::Scrobble(n) => {
            if let Some(item) = leaf(n) {
                edit::scrobble(pair, 1, &guid(item), at).expect("scrobble");
            }
        }
        Act::Unscrobble(n) => {
            if let Some(item) = leaf(n) {
                edit::unscrobble(pair, 1, &guid(item), at).expect("unscrobble");
            }
        }
        Act::Offset(n) => {
            if let Some(item) = leaf(n) {
                edit::set_offset(pair, 1, &guid(item), 1000 + at % 1000, at).expect("offset");
            }
        }
        Act::View(n) => {
            if let Some(item) = leaf(n) {
                edit::view(pair, 7, &guid(item), at).expect("view");
            }
        }
        Act::Playlist(n, count) => {
            let all = leaves();
            let items: Vec<i64> = (0..count.min(all.len()))
                .map(|k| all[(n + 3 * k) % all.len()])
                .collect();
            edit::add_playlist(pair, 1, &format!("List {step}"), &items, at).expect("playlist");
        }
        Act::Extend(p, n) => {
            if let (Some(playlist), Some(item)) = (pick(&playlists(), p), leaf(n)) {
                edit::add_to_playlist(pair, playlist, &[item], at).expect("extend");
            }
        }
        Act::DropPlaylist(n) => {
            if let Some(id) = pick(&playlists(), n) {
                run("DELETE FROM play_queue_generators WHERE playlist_id = ?1", &[&id]);
                run("DELETE FROM metadata_item_accounts WHERE metadata_item_id = ?1", &[&id]);
                run(
                    "UPDATE play_queues SET playlist_id = NULL WHERE playlist_id = ?1",
                    &[&id],
                );
                if has("custom_channels") {
                    run(
                        "UPDATE custom_channels SET playlist_id = NULL WHERE playlist_id = ?1",
                        &[&id],
                    );
                }
                run("DELETE FROM play_queue_items WHERE metadata_item_id = ?1", &[&id]);
                run("DELETE FROM metadata_items WHERE id = ?1", &[&id]);
            }
        }
        Act::Collection(n, count) => {
            let films = ids(&format!(
                "SELECT id FROM metadata_items NOT INDEXED WHERE library_section_id = {} AND metadata_type = 1",
                films.id
            ));
            let items: Vec<i64> = films
                .iter()
                .copied()
                .cycle()
                .skip(n)
                .take(count.min(films.len()))
                .collect();
            if !items.is_empty() {
                edit::add_collection(pair, fixture.sections[2].id, &format!("Set {}", n % 5), &items, at)
                    .expect("collection");
            }
        }
        Act::Label(n, label) => {
            if let Some(item) = leaf(n) {
                let name = format!("Label {label}");
                let tag: i64 =
                    match db.query_row("SELECT id FROM tags WHERE tag = ?1 AND tag_type = 11", [&name], |row| {
                        row.get(0)
                    }) {
                        Ok(tag) => tag,
                        Err(_) => {
                            run(
                                "INSERT INTO tags (tag, tag_type, key, created_at) VALUES (?1, 11, '', ?2)",
                                params![name, at],
                            );
                            db.last_insert_rowid()
                        }
                    };
                run(
                    "INSERT INTO taggings (metadata_item_id, tag_id, \"index\", text, created_at) VALUES (?1, ?2, 0, '', ?3)",
                    params![item, tag, at],
                );
            }
        }
        Act::Unlabel(n) => {
            if let Some(tagging) = pick(
                &ids(
                    "SELECT g.id FROM taggings g JOIN tags t ON t.id = g.tag_id WHERE t.tag_type IN (1, 2, 11) ORDER BY g.id",
                ),
                n,
            ) {
                run("DELETE FROM taggings WHERE id = ?1", &[&tagging]);
                run(
                    "DELETE FROM tags WHERE tag_type = 11 AND id NOT IN (SELECT tag_id FROM taggings)",
                    &[],
                );
            }
        }
        Act::AddTrack(n) => {
            let file = file(n);
            let known = db
                .prepare("SELECT 1 FROM media_parts WHERE file = ?1")
                .and_then(|mut statement| statement.exists([&file]))
                .expect("query");
            if !known {
                edit::add_track(pair, music.id, &file, at).expect("add");
            }
        }
        Act::Delete(n) => {
            if let Some(item) = leaf(n) {
                edit::delete_item(pair, item, at).expect("delete");
            }
        }
        Act::Trash(n) => {
            if let Some(item) = leaf(n) {
                edit::trash_item(pair, item, at).expect("trash");
            }
        }
        Act::Rename(n, k) => {
            if let Some(item) = leaf(n) {
                edit::lock_field(pair, item, Field::Title, &format!("Renamed {k} Ähre"), at).expect("rename");
                run("UPDATE metadata_items SET title_sort = title WHERE id = ?1", &[&item]);
            }
        }
        Act::Lock(n) => {
            if let Some(item) = leaf(n) {
                edit::lock_field(pair, item, Field::Summary, &format!("Said at step {step}"), at).expect("lock");
            }
        }
        Act::Refresh(n) => {
            if let Some(item) = leaf(n) {
                edit::refresh_item(pair, item, &format!("Agent at step {step}"), at).expect("refresh");
            }
        }
        Act::Streams(n) => {
            if let Some(item) = leaf(n) {
                edit::recreate_streams(pair, part(item), at).expect("streams");
            }
        }
        Act::Subtitle(n) => {
            if let Some(item) = leaf(n) {
                edit::add_subtitle(pair, part(item), "deu", &format!("text {step}"), at).expect("subtitle");
            }
        }
        Act::Select(n) => {
            if let Some(item) = leaf(n) {
                let part = part(item);
                if let Some(stream) = pick(
                    &ids(&format!(
                        "SELECT id FROM media_streams WHERE media_part_id = {part} ORDER BY id"
                    )),
                    n,
                ) {
                    edit::select_stream(pair, 1, part, stream, at).expect("select");
                }
            }
        }
        Act::Analyse(n) => {
            if let Some(track) = pick(&tracks(), n) {
                edit::analyse_track(pair, track, at).expect("analyse");
            }
        }
        Act::Match(n) => {
            let unmatched = ids(
                "SELECT id FROM metadata_items NOT INDEXED WHERE guid LIKE 'local://%' AND metadata_type = 10 ORDER BY id",
            );
            if let Some(track) = pick(&unmatched, n) {
                run(
                    "UPDATE metadata_items SET guid = 'plex://track/' || id, hash = 'matched' || id WHERE id = ?1",
                    &[&track],
                );
            }
        }
        Act::Absorb(n) => {
            let films = ids(&format!(
                "SELECT DISTINCT i.id FROM metadata_items i NOT INDEXED JOIN media_items m ON m.metadata_item_id = i.id WHERE i.library_section_id = {} AND i.metadata_type = 1 ORDER BY i.id",
                films.id
            ));
            if films.len() > 2 {
                let (gone, heir) = (films[n % films.len()], films[(n + 1) % films.len()]);
                run(
                    "UPDATE media_items SET metadata_item_id = ?2 WHERE metadata_item_id = ?1",
                    &[&gone, &heir],
                );
                run("DELETE FROM taggings WHERE metadata_item_id = ?1", &[&gone]);
                run(
                    "DELETE FROM metadata_relations WHERE ?1 IN (metadata_item_id, related_metadata_item_id)",
                    &[&gone],
                );
                run(
                    "UPDATE tags SET metadata_item_id = NULL WHERE metadata_item_id = ?1",
                    &[&gone],
                );
                run("DELETE FROM metadata_items WHERE id = ?1", &[&gone]);
            }
        }
        Act::Remake(n) => {
            if let Some(track) = pick(&tracks(), n) {
                let file: String = db
                    .query_row("SELECT file FROM media_parts WHERE id = ?1", [part(track)], |row| {
                        row.get(0)
                    })
                    .expect("file");
                edit::delete_item(pair, track, at).expect("delete");
                edit::add_track(pair, music.id, &file, at).expect("add");
            }
        }
        Act::Marker(n) => {
            if let Some(item) = leaf(n) {
                let tag: i64 = match db.query_row("SELECT id FROM tags WHERE tag_type = 12", [], |row| row.get(0)) {
                    Ok(tag) => tag,
                    Err(_) => {
                        run(
                            "INSERT INTO tags (tag, tag_type, created_at) VALUES ('', 12, ?1)",
                            &[&at],
                        );
                        db.last_insert_rowid()
                    }
                };
                run(
                    "INSERT INTO taggings (metadata_item_id, tag_id, \"index\", text, time_offset, end_time_offset, created_at)
                     VALUES (?1, ?2, 0, 'intro', ?3, ?3 + 5000, ?3)",
                    &[&item, &tag, &at],
                );
            }
        }
        Act::Device(n) => {
            run(
                "INSERT INTO devices (identifier, name) VALUES (?1, 'd')",
                params![format!("device {n} {step}")],
            );
        }
        Act::Statistics(n) => {
            let n = i64::try_from(n).expect("small");
            run(
                "INSERT INTO statistics_bandwidth (account_id, device_id, timespan, at, lan, bytes) VALUES (NULL, 1, 4, ?1, 1, ?2)",
                &[&at, &n],
            );
            run(
                "UPDATE statistics_media SET count = count + 1 WHERE id % 7 = ?1 % 7",
                &[&n],
            );
        }
        Act::Preference(n) => {
            run(
                "INSERT OR REPLACE INTO preferences (name, value) VALUES (?1, ?2)",
                params![format!("pref {}", n % 4), at],
            );
        }
        Act::Queue(n) => {
            if let Some(item) = leaf(n) {
                run(
                    "INSERT OR IGNORE INTO play_queues (client_identifier, account_id, metadata_type, created_at) VALUES (?1, 1, 10, ?2)",
                    params![format!("client {}", n % 3), at],
                );
                let queue: i64 = db
                    .query_row(
                        "SELECT id FROM play_queues WHERE client_identifier = ?1",
                        [format!("client {}", n % 3)],
                        |row| row.get(0),
                    )
                    .expect("queue");
                run(
                    "INSERT INTO play_queue_items (play_queue_id, metadata_item_id, \"order\") VALUES (?1, ?2, 1.0)",
                    &[&queue, &item],
                );
            }
        }
        Act::Bookmark(n) => {
            if has("metadata_item_setting_markers")
                && let Some(setting) = pick(&ids("SELECT id FROM metadata_item_settings ORDER BY id"), n)
            {
                run(
                    "INSERT INTO metadata_item_setting_markers (marker_type, metadata_item_setting_id, start_time_offset) VALUES (3, ?1, ?2)",
                    &[&setting, &at],
                );
            }
        }
        Act::Cluster(n) => {
            let photos = ids("SELECT id FROM metadata_items NOT INDEXED WHERE metadata_type = 13 ORDER BY id");
            if let Some(photo) = pick(&photos, n) {
                let title = format!("Days {}", n % 2);
                let found = db.query_row(
                    "SELECT id FROM metadata_item_clusters WHERE title = ?1",
                    [&title],
                    |row| row.get(0),
                );
                let cluster: i64 = match found {
                    Ok(cluster) => cluster,
                    Err(_) => {
                        run(
                            "INSERT INTO metadata_item_clusters (zoom_level, library_section_id, title, count, starts_at, ends_at)
                             SELECT 1, library_section_id, ?2, 1, 5, 9 FROM metadata_items WHERE id = ?1",
                            params![photo, title],
                        );
                        db.last_insert_rowid()
                    }
                };
                run(
                    "INSERT INTO metadata_item_clusterings (metadata_item_id, metadata_item_cluster_id, \"index\", version)
                     SELECT ?1, ?2, 0, 1 WHERE NOT EXISTS (SELECT 1 FROM metadata_item_clusterings
                       WHERE metadata_item_id = ?1 AND metadata_item_cluster_id = ?2)",
                    &[&photo, &cluster],
                );
            }
        }
        Act::Place(n) => {
            let photos = ids("SELECT id FROM metadata_items NOT INDEXED WHERE metadata_type = 13 ORDER BY id");
            if let Some(photo) = pick(&photos, n) {
                let at = i32::try_from(n).expect("small");
                // Whoever finds a place first numbers it, whatever the other side does.
                let place: i64 = match db.query_row(
                    "SELECT id FROM locations WHERE lat_min = ?1 AND lon_min = ?1",
                    [at],
                    |row| row.get(0),
                ) {
                    Ok(place) => place,
                    Err(_) => {
                        run("INSERT INTO locations VALUES (NULL, ?1, ?1, ?1, ?1)", &[&at]);
                        db.last_insert_rowid()
                    }
                };
                run(
                    "INSERT OR IGNORE INTO locatables (location_id, locatable_id, locatable_type) VALUES (?1, ?2, 'metadata_item')",
                    &[&place, &photo],
                );
                run(
                    "INSERT OR IGNORE INTO location_places (location_id, guid) VALUES (?1, ?2)",
                    params![place, format!("place {n}")],
                );
            }
        }
        Act::Relate(n) => {
            if let (Some(one), Some(other)) = (leaf(n), leaf(n + 1)) {
                run(
                    "INSERT INTO metadata_relations (metadata_item_id, related_metadata_item_id, relation_type, created_at) VALUES (?1, ?2, 1, ?3)",
                    &[&one, &other, &at],
                );
            }
        }
        Act::Folder(n) => {
            run(
                "INSERT INTO section_locations (library_section_id, root_path, created_at)
                 SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM section_locations WHERE root_path = ?2)",
                params![music.id, format!("/more/{n}"), at],
            );
        }
        Act::Section(n) => {
            let uuid = format!("section-{n}");
            let known = db
                .prepare("SELECT 1 FROM library_sections WHERE uuid = ?1")
                .and_then(|mut statement| statement.exists([&uuid]))
                .expect("query");
            if !known {
                run(
                    "INSERT INTO library_sections (name, name_sort, section_type, agent, scanner, uuid, created_at)
                     VALUES (?1, ?1, 8, 'tv.plex.agents.music', 'Plex Music', ?2, ?3)",
                    params![format!("Section {n}"), uuid, at],
                );
                let section = db.last_insert_rowid();
                run(
                    "INSERT INTO section_locations (library_section_id, root_path, created_at) VALUES (?1, ?2, ?3)",
                    params![section, format!("/sections/{n}"), at],
                );
            }
        }
        Act::Odds(n) => {
            let (table, row) = TABLES[n % TABLES.len()];
            if !has(table) {
                return;
            }
            run(&format!("INSERT INTO {table} {row}"), params![format!("step {step}")]);
        }
    }
}
