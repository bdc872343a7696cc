//! `/status/sessions`: who plays what right now.

use std::time::Duration;

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::items::element::{self, Detail};
use crate::items::row;

/// The players at work.
pub(super) fn sessions(context: &Context<'_>) -> Result<Reply, Failure> {
    let timeout = Duration::from_secs(context.server.tempo().session_timeout_seconds);
    let current = context.server.sessions.current(timeout);
    let elements = context.read(|db| {
        let mut found = Vec::new();
        for session in &current {
            let Some(item) = row::load(db, session.account, session.item)? else {
                continue;
            };
            let name: String = db
                .query_row(
                    "SELECT coalesce(name, '') FROM accounts WHERE id = ?1",
                    [session.account],
                    |row| row.get(0),
                )
                .unwrap_or_default();
            let client = &session.client;
            found.push(
                element::of(db, session.account, &item, Detail::default())?
                    .attr("sessionKey", session.key.to_string())
                    .child(
                        Element::new("User")
                            .single()
                            .attr("id", session.account.to_string())
                            .attr("title", name),
                    )
                    .child(
                        Element::new("Player")
                            .single()
                            .attr("address", session.address.as_str())
                            .attr("machineIdentifier", client.identifier.as_str())
                            .attr("platform", client.platform.as_str())
                            .attr("product", client.product.as_str())
                            .attr("state", session.state.as_str())
                            .attr("title", client.name.as_str())
                            .attr("local", true),
                    )
                    .child(
                        Element::new("Session")
                            .single()
                            .attr("id", format!("{}-{}", client.identifier, session.key))
                            .attr("bandwidth", 0)
                            .attr("location", "lan"),
                    ),
            );
        }
        Ok(found)
    })?;
    Ok(Reply::tree(Element::container().children(elements).sized()))
}

/// Ends a session: `?sessionId=<client>-<key>`.
pub(super) fn terminate(context: &Context<'_>) -> Result<Reply, Failure> {
    let id = context.request.query.need("sessionId")?;
    let key = id
        .rsplit('-')
        .next()
        .and_then(|key| key.parse().ok())
        .ok_or(Failure::NotFound)?;
    if context.server.sessions.end(key) {
        done()
    } else {
        Err(Failure::NotFound)
    }
}

/// Lists that are always empty here: nothing is transcoded, converted or measured.
pub(super) fn idle() -> Result<Reply, Failure> {
    Ok(Reply::tree(Element::container().sized()))
}
