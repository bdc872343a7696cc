//! Sections: list, create, edit, delete, and the jobs that run on them.

use axum::http::StatusCode;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::activities::Subject;
use crate::household::{extra, now};
use crate::items::section_word;
use crate::jobs::child::{self, Program};
use crate::jobs::{Scan, Workers, scans};
use crate::server::{Server, random};
use crate::store::counter;
use crate::store::extra::Extra;

/// `/library/sections`.
pub(super) fn list(context: &Context<'_>) -> Result<Reply, Failure> {
    let sections = context.read(|db| {
        let mut statement = db.prepare(
            "SELECT id, name, section_type, agent, scanner, language, uuid, created_at, updated_at, scanned_at,
                 content_changed_at, metadata_agent_provider_group_id FROM library_sections ORDER BY id",
        )?;
        let found: Vec<(i64, Element)> = statement
            .query_map([], |row| Ok((row.get(0)?, element(context.server, row)?)))?
            .collect::<Result<_, _>>()?;
        found
            .into_iter()
            .map(|(id, element)| Ok(element.children(locations(db, id)?)))
            .collect::<Result<Vec<_>, Failure>>()
    })?;
    let root = Element::container()
        .attr("allowSync", false)
        .attr("title1", "Plex Library")
        .children(sections)
        .sized();
    Ok(Reply::tree(root))
}

fn element(server: &Server, row: &Row<'_>) -> rusqlite::Result<Element> {
    let id: i64 = row.get("id")?;
    let text = |column: &str| row.get::<_, Option<String>>(column);
    Ok(Element::new("Directory")
        .attr("allowSync", true)
        .attr(
            "art",
            format!("/:/resources/{}-fanart.jpg", section_word(row.get("section_type")?)),
        )
        .attr(
            "composite",
            format!(
                "/library/sections/{id}/composite/{}",
                row.get::<_, Option<i64>>("updated_at")?.unwrap_or(0)
            ),
        )
        .attr("filters", true)
        .attr("refreshing", server.scans.is_refreshing(id))
        .attr(
            "thumb",
            format!("/:/resources/{}.png", section_word(row.get("section_type")?)),
        )
        .attr("key", id.to_string())
        .attr("type", section_word(row.get("section_type")?))
        .attr("title", text("name")?.unwrap_or_default())
        .attr("agent", text("agent")?.unwrap_or_default())
        .attr("scanner", text("scanner")?.unwrap_or_default())
        .attr("language", text("language")?.unwrap_or_default())
        .maybe(
            "metadataAgentProviderGroupId",
            row.get::<_, Option<i64>>("metadata_agent_provider_group_id")?,
        )
        .attr("uuid", text("uuid")?.unwrap_or_default())
        .maybe("updatedAt", row.get::<_, Option<i64>>("updated_at")?)
        .maybe("createdAt", row.get::<_, Option<i64>>("created_at")?)
        .maybe("scannedAt", row.get::<_, Option<i64>>("scanned_at")?)
        .attr("content", true)
        .attr("directory", true)
        .maybe("contentChangedAt", row.get::<_, Option<i64>>("content_changed_at")?)
        .attr("hidden", 0))
}

fn locations(db: &Connection, section: i64) -> rusqlite::Result<Vec<Element>> {
    let mut statement =
        db.prepare_cached("SELECT id, root_path FROM section_locations WHERE library_section_id = ?1 ORDER BY id")?;
    statement
        .query_map([section], |row| {
            Ok(Element::new("Location")
                .attr("id", row.get::<_, i64>(0)?)
                .attr("path", row.get::<_, Option<String>>(1)?.unwrap_or_default()))
        })?
        .collect()
}

