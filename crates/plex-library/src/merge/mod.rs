//! Putting what the household did at home during a burst into the worker's result.
//!
//! Three-way: *base* is the snapshot with which the burst began, *mine* is home now, *theirs* is the worker's result,
//! which becomes the merged one. Home's changes since the base are put onto the result, table by table as
//! [`tables`] says; so the work is about what changed at home, not about what there is.
//!
//! Guarantees:
//! - The pair is changed in one transaction: after any failure, also a power cut, it is what it was.
//! - User state is home's; analysis is the worker's; no row that home has is left out without being named in the
//!   [`Report`]. A table that changed at home and is not known here is refused by name, before anything is written.
//! - Ids of items, media and parts that the base or home knows stay. View dates never change; nothing is unwatched.
//! - Merging the same three again changes nothing.
//!
//! Must not: write through a collation that did not prove itself, be it ours or one that home's own program is asked for, or
//! make search terms with a tokenizer that is not Plex's (design §7).

mod asked;
mod back;
mod blobs;
mod catch_up;
mod collation;
mod content;
mod context;
mod deletions;
mod diff;
mod extent;
mod extra;
mod fail;
mod fts;
mod guids;
mod home_tables;
mod matching;
mod missing;
mod mode;
mod moves;
mod narrow;
mod places;
mod playlists;
mod policy;
mod refuse;
mod report;
mod rows;
mod schema;
mod sections;
mod session;
mod settings;
mod streams;
mod tables;
mod taggings;
#[cfg(test)]
mod testing;
mod text;
mod touched;
mod two_way;
mod values;
mod views;
mod wishes;
mod writer;

pub use asked::PlexCollation;
pub use catch_up::{CatchUp, CaughtUp};
pub use report::{BundleMove, Carried, Decided, KeptAside, Report, SameFile};
pub use wishes::{Wish, still_wanted};

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::paths::{Databases, Which};
use asked::Asked;
use context::Context;
use diff::Changes;
use extent::{Extent, Known};
use fail::Step;
use mode::Mode;
use schema::Schema;
use session::{BLOBS, LIBRARY, Session};
use tables::Rule;
use touched::Touched;
use writer::Writer;

/// What a caller may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many different titles the index must hold before a collation may count as proved by it.
    pub least_titles: usize,
    /// `base` is what was merged as `mine` before, and what the worker threw away has been dealt with then: only what
    /// happened at home since is looked at.
    pub catch_up: bool,
    /// Everything is compared, also where it is known what home wrote: the result is the same, and takes its time.
    pub thorough: bool,
    /// Home's own program, asked for the order of titles where ours does not prove itself. An answer that does not come is no
    /// failure: the merge is done without it then ([`Report::unasked`]).
    pub plex: Option<Arc<dyn PlexCollation>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            least_titles: 8,
            catch_up: false,
            thorough: false,
            plex: None,
        }
    }
}

/// Merges what changed at home (`mine`) since `base` into `theirs`, in place.
///
/// `base` and `mine` are not changed. `mine` has to be at rest: a snapshot, or a home that is stopped. May be called
/// again with `base` = the former `mine` to catch up with what happened since.
///
/// # Errors
/// [`crate::Error::SchemaDiffers`] if the three are not of one version, [`crate::Error::Refused`] with the names of tables
/// that changed at home and are not known, [`crate::Error::InUse`] if somebody holds `theirs`. In every case `theirs` is
/// what it was.
pub fn merge(base: &Databases, mine: &Databases, theirs: &Databases, options: &Options) -> Result<Report> {
    let mode = if options.catch_up { Mode::CatchUp } else { Mode::Burst };
    run(Some(base), mine, theirs, options, mode, &Extent::default()).map(|(report, _)| report)
}

