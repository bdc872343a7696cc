//! Messages about the library: an item that changed, sessions, "the library was updated".

use std::sync::Arc;

use serde_json::json;

use crate::activities::notification;
use crate::household::now;
use crate::household::sessions::Session;
use crate::items::row;
use crate::server::Server;

/// States of a timeline entry (facts/plex.md §5.3).
const PROCESSED: i64 = 5;
const DELETED: i64 = 9;

/// An item was made or changed and is ready.
pub(crate) fn processed(server: &Arc<Server>, item: i64) {
    entry(server, item, PROCESSED);
}

/// An item is about to be deleted (it is still there when this is sent).
pub(crate) fn deleted(server: &Arc<Server>, item: i64) {
    entry(server, item, DELETED);
}

fn entry(server: &Arc<Server>, id: i64, state: i64) {
    // A message about an item that cannot be read (any more) would help nobody.
    let Ok(pair) = server.pool.get() else { return };
    let Ok(Some(item)) = row::load(&pair.library, 1, id) else {
        return;
    };
    let entry = json!([{
        "identifier": "com.plexapp.plugins.library",
        "sectionID": item.int("library_section_id").unwrap_or(-1).to_string(),
        "itemID": id.to_string(),
        "type": item.kind().number,
        "title": item.text("title").unwrap_or(""),
        "state": state,
        "updatedAt": now(),
    }]);
    server
        .activities
        .send(notification("timeline", "TimelineEntry", &entry));
}

/// A scan ended.
pub(crate) fn library_changed(server: &Server) {
    let entry = json!([{ "title": "Library update", "description": "", "notificationName": "LIBRARY_UPDATE" }]);
    server
        .activities
        .send(notification("status", "StatusNotification", &entry));
}

/// A player plays, pauses or stops.
pub(crate) fn playing(server: &Server, session: &Session) {
    let entry = json!([{
        "sessionKey": session.key.to_string(),
        "clientIdentifier": session.client.identifier,
        "guid": "",
        "ratingKey": session.item.to_string(),
        "url": "",
        "key": format!("/library/metadata/{}", session.item),
        "viewOffset": session.offset,
        "state": session.state,
    }]);
    server
        .activities
        .send(notification("playing", "PlaySessionStateNotification", &entry));
}

/// A setting changed.
pub(crate) fn setting(server: &Server, id: &str, value: &str) {
    let entry = json!([{ "id": id, "value": value }]);
    server.activities.send(notification("preference", "Setting", &entry));
}
