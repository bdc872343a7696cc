//! `/activities`.

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::activities::Activity;

/// What the server is busy with.
pub(super) fn list(context: &Context<'_>) -> Result<Reply, Failure> {
    let shown = context.server.activities.visible();
    Ok(Reply::tree(
        Element::container().children(shown.iter().map(element)).sized(),
    ))
}

fn element(activity: &Activity) -> Element {
    let subject = &activity.subject;
    // Plex prints whole percents without a fraction.
    let progress = if activity.progress.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
        super::element::Value::Int(activity.progress as i64)
    } else {
        super::element::Value::Float(activity.progress)
    };
    let element = Element::new("Activity")
        .attr("uuid", activity.uuid.as_str())
        .attr("type", subject.kind)
        .attr("cancellable", subject.cancellable)
        .attr("userID", subject.account)
        .attr("title", subject.title.as_str())
        .attr("subtitle", activity.subtitle.as_str())
        .attr("progress", progress);
    if activity.shows_context() && (subject.section.is_some() || subject.key.is_some()) {
        let context = Element::new("Context")
            .single()
            .maybe("librarySectionID", subject.section.map(|id| id.to_string()))
            .maybe("key", subject.key.clone());
        return element.child(context);
    }
    element
}

/// Ends one: 404 when there is none of that name, 400 when it may not be ended.
pub(super) fn cancel(context: &Context<'_>, uuid: &str) -> Result<Reply, Failure> {
    let activity = context.server.activities.find(uuid).ok_or(Failure::NotFound)?;
    if !activity.subject.cancellable {
        return Err(Failure::BadRequest(format!(
            "{} cannot be cancelled",
            activity.subject.kind
        )));
    }
    activity.cancel.cancel();
    done()
}