/// Merges a result that comes without its base (an old archive) with home, in place: home's user state by account, guid and
/// file wins, ids of home never change, and what was deleted at home since the two parted stays deleted where their ids tell.
/// Afterwards [`merge`] can catch up with `base` = this `mine`.
///
/// # Errors
/// As [`merge`]; [`crate::Error::Refused`] too where a section is the same on both sides and its files lie in different
/// folders, by name.
pub fn two_way(mine: &Databases, theirs: &Databases, options: &Options) -> Result<Report> {
    run(None, mine, theirs, options, Mode::TwoWay, &Extent::default()).map(|(report, _)| report)
}

/// Carries what the household did since a swap back onto the library that was there before it: the way back.
///
/// `swapped_in` is the pair as it was put in place, `home` what it has become (at rest: a snapshot, or Plex stopped), and
/// `previous` a copy of the older pair, which is changed in place. Playlists, ratings, views, edits and deletions since the
/// swap are in it afterwards, with home's ids. What they say about things that only the newer library has is never dropped
/// without being named: rows that need such a thing are in [`Report::kept_aside`], ratings and history, which only name it,
/// are written and stand in [`Report::waiting`]. Doing it again changes nothing. May be called again with
/// `swapped_in` = the former `home` ([`Options::catch_up`]) to catch up with what happened since.
///
/// # Errors
/// As [`merge`]; `previous` is then what it was.
pub fn carry_back(swapped_in: &Databases, home: &Databases, previous: &Databases, options: &Options) -> Result<Report> {
    let mode = if options.catch_up { Mode::BackAgain } else { Mode::Back };
    run(Some(swapped_in), home, previous, options, mode, &Extent::default()).map(|(report, _)| report)
}

fn run(
    base: Option<&Databases>,
    mine: &Databases,
    theirs: &Databases,
    options: &Options,
    mode: Mode,
    extent: &Extent<'_>,
) -> Result<(Report, Option<Known>)> {
    let with = |asked: Option<&Asked>| attempt(base, mine, theirs, options, mode, extent, asked);
    let Some(plex) = &options.plex else { return with(None) };
    let asked = Asked::new(plex);
    let result = with(Some(&asked));
    let Some(why) = asked.trouble() else { return result };
    // Whatever came of it was rolled back.
    tracing::warn!(
        why,
        "home's Plex SQLite failed while rows were written; merging without it"
    );
    let (mut report, known) = with(None)?;
    report.unasked = Some(why.to_owned());
    Ok((report, known))
}

/// One merge, with or without somebody to ask for Plex's order.
fn attempt(
    base: Option<&Databases>,
    mine: &Databases,
    theirs: &Databases,
    options: &Options,
    mode: Mode,
    extent: &Extent<'_>,
    asked: Option<&Asked>,
) -> Result<(Report, Option<Known>)> {
    Session::begin(base, mine, theirs)?.run(|conn, readers| {
        let paths = |which| [theirs.path(which), base.unwrap_or(mine).path(which), mine.path(which)];
        let library = Schema::common(conn, LIBRARY, mode, paths(Which::Library))?;
        let blobs = Schema::common(conn, BLOBS, mode, paths(Which::Blobs))?;
        let touched = match readers {
            _ if options.thorough => [None, None],
            _ if extent.is_known() => extent.touched(conn)?,
            [base, mine, base_blobs, mine_blobs] => [
                Touched::find(conn, LIBRARY, base, mine)?,
                Touched::find(conn, BLOBS, base_blobs, mine_blobs)?,
            ],
            _ => [None, None],
        };
        if mode == Mode::TwoWay {
            two_way::empty_pair(conn)?;
        }
        refuse::unknown(conn, &library, &blobs, mode, [touched[0].as_ref(), touched[1].as_ref()])?;
        let mut context = Context::new(conn, library, mode, touched)?;
        // On the way back nothing is asked of files.
        let asks_files = context.is_narrow() && !mode.is_back();
        if asks_files {
            extent.note_files(conn)?;
        }
        if context.is_narrow() {
            context.naming = extent.known.as_ref().map(|known| known.naming.clone());
            context.placeless = extent.known.as_ref().and_then(|known| known.placeless.clone());
        }
        let proof = extent.known.as_ref().map(|known| known.proof.clone());
        let mut writer = Writer::new(conn, &context.schema, options.least_titles, asked, proof)?;
        into_library(&mut context, &mut writer, &blobs)?;
        into_blobs(&mut context, &blobs)?;
        if asks_files {
            extent.take_doubts(conn)?;
        }
        let known = match extent.explores {
            true => Some(Known {
                proof: writer.proof(conn)?,
                naming: moves::naming(&context)?,
                placeless: match mode.is_back() {
                    true => Some(back::placeless(&context)?),
                    false => None,
                },
            }),
            false => None,
        };
        extent.confirm()?;
        context.report.placed_by_plex = writer.placed();
        context.report.unasked = writer.unasked.take();
        if asked.is_some_and(|asked| asked.trouble().is_some()) {
            // Rows may stand anywhere.
            return Err(Error::Cancelled.into());
        }
        Ok((context.report.tidy(), known))
    })
}

