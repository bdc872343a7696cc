//! `/library/metadata/<ids>` and what lies below it.

use rusqlite::{Connection, params};

use super::browse::detail;
use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done, timeline};
use crate::activities::Subject;
use crate::household::{collections, playlists};
use crate::items::element::{self, Detail};
use crate::items::media::Wanted;
use crate::items::{row, tree};
use crate::jobs::Workers;
use crate::jobs::child::{self, Program};

/// One or several items: `/library/metadata/1,2,3`. 404 when none of them is there.
pub(super) fn show(context: &Context<'_>, ids: &str) -> Result<Reply, Failure> {
    let ids: Vec<i64> = ids.split(',').map(|id| context.id(id)).collect::<Result<_, _>>()?;
    let account = context.request.account;
    let check_files = context.request.query.flag("checkFiles");
    let detail = Detail {
        guids: true,
        tags: true,
        media: Wanted {
            streams: true,
            check_files,
        },
    };
    let elements = context.read(|db| {
        let items = row::load_all(db, account, &ids)?;
        Ok(items
            .iter()
            .map(|item| element::of(db, account, item, detail))
            .collect::<Result<Vec<_>, _>>()?)
    })?;
    if elements.is_empty() {
        return Err(Failure::NotFound);
    }
    let root = Element::container()
        .attr("allowSync", true)
        .attr("identifier", "com.plexapp.plugins.library");
    Ok(Reply::tree(root.children(elements).sized()))
}

fn below(
    context: &Context<'_>,
    id: i64,
    ids: fn(&Connection, i64) -> rusqlite::Result<Vec<i64>>,
) -> Result<Reply, Failure> {
    let account = context.request.account;
    let page = context.request.page()?;
    let detail = detail(context);
    let (total, parent, elements) = context.read(|db| {
        let item = row::load(db, account, id)?.ok_or(Failure::NotFound)?;
        let ids = ids(db, id)?;
        let start = usize::try_from(page.start).unwrap_or(usize::MAX).min(ids.len());
        let end = page
            .size
            .and_then(|size| start.checked_add(usize::try_from(size).ok()?))
            .unwrap_or(ids.len());
        let shown = row::load_all(db, account, &ids[start..end.min(ids.len())])?;
        let elements: Vec<Element> = shown
            .iter()
            .map(|item| element::of(db, account, item, detail))
            .collect::<Result<_, _>>()?;
        Ok((i64::try_from(ids.len()).unwrap_or(i64::MAX), item, elements))
    })?;
    let mut root = Element::container();
    if page.asked {
        root = root.attr("totalSize", total).attr("offset", page.start);
    }
    let root = root
        .attr("allowSync", true)
        .attr("identifier", "com.plexapp.plugins.library")
        .attr("key", id.to_string())
        .maybe("librarySectionID", parent.int("library_section_id"))
        .text("librarySectionTitle", parent.text("s_name"))
        .text("parentTitle", parent.text("title"))
        .children(elements)
        .sized();
    Ok(super::browse::paged(root, page, total))
}

/// The items directly below.
pub(super) fn children(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    below(context, id, row::children)
}

/// The items below that hold media.
pub(super) fn leaves(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    below(context, id, row::leaves)
}

/// The item's rows, with the parts' hashes.
pub(super) fn tree(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let account = context.request.account;
    let root = context.read(|db| {
        let item = row::load(db, account, id)?.ok_or(Failure::NotFound)?;
        Ok(tree::of(db, account, &item)?)
    })?;
    Ok(Reply::tree(Element::container().child(root).sized()))
}

/// Lists that need an online agent; empty here for every item that exists.
pub(super) fn nothing(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    context.read(|db| row::load(db, 1, id)?.ok_or(Failure::NotFound))?;
    Ok(Reply::tree(Element::container().sized()))
}

/// Analyses one item (its basic media analysis; it does not start Sonic, facts/plex.md §5.4).
pub(super) fn analyze(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    item_job(context, id, "Analyzing", &["--analyze"])
}