/// A section's name and type; 404 when there is none of that id.
pub(super) fn known(context: &Context<'_>, id: i64) -> Result<(String, i64), Failure> {
    context.read(|db| {
        Ok(db.query_row(
            "SELECT coalesce(name, ''), section_type FROM library_sections WHERE id = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?)
    })
}

/// The type of a section, by word or number.
fn section_type(text: &str) -> Option<i64> {
    match text {
        "movie" | "1" => Some(1),
        "show" | "2" => Some(2),
        "artist" | "music" | "8" => Some(8),
        "photo" | "13" => Some(13),
        _ => None,
    }
}

/// Agent, scanner and agent group that a section gets when the request names none.
fn defaults(section_type: i64) -> (&'static str, &'static str, Option<i64>) {
    match section_type {
        1 => ("tv.plex.agents.movie", "Plex Movie", Some(1)),
        2 => ("tv.plex.agents.series", "Plex TV Series", Some(2)),
        8 => ("tv.plex.agents.music", "Plex Music", Some(3)),
        _ => ("tv.plex.agents.none", "Plex Photo Scanner", Some(4)),
    }
}

/// The roots of a request: `location` as older clients write it, `locations` as the newer documentation does.
fn roots(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let query = &context.request.query;
    let roots: Vec<String> = query
        .all("location")
        .chain(query.all("locations"))
        .chain(query.all("locations[]"))
        .map(|root| {
            if root == "/" {
                root.to_owned()
            } else {
                root.trim_end_matches('/').to_owned()
            }
        })
        .collect();
    match roots.iter().find(|root| !root.starts_with('/')) {
        Some(root) => Err(Failure::BadRequest(format!("{root:?} is no absolute path"))),
        None => Ok(roots),
    }
}

/// The advanced settings of a request: `prefs[name]=value`.
fn advanced(context: &Context<'_>) -> Vec<(String, Option<String>)> {
    let named = |name: &str| Some(format!("pr:{}", name.strip_prefix("prefs[")?.strip_suffix(']')?));
    let pairs = context.request.query.pairs();
    pairs
        .iter()
        .filter_map(|(name, value)| Some((named(name)?, Some(value.clone()))))
        .collect()
}

/// Makes a section and has it scanned at once.
pub(super) fn create(context: &Context<'_>) -> Result<Reply, Failure> {
    let query = &context.request.query;
    let name = query.need("name")?.to_owned();
    let kind = query.need("type")?;
    let kind = section_type(kind).ok_or_else(|| Failure::BadRequest(format!("type={kind} is unknown")))?;
    let roots = roots(context)?;
    if roots.is_empty() {
        return Err(Failure::BadRequest("location is missing".to_owned()));
    }
    let (agent, scanner, group) = defaults(kind);
    let agent = query.get("agent").unwrap_or(agent);
    let scanner = query.get("scanner").unwrap_or(scanner);
    let language = query
        .get("language")
        .unwrap_or(if agent.ends_with(".none") { "xn" } else { "en-US" });
    let prefs = advanced(context);
    let prefs: Vec<(&str, Option<String>)> = prefs
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let uuid = random::uuid()?;
    let id = context.write(|db| {
        let changed = counter::next(db)?;
        db.execute(
            "INSERT INTO library_sections (name, name_sort, section_type, language, agent, scanner, created_at,
                 updated_at, user_fields, uuid, changed_at, content_changed_at, metadata_agent_provider_group_id)
             VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?9, ?10)",
            params![
                name,
                kind,
                language,
                agent,
                scanner,
                now(),
                extra::with(None, &prefs),
                uuid,
                changed,
                group
            ],
        )?;
        let id = db.last_insert_rowid();
        add_roots(db, id, &roots)?;
        Ok(id)
    })?;
    let activity = scans::request(
        context.server,
        id,
        &name,
        Scan {
            force: false,
            path: None,
        },
    );
    let created = Element::container()
        .attr("allowSync", false)
        .attr("title1", "Plex Library")
        .child(
            Element::new("Directory")
                .attr("key", id.to_string())
                .attr("type", section_word(kind))
                .attr("title", name),
        )
        .sized();
    Ok(Reply::tree(created)
        .status(StatusCode::CREATED)
        .header("Location", format!("/library/sections/{id}"))
        .activity(activity))
}

fn add_roots(db: &Connection, section: i64, roots: &[String]) -> rusqlite::Result<()> {
    for root in roots {
        db.execute(
            "INSERT INTO section_locations (library_section_id, root_path, available, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?4)",
            params![section, root, std::path::Path::new(root).is_dir(), now()],
        )?;
    }
    Ok(())
}

