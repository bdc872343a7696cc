//! What the merge knows about each table of a library: whom it belongs to, and what its columns refer to.
//!
//! A table that is not listed here and that changed at home is refused by name. Sources: facts §2 (whom tables belong
//! to), §1.2 (columns).

/// Whom a table belongs to, and so how it is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Neither side's content matters: history that Plex clears itself, planner statistics, spelling hints.
    Ignored,
    /// Has to be equal on all sides.
    Same,
    /// Home's, as a whole: the result gets home's rows.
    Home,
    /// Ratings, resume offsets, counts: home's rows, counts added up.
    Settings,
    /// What was watched when: the union of both.
    Views,
    /// Sections and their roots: home's configuration, the later scan.
    Sections,
    /// What scans, agents and analysis wrote: home's changes are put onto the worker's result, row by row.
    Content,
    /// Content by row id of another table.
    Blobs,
}

/// What is known about a table; `None` if nothing is.
pub(super) fn rule(table: &str) -> Option<Rule> {
    Some(match table {
        "schema_migrations" => Rule::Same,
        "activities" | "spellfix_metadata_titles_vocab" | "spellfix_tag_titles_vocab" => Rule::Ignored,
        "metadata_item_settings" => Rule::Settings,
        "metadata_item_views" => Rule::Views,
        "library_sections" | "section_locations" => Rule::Sections,
        "metadata_items" | "media_items" | "media_parts" | "media_streams" | "directories" | "tags" | "taggings"
        | "metadata_relations" | "metadata_item_clusters" | "metadata_item_clusterings" | "locatables"
        | "location_places" | "locations" => Rule::Content,
        "blobs" => Rule::Blobs,
        "accounts" | "devices" | "preferences" | "view_settings" | "media_item_settings" | "media_part_settings"
        | "media_stream_settings" | "metadata_item_setting_markers" | "metadata_item_accounts"
        | "statistics_bandwidth" | "statistics_media" | "statistics_resources" | "play_queues" | "play_queue_items"
        | "play_queue_generators" | "versioned_metadata_items" | "hub_templates" | "library_section_permissions"
        | "custom_channels" | "plugins" | "plugin_prefixes" | "media_provider_resources" | "media_subscriptions"
        | "media_grabs" | "metadata_subscription_desired_items" | "remote_id_translation" | "download_queues"
        | "download_queue_items" | "external_metadata_sources" | "external_metadata_items"
        | "metadata_agent_providers" | "metadata_agent_provider_groups" | "metadata_agent_provider_group_items"
        // Tables of servers up to about 2024, since dropped by Plex (facts §1.1): sync, cloud sync, old plug-ins.
        | "cloudsync_files" | "library_timeline_entries" | "media_metadata_mappings" | "plugin_permissions"
        | "stream_types" | "sync_schema_versions" | "synced_ancestor_items" | "synced_library_sections"
        | "synced_metadata_items" | "synced_play_queue_generators" | "synchronization_files" => Rule::Home,
        _ => return None,
    })
}

/// A column that holds the row id of another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    pub(super) target: &'static str,
    /// Only rows where this column has this text.
    pub(super) only: Option<(&'static str, &'static str)>,
}

const fn to(table: &'static str, column: &'static str, target: &'static str) -> Reference {
    Reference {
        table,
        column,
        target,
        only: None,
    }
}

const fn linked(
    table: &'static str,
    column: &'static str,
    target: &'static str,
    by: &'static str,
    word: &'static str,
) -> Reference {
    Reference {
        table,
        column,
        target,
        only: Some((by, word)),
    }
}

const ITEMS: &str = "metadata_items";
const MEDIA: &str = "media_items";
const PARTS: &str = "media_parts";
const STREAMS: &str = "media_streams";
const SECTIONS: &str = "library_sections";

