//! `/butler`: the maintenance tasks, listed, started and stopped.

use axum::http::StatusCode;

use super::element::Element;
use super::reply::{Failure, Reply};
use super::{Context, done};
use crate::butler::{self, Started, tasks};

/// The tasks that exist on this server (the root is not a MediaContainer).
pub(super) fn list(context: &Context<'_>) -> Result<Reply, Failure> {
    let with_pass = context.server.has_pass();
    let prefs = context.server.prefs();
    let shown = tasks::TASKS.iter().filter(|task| with_pass || !task.pass).map(|task| {
        Element::new("ButlerTask")
            .attr("name", task.name)
            .attr("interval", task.days)
            .attr("scheduleRandomized", task.randomized)
            .attr("enabled", task.is_enabled(&prefs))
            .attr("title", task.title)
            .attr("description", task.title)
    });
    Ok(Reply::tree(Element::new("ButlerTasks").children(shown)))
}

/// Starts one: 200 started, 202 when it runs already, 404 when there is none of that name.
pub(super) fn start(context: &Context<'_>, name: &str) -> Result<Reply, Failure> {
    match butler::start(context.server, name)? {
        Started::Now => done(),
        Started::Already => Ok(Reply::empty().status(StatusCode::ACCEPTED)),
        Started::Unknown => Err(Failure::NotFound),
    }
}

/// Starts all that are enabled.
pub(super) fn start_all(context: &Context<'_>) -> Result<Reply, Failure> {
    butler::start_enabled(context.server)?;
    done()
}

/// Stops one.
pub(super) fn stop(context: &Context<'_>, name: &str) -> Result<Reply, Failure> {
    tasks::find(name).ok_or(Failure::NotFound)?;
    context.server.butler.cancel(name);
    done()
}

/// Stops all.
pub(super) fn stop_all(context: &Context<'_>) -> Result<Reply, Failure> {
    context.server.butler.cancel_all();
    done()
}

/// Starts a task under another of Plex's names for it.
pub(super) fn run_as(context: &Context<'_>, name: &str) -> Result<Reply, Failure> {
    butler::start(context.server, name)?;
    done()
}
