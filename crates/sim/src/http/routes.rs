//! The table of endpoints.

use super::reply::{Failure, Reply};
use super::{
    Context, activity, browse, butler, collection, done, edit, history, info, metadata, play, playlist, prefs, search,
    section, services, sonic, status,
};

/// Finds the endpoint of a request and has it answered; what is not in the table is 404.
pub(super) fn answer(context: &Context<'_>) -> Result<Reply, Failure> {
    let request = context.request;
    let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let method = match request.method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    match (method, path.as_slice()) {
        ("GET", ["identity"]) => info::identity(context),
        ("GET", []) => info::root(context),
        ("GET", ["library"]) => info::library(),
        ("GET", ["media", "providers"]) => info::providers(context),
        ("GET", ["servers"]) => info::servers(context),
        ("GET", ["services", "browse"]) => services::browse(context, None),
        ("GET", ["services", "browse", path]) => services::browse(context, Some(path)),
        ("GET", ["clients"]) => info::clients(),
        ("GET", ["accounts"]) => info::accounts(context, None),
        ("GET", ["accounts", id]) => info::accounts(context, Some(context.id(id)?)),
        ("GET", ["devices"]) => info::devices(context),
        ("GET", ["updater", "status"]) => info::updater(),
        ("GET", ["myplex", "account"]) => info::myplex(context),
        ("DELETE", ["myplex", "account"]) => info::release(context),
        ("POST" | "PUT", ["myplex", "claim"]) => info::claim(context),

        ("GET", ["library", "sections"] | ["library", "sections", "all"]) => section::list(context),
        ("POST", ["library", "sections"] | ["library", "sections", "all"]) => section::create(context),
        ("GET" | "POST", ["library", "sections", "all", "refresh"]) => section::refresh_all(context),
        ("DELETE", ["library", "sections", "all", "refresh"]) => section::cancel_all(context),
        ("GET", ["library", "sections", id]) => browse::index(context, context.id(id)?),
        ("PUT", ["library", "sections", id]) => section::edit(context, context.id(id)?),
        ("DELETE", ["library", "sections", id]) => section::delete(context, context.id(id)?),
        ("GET" | "POST", ["library", "sections", id, "refresh"]) => section::refresh(context, context.id(id)?),
        ("DELETE", ["library", "sections", id, "refresh"]) => section::cancel(context, context.id(id)?),
        ("PUT", ["library", "sections", id, "analyze"]) => section::analyze(context, context.id(id)?),
        ("PUT", ["library", "sections", id, "emptyTrash"]) => section::empty_trash(context, context.id(id)?),
        ("GET", ["library", "sections", id, "prefs"]) => section::prefs(context, context.id(id)?),
        ("PUT", ["library", "sections", id, "prefs"]) => section::set_prefs(context, context.id(id)?),
        ("GET", ["library", "sections", id, "all"]) => browse::all(context, context.id(id)?),
        ("PUT", ["library", "sections", id, "all"]) => edit::edit_all(context, context.id(id)?),
        ("GET", ["library", "sections", id, "albums"]) => browse::of_kind(context, context.id(id)?, 9),
        ("GET", ["library", "sections", id, "recentlyAdded"]) => browse::recently_added(context, context.id(id)?),
        ("GET", ["library", "sections", id, "unwatched"]) => browse::unwatched(context, context.id(id)?),
        ("GET", ["library", "sections", id, "onDeck"]) => browse::on_deck(context, Some(context.id(id)?)),
        ("GET", ["library", "sections", id, "collections"]) => browse::collections(context, context.id(id)?),
        ("GET", ["library", "sections", id, "search"]) => search::in_section(context, context.id(id)?),
        ("GET", ["library", "sections", id, "nearest"]) => sonic::nearest_to_values(context, context.id(id)?),
        ("GET", ["library", "sections", id, "timeline"]) => section::timeline(context, context.id(id)?),
        ("GET", ["library", "onDeck"]) => browse::on_deck(context, None),
        ("GET", ["library", "recentlyAdded"]) => browse::recently_added_everywhere(context),
        ("GET", ["library", "all"]) => browse::everywhere(context),

        ("GET", ["library", "metadata", ids]) => metadata::show(context, ids),
        ("PUT", ["library", "metadata", id]) => edit::edit(context, context.id(id)?),
        ("DELETE", ["library", "metadata", id]) => metadata::delete(context, context.id(id)?),
        ("GET", ["library", "metadata", id, "children"]) => metadata::children(context, context.id(id)?),
        ("GET", ["library", "metadata", id, "allLeaves"]) => metadata::leaves(context, context.id(id)?),
        ("GET", ["library", "metadata", id, "tree"]) => metadata::tree(context, context.id(id)?),
        ("GET", ["library", "metadata", id, "nearest"]) => sonic::nearest(context, context.id(id)?),
        ("GET", ["library", "metadata", id, "similar" | "related" | "extras" | "reviews"]) => {
            metadata::nothing(context, context.id(id)?)
        }
        ("PUT", ["library", "metadata", id, "refresh"]) => metadata::refresh(context, context.id(id)?),
        ("PUT", ["library", "metadata", id, "analyze"]) => metadata::analyze(context, context.id(id)?),
        ("GET", ["library", "streams", id, what @ ("loudness" | "levels")]) => {
            sonic::loudness(context, context.id(id)?, what)
        }
        ("GET", ["library", "parts", id, ..]) => metadata::file(context, context.id(id)?),

        ("POST", ["library", "collections"]) => collection::create(context),
        ("GET", ["library", "collections", id]) => metadata::show(context, id),
        ("GET", ["library", "collections", id, "children" | "items"]) => collection::items(context, context.id(id)?),
        ("PUT", ["library", "collections", id, "items"]) => collection::add(context, context.id(id)?),
        ("DELETE", ["library", "collections", id, "items", item]) => {
            collection::remove(context, context.id(id)?, context.id(item)?)
        }
        ("DELETE", ["library", "collections", id]) => collection::delete(context, context.id(id)?),

        ("GET", ["playlists"]) => playlist::list(context),
        ("POST", ["playlists"]) => playlist::create(context),
        ("GET", ["playlists", id]) => metadata::show(context, id),
        ("PUT", ["playlists", id]) => playlist::edit(context, context.id(id)?),
        ("DELETE", ["playlists", id]) => playlist::delete(context, context.id(id)?),
        ("GET", ["playlists", id, "items"]) => playlist::items(context, context.id(id)?),
        ("PUT" | "POST", ["playlists", id, "items"]) => playlist::add(context, context.id(id)?),
        ("DELETE", ["playlists", id, "items", entry]) => playlist::remove(context, context.id(id)?, context.id(entry)?),
        ("PUT", ["playlists", id, "items", entry, "move"]) => {
            playlist::move_after(context, context.id(id)?, context.id(entry)?)
        }
        ("POST", ["playQueues"]) => playlist::create_queue(context),
        ("GET", ["playQueues", id]) => playlist::show_queue(context, context.id(id)?),

        ("GET", ["activities"]) => activity::list(context),
        ("DELETE", ["activities", uuid]) => activity::cancel(context, uuid),
        ("GET", ["butler"]) => butler::list(context),
        ("POST", ["butler"]) => butler::start_all(context),
        ("DELETE", ["butler"]) => butler::stop_all(context),
        ("POST", ["butler", task]) => butler::start(context, task),
        ("DELETE", ["butler", task]) => butler::stop(context, task),
        ("PUT", ["library", "optimize"]) => butler::run_as(context, "OptimizeDatabase"),
        ("PUT", ["library", "clean", "bundles"]) => butler::run_as(context, "CleanOldBundles"),
        ("DELETE", ["library", "caches"]) => done(),

        ("GET", [":", "prefs"]) => prefs::list(context),
        ("GET", [":", "prefs", "get"]) => prefs::get(context),
        ("PUT", [":", "prefs"]) => prefs::set(context),
        ("GET" | "PUT" | "POST", [":", "scrobble"]) => play::scrobble(context),
        ("GET" | "PUT" | "POST", [":", "unscrobble"]) => play::unscrobble(context),
        ("GET" | "PUT" | "POST", [":", "rate"]) => play::rate(context),
        ("GET" | "PUT" | "POST", [":", "progress"]) => play::progress(context),
        ("GET" | "PUT" | "POST", [":", "timeline"]) => play::timeline(context),

        ("GET", ["status", "sessions"]) => status::sessions(context),
        ("GET", ["status", "sessions", "terminate"]) => status::terminate(context),
        ("GET", ["status", "sessions", "background"] | ["transcode", "sessions"]) => status::idle(),
        ("GET", ["status", "sessions", "history", "all"]) => history::all(context),
        ("DELETE", ["status", "sessions", "history", id]) => history::delete(context, context.id(id)?),
        ("GET", ["statistics", "bandwidth"]) => history::bandwidth(context),
        ("GET", ["statistics", "media"]) => history::media(context),
        ("GET", ["statistics", "resources"]) => status::idle(),

        ("GET", ["search"]) => search::everywhere(context),
        ("GET", ["hubs", "search"]) => search::hubs(context),
        ("GET", ["hubs", "continueWatching", "items"]) => browse::on_deck(context, None),
        ("GET", ["hubs"] | ["hubs", "sections", _]) => search::no_hubs(),
        _ => Err(Failure::NotFound),
    }
}