/// Refreshes the metadata of one item and of all below it: its section is scanned with force where the item's files are.
pub(super) fn refresh(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    item_job(context, id, "Refreshing", &["--refresh", "--force"])
}

fn item_job(context: &Context<'_>, id: i64, verb: &str, action: &[&str]) -> Result<Reply, Failure> {
    let item = context.read(|db| row::load(db, 1, id)?.ok_or(Failure::NotFound))?;
    let title = format!("{verb} {}", item.text("title").unwrap_or(""));
    let mut subject = Subject::new("library.refresh.items", title).of_item(id);
    subject.section = item.int("library_section_id");
    let activity = context.server.activities.start(subject);
    let uuid = activity.uuid().to_owned();
    let mut arguments: Vec<String> = action.iter().map(|word| (*word).to_owned()).collect();
    arguments.extend(["--item".to_owned(), id.to_string()]);
    Workers::spawn(context.server, &format!("item {id}"), move |server| {
        child::run(server, Program::Scanner, &arguments, &activity);
    })?;
    Ok(Reply::empty().activity(Some(uuid)))
}

/// Deletes an item and its files; only with allowMediaDeletion.
pub(super) fn delete(context: &Context<'_>, id: i64) -> Result<Reply, Failure> {
    let item = context.read(|db| row::load(db, 1, id)?.ok_or(Failure::NotFound))?;
    match item.kind().number {
        playlists::PLAYLIST => return super::playlist::delete(context, id),
        collections::COLLECTION => return super::collection::delete(context, id),
        _ => {}
    }
    if !context.server.prefs().flag("allowMediaDeletion") {
        return Err(Failure::Forbidden(format!(
            "item {id} was not deleted: allowMediaDeletion is off"
        )));
    }
    timeline::deleted(context.server, id);
    let files = context.write(|db| {
        let mut files = Vec::new();
        for leaf in row::leaves(db, id)? {
            let mut statement = db.prepare(
                "SELECT p.file FROM media_parts p JOIN media_items m ON m.id = p.media_item_id
                 WHERE m.metadata_item_id = ?1 AND p.file IS NOT NULL",
            )?;
            let found: Vec<String> = statement
                .query_map([leaf], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            files.extend(found);
        }
        delete_rows(
            db,
            "id IN (WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL
             SELECT c.id FROM metadata_items c JOIN below b ON c.parent_id = b.id) SELECT id FROM below)",
            id,
        )?;
        Ok(files)
    })?;
    for file in files {
        if let Err(error) = std::fs::remove_file(&file) {
            context.server.log.warn(format_args!("cannot delete {file}: {error}"));
        }
    }
    done()
}

/// Deletes the items that a condition (with ?1) chooses, with all that hangs on their row ids. What people left on their
/// guids stays.
pub(super) fn delete_rows(db: &Connection, condition: &str, value: i64) -> rusqlite::Result<()> {
    let items = format!("SELECT id FROM metadata_items WHERE {condition}");
    let media = format!("SELECT id FROM media_items WHERE metadata_item_id IN ({items})");
    for statement in [
        format!("DELETE FROM media_streams WHERE media_item_id IN ({media})"),
        format!("DELETE FROM media_parts WHERE media_item_id IN ({media})"),
        format!("DELETE FROM media_items WHERE metadata_item_id IN ({items})"),
        format!("DELETE FROM taggings WHERE metadata_item_id IN ({items})"),
        format!("DELETE FROM metadata_relations WHERE metadata_item_id IN ({items})"),
        format!("DELETE FROM metadata_items WHERE {condition}"),
    ] {
        db.execute(&statement, params![value])?;
    }
    Ok(())
}

/// Whether a part's file is there: the simulator has no bytes to stream, so it only says 200 or 404.
pub(super) fn file(context: &Context<'_>, part: i64) -> Result<Reply, Failure> {
    let file: String = context.read(|db| {
        Ok(db.query_row(
            "SELECT coalesce(file, '') FROM media_parts WHERE id = ?1",
            [part],
            |row| row.get(0),
        )?)
    })?;
    if std::path::Path::new(&file).is_file() {
        done()
    } else {
        Err(Failure::NotFound)
    }
}