/// Changes name, agent, language, advanced settings or roots; what the request does not name stays. When the roots change the
/// section is scanned.
pub(super) fn edit(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (old_name, _) = known(context, id)?;
    let query = &context.request.query;
    let roots = roots(context)?;
    let prefs = advanced(context);
    let prefs: Vec<(&str, Option<String>)> = prefs
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let moved = context.write(|db| {
        let changed = counter::next(db)?;
        db.execute(
            "UPDATE library_sections SET name = coalesce(?2, name), name_sort = coalesce(?2, name_sort),
                 agent = coalesce(?3, agent), scanner = coalesce(?4, scanner), language = coalesce(?5, language),
                 updated_at = ?6, changed_at = ?7 WHERE id = ?1",
            params![
                id,
                query.get("name"),
                query.get("agent"),
                query.get("scanner"),
                query.get("language"),
                now(),
                changed
            ],
        )?;
        merge_prefs(db, id, &prefs)?;
        if roots.is_empty() {
            return Ok(false);
        }
        let mut statement = db.prepare("SELECT id, root_path FROM section_locations WHERE library_section_id = ?1")?;
        let old: Vec<(i64, String)> = statement
            .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let given_up: Vec<i64> = old
            .iter()
            .filter(|(_, root)| !roots.contains(root))
            .map(|(location, _)| *location)
            .collect();
        for location in &given_up {
            db.execute("DELETE FROM section_locations WHERE id = ?1", [location])?;
        }
        let new: Vec<String> = roots
            .iter()
            .filter(|root| !old.iter().any(|(_, known)| known == *root))
            .cloned()
            .collect();
        add_roots(db, id, &new)?;
        Ok(!new.is_empty() || !given_up.is_empty())
    })?;
    let name = query.get("name").unwrap_or(&old_name);
    let activity = if moved {
        scans::request(
            context.server,
            id,
            name,
            Scan {
                force: false,
                path: None,
            },
        )
    } else {
        None
    };
    Ok(Reply::empty().activity(activity))
}

fn merge_prefs(db: &Connection, id: i64, prefs: &[(&str, Option<String>)]) -> rusqlite::Result<()> {
    if prefs.is_empty() {
        return Ok(());
    }
    let old: Option<String> = db.query_row("SELECT user_fields FROM library_sections WHERE id = ?1", [id], |row| {
        row.get(0)
    })?;
    let text = extra::with(old.as_deref(), prefs);
    db.execute(
        "UPDATE library_sections SET user_fields = ?2 WHERE id = ?1",
        params![id, text],
    )
    .map(drop)
}

/// Deletes a section with everything in it. Views and settings stay, as they do with Plex.
pub(super) fn delete(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    known(context, id)?;
    context.server.scans.cancel(id);
    context.write(|db| {
        super::metadata::delete_rows(db, "library_section_id = ?1", id)?;
        for table in ["directories", "section_locations", "library_section_permissions"] {
            db.execute(&format!("DELETE FROM {table} WHERE library_section_id = ?1"), [id])?;
        }
        db.execute("DELETE FROM library_sections WHERE id = ?1", [id])?;
        Ok(())
    })?;
    done()
}

/// Scans: `force=1` refreshes all metadata as well, `path=` looks only there.
pub(super) fn refresh(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (name, _) = known(context, id)?;
    let query = &context.request.query;
    let path = query.get("path").filter(|path| !path.is_empty()).map(str::to_owned);
    if let Some(path) = &path
        && !is_inside(context, id, path)?
    {
        return Err(Failure::BadRequest(format!(
            "{path:?} lies in no location of the section"
        )));
    }
    let scan = Scan {
        force: query.flag("force"),
        path,
    };
    Ok(Reply::empty().activity(scans::request(context.server, id, &name, scan)))
}