fn into_library(context: &mut Context<'_>, writer: &mut Writer, blobs: &Schema) -> Step<()> {
    let mut partings = two_way::Partings::new();
    if context.mode == Mode::TwoWay {
        refuse::other_folders(context)?;
        partings = two_way::fill_base(context.conn, &context.schema)?;
    }
    let sections = sections::carry(context, writer)?;
    let changes = content_changes(context)?;
    narrow::begin(context, &changes)?;
    let mut moved = matching::run(context, &changes)?;
    for table in writer::SEARCHED {
        if moved.of(table).next().is_some()
            && let Some(why) = writer.obstacle(context.conn, table)?
        {
            content::follow_instead(context, &mut moved, table, &why)?;
        }
    }
    if context.mode == Mode::TwoWay {
        two_way::move_beyond(context, writer, &partings, &mut moved)?;
    }
    moves::apply(context, writer, &moved, &sections.moved)?;
    if context.mode == Mode::TwoWay {
        two_way::follow(context.conn, &moved)?;
    }
    if context.mode.is_back() {
        back::without_place(context)?;
    }
    places::carry(context)?;
    content::carry(context, writer, &changes)?;
    streams::carry(context, writer, &changes)?;
    taggings::carry(context, &changes)?;
    deletions::carry(context, writer, &changes, &sections.gone)?;
    deletions::tags(context, writer, &changes)?;
    missing::mend(context, writer, &changes)?;
    guids::collect(context)?;
    settings::carry(context)?;
    views::carry(context)?;
    text::register(context.conn)?;
    if context.mode == Mode::TwoWay {
        two_way::number_beyond(context, &partings)?;
        playlists::keep(context)?;
    }
    let tables: Vec<_> = context.schema.tables.values().cloned().collect();
    home_tables::carry(context, LIBRARY, &tables)?;
    views::devices(context)?;
    blobs::carry(context, blobs)?;
    wishes::collect(context)?;
    if context.mode.is_back() {
        back::waiting(context)?;
    }
    writer.finish(context.conn, &context.schema)?;
    context::raise_sequences(context.conn, LIBRARY)
}

/// What home changed in every table that is carried row by row.
fn content_changes(context: &Context<'_>) -> Step<matching::AllChanges> {
    let mut all = matching::AllChanges::new();
    for (name, table) in &context.schema.tables {
        if tables::rule(name) == Some(Rule::Content) && table.keyed {
            let changes = Changes::since_base(context.conn, table, LIBRARY, tables::COUNTERS, context.touched())?;
            if !changes.is_empty() {
                all.insert(name.clone(), changes);
            }
        }
    }
    Ok(all)
}

fn into_blobs(context: &mut Context<'_>, schema: &Schema) -> Step<()> {
    let tables: Vec<_> = schema.tables.values().cloned().collect();
    home_tables::carry(context, BLOBS, &tables)?;
    blobs::finish(context)
}