/// Every reference between tables that is known.
pub(super) const REFERENCES: &[Reference] = &[
    to(ITEMS, "library_section_id", SECTIONS),
    to(ITEMS, "parent_id", ITEMS),
    to(MEDIA, "library_section_id", SECTIONS),
    to(MEDIA, "section_location_id", "section_locations"),
    to(MEDIA, "metadata_item_id", ITEMS),
    to(PARTS, "media_item_id", MEDIA),
    to(PARTS, "directory_id", "directories"),
    to(STREAMS, "media_item_id", MEDIA),
    to(STREAMS, "media_part_id", PARTS),
    to("directories", "library_section_id", SECTIONS),
    to("directories", "parent_directory_id", "directories"),
    to("section_locations", "library_section_id", SECTIONS),
    to("taggings", "metadata_item_id", ITEMS),
    to("taggings", "tag_id", "tags"),
    to("tags", "metadata_item_id", ITEMS),
    to("tags", "parent_id", "tags"),
    to("metadata_relations", "metadata_item_id", ITEMS),
    to("metadata_relations", "related_metadata_item_id", ITEMS),
    to("metadata_item_clusters", "library_section_id", SECTIONS),
    to("metadata_item_clusterings", "metadata_item_id", ITEMS),
    to(
        "metadata_item_clusterings",
        "metadata_item_cluster_id",
        "metadata_item_clusters",
    ),
    linked("locatables", "locatable_id", ITEMS, "locatable_type", "metadata_item"),
    linked("locatables", "locatable_id", ITEMS, "locatable_type", "MetadataItem"),
    to("locatables", "location_id", "locations"),
    to("location_places", "location_id", "locations"),
    to("metadata_item_views", "library_section_id", SECTIONS),
    to(
        "metadata_item_setting_markers",
        "metadata_item_setting_id",
        "metadata_item_settings",
    ),
    to("metadata_item_accounts", "metadata_item_id", ITEMS),
    to("media_item_settings", "media_item_id", MEDIA),
    to("media_part_settings", "media_part_id", PARTS),
    to("media_part_settings", "selected_audio_stream_id", STREAMS),
    to("media_part_settings", "selected_subtitle_stream_id", STREAMS),
    to("media_stream_settings", "media_stream_id", STREAMS),
    to("play_queue_items", "play_queue_id", "play_queues"),
    to("play_queue_items", "metadata_item_id", ITEMS),
    to("play_queue_items", "play_queue_generator_id", "play_queue_generators"),
    to("play_queues", "playlist_id", ITEMS),
    to("play_queues", "play_queue_generator_id", "play_queue_generators"),
    to("play_queue_generators", "playlist_id", ITEMS),
    to("play_queue_generators", "metadata_item_id", ITEMS),
    to("versioned_metadata_items", "metadata_item_id", ITEMS),
    to("versioned_metadata_items", "generator_id", "play_queue_generators"),
    to("versioned_metadata_items", "target_tag_id", "tags"),
    to("versioned_metadata_items", "selected_media_id", MEDIA),
    to("versioned_metadata_items", "version_media_id", MEDIA),
    to("custom_channels", "playlist_id", ITEMS),
    to("media_subscriptions", "target_metadata_item_id", ITEMS),
    to("media_subscriptions", "target_library_section_id", SECTIONS),
    to("media_subscriptions", "target_section_location_id", "section_locations"),
    to("media_grabs", "metadata_item_id", ITEMS),
    to("download_queue_items", "metadata_item_id", ITEMS),
    to("download_queue_items", "media_part_id", PARTS),
    to("download_queue_items", "queue_id", "download_queues"),
    to("library_section_permissions", "library_section_id", SECTIONS),
    to("plugin_prefixes", "plugin_id", "plugins"),
    to(
        "metadata_agent_provider_group_items",
        "metadata_agent_provider_group_id",
        "metadata_agent_provider_groups",
    ),
    to(
        "metadata_agent_provider_group_items",
        "metadata_agent_provider_id",
        "metadata_agent_providers",
    ),
    to(
        "external_metadata_items",
        "external_metadata_source_id",
        "external_metadata_sources",
    ),
    linked("blobs", "linked_id", ITEMS, "linked_type", "metadata_item"),
    linked("blobs", "linked_id", MEDIA, "linked_type", "media_item"),
    linked("blobs", "linked_id", PARTS, "linked_type", "media_part"),
    linked("blobs", "linked_id", STREAMS, "linked_type", "media_stream"),
];

/// References to a table.
pub(super) fn references_to(target: &str) -> impl Iterator<Item = &'static Reference> {
    REFERENCES.iter().filter(move |reference| reference.target == target)
}

/// Columns that count changes for the whole server (facts §1.1): never compared, never copied, always counted on.
pub(super) const COUNTERS: &[&str] = &["changed_at", "resources_changed_at", "content_changed_at"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_between_known_tables() {
        for reference in REFERENCES {
            assert!(rule(reference.table).is_some(), "{}", reference.table);
            assert!(rule(reference.target).is_some(), "{}", reference.target);
        }
    }

    #[test]
    fn every_table_of_both_schemas_has_a_rule() {
        use sim::schema::Version;
        for version in [Version::Plex2026, Version::Plex2020] {
            let dir = tempfile::tempdir().expect("temporary folder");
            let fixture = sim::fixture::Builder::new(dir.path().join("databases"))
                .version(version)
                .build()
                .expect("fixture");
            let conn = rusqlite::Connection::open(fixture.databases_dir.join(crate::LIBRARY_DB)).expect("open");
            let schema = super::super::schema::Schema::read(&conn, "main").expect("schema");
            assert!(schema.tables.len() > 50, "{version:?}");
            let unknown: Vec<_> = schema.tables.keys().filter(|name| rule(name).is_none()).collect();
            assert!(unknown.is_empty(), "{version:?}: {unknown:?}");
        }
    }

    #[test]
    fn no_reference_is_listed_twice() {
        for (n, one) in REFERENCES.iter().enumerate() {
            assert!(!REFERENCES[n + 1..].contains(one), "{one:?}");
        }
    }
}