/// Whether a folder is a location of the section or lies in one.
fn is_inside(context: &Context<'_>, section: i64, path: &str) -> Result<bool, Failure> {
    context.read(|db| {
        let mut statement = db.prepare("SELECT root_path FROM section_locations WHERE library_section_id = ?1")?;
        let mut rows = statement.query([section])?;
        while let Some(row) = rows.next()? {
            let root: Option<String> = row.get(0)?;
            if root.is_some_and(|root| std::path::Path::new(path).starts_with(root)) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Scans every section.
pub(super) fn refresh_all(context: &Context<'_>) -> Result<Reply, Failure> {
    let force = context.request.query.flag("force");
    for (id, name) in all(context)? {
        scans::request(context.server, id, &name, Scan { force, path: None });
    }
    done()
}

fn all(context: &Context<'_>) -> Result<Vec<(i64, String)>, Failure> {
    context.read(|db| {
        let mut statement = db.prepare("SELECT id, coalesce(name, '') FROM library_sections ORDER BY id")?;
        Ok(statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?)
    })
}

/// Ends the section's scan.
pub(super) fn cancel(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    known(context, id)?;
    context.server.scans.cancel(id);
    done()
}

/// Ends all scans.
pub(super) fn cancel_all(context: &Context<'_>) -> Result<Reply, Failure> {
    for id in context.server.scans.sections() {
        context.server.scans.cancel(id);
    }
    done()
}

/// Analyses the media of every item of the section.
pub(super) fn analyze(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let (name, _) = known(context, id)?;
    let subject = Subject::new("library.refresh.items", format!("Analyzing {name}")).in_section(id);
    let activity = context.server.activities.start(subject);
    let uuid = activity.uuid().to_owned();
    Workers::spawn(context.server, &format!("analyze {id}"), move |server| {
        let arguments = ["--analyze".to_owned(), "--section".to_owned(), id.to_string()];
        child::run(server, Program::Scanner, &arguments, &activity);
    })?;
    Ok(Reply::empty().activity(Some(uuid)))
}

/// Deletes for good what scans could not find.
pub(super) fn empty_trash(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    known(context, id)?;
    context.write(|db| {
        db.execute(
            "DELETE FROM media_streams WHERE media_item_id IN (SELECT id FROM media_items
                 WHERE library_section_id = ?1 AND deleted_at IS NOT NULL)",
            [id],
        )?;
        db.execute(
            "DELETE FROM media_parts WHERE deleted_at IS NOT NULL
                 AND media_item_id IN (SELECT id FROM media_items WHERE library_section_id = ?1)",
            [id],
        )?;
        db.execute(
            "DELETE FROM media_items WHERE library_section_id = ?1 AND deleted_at IS NOT NULL",
            [id],
        )?;
        super::metadata::delete_rows(db, "library_section_id = ?1 AND deleted_at IS NOT NULL", id)?;
        db.execute(
            "UPDATE library_sections SET content_changed_at = ?2 WHERE id = ?1",
            params![id, counter::next(db)?],
        )?;
        Ok(())
    })?;
    super::timeline::library_changed(context.server);
    done()
}

/// The advanced settings that a section of this type has.
const PREFS: &[(&str, &str, &str, &str)] = &[
    ("hidden", "Visibility", "int", "0"),
    ("enableBIFGeneration", "Enable video preview thumbnails", "bool", "true"),
    ("enableTrackOffsets", "Store track progress", "bool", "false"),
    ("musicAnalysis", "Sonic analysis", "bool", "true"),
    ("loudnessAnalysis", "Loudness analysis", "bool", "true"),
];

/// `/library/sections/<id>/prefs`.
pub(super) fn prefs(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    known(context, id)?;
    let fields: Option<String> = context.read(|db| {
        Ok(db
            .query_row("SELECT user_fields FROM library_sections WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .optional()?
            .flatten())
    })?;
    let stored = Extra::parse(fields.as_deref());
    let settings = PREFS.iter().map(|(name, label, kind, default)| {
        let value = stored.get(&format!("pr:{name}")).unwrap_or(default);
        Element::new("Setting")
            .attr("id", *name)
            .attr("label", *label)
            .attr("summary", "")
            .attr("type", *kind)
            .attr("default", *default)
            .attr("value", value)
            .attr("hidden", false)
            .attr("advanced", false)
            .attr("group", "")
    });
    Ok(Reply::tree(Element::container().children(settings).sized()))
}

/// Changes advanced settings; an unknown name refuses the request.
pub(super) fn set_prefs(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    known(context, id)?;
    let mut changes = Vec::new();
    for (name, value) in context
        .request
        .query
        .pairs()
        .iter()
        .filter(|(name, _)| !name.starts_with("X-Plex-"))
    {
        if !PREFS.iter().any(|(known, ..)| known == name) {
            return Err(Failure::BadRequest(format!("a section has no setting {name}")));
        }
        changes.push((format!("pr:{name}"), Some(value.clone())));
    }
    let changes: Vec<(&str, Option<String>)> = changes
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    context.write(|db| Ok(merge_prefs(db, id, &changes)?))?;
    done()
}

/// `/library/sections/<id>/timeline`: when it changed last.
pub(super) fn timeline(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    known(context, id)?;
    let (count, added, changed): (i64, Option<i64>, Option<i64>) = context.read(|db| {
        Ok(db.query_row(
            "SELECT count(*), max(added_at), max(changed_at) FROM metadata_items WHERE library_section_id = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?)
    })?;
    Ok(Reply::tree(
        Element::container()
            .attr("size", count)
            .attr("allowSync", true)
            .attr("content", "secondary")
            .attr("latestEntryTime", changed.unwrap_or(0))
            .attr("mediaTagPrefix", "/system/bundle/media/flags/")
            .attr("thumb", "")
            .attr("title1", "")
            .attr("updateQueueSize", 0)
            .attr("viewGroup", "secondary")
            .maybe("viewMode", added),
    ))
}
