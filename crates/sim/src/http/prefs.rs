//! `/:/prefs`: the list, one of it, and changes (one unknown name refuses the whole request).

use super::element::{Element, Value};
use super::reply::{Failure, Reply};
use super::{Context, done, timeline};
use crate::prefs::{Kind, Preferences, Setting, catalogue};

/// All settings that exist on this server.
pub(super) fn list(context: &Context<'_>) -> Result<Reply, Failure> {
    let with_pass = context.server.has_pass();
    let prefs = context.server.prefs();
    let shown = catalogue::SETTINGS.iter().filter(|setting| with_pass || !setting.pass);
    Ok(Reply::tree(
        Element::container()
            .children(shown.map(|setting| element(&prefs, setting)))
            .sized(),
    ))
}

/// The setting `id`.
pub(super) fn get(context: &Context<'_>) -> Result<Reply, Failure> {
    let with_pass = context.server.has_pass();
    let setting = catalogue::find(context.request.query.need("id")?)
        .filter(|setting| with_pass || !setting.pass)
        .ok_or(Failure::NotFound)?;
    let shown = element(&context.server.prefs(), setting);
    Ok(Reply::tree(Element::container().child(shown).sized()))
}

/// Changes settings: `PUT /:/prefs?Name=value&…`.
pub(super) fn set(context: &Context<'_>) -> Result<Reply, Failure> {
    let changes: Vec<(String, String)> = context
        .request
        .query
        .pairs()
        .iter()
        .filter(|(name, _)| !name.starts_with("X-Plex-"))
        .cloned()
        .collect();
    let with_pass = context.server.has_pass();
    context.server.prefs().change(&changes, with_pass)?;
    for (name, value) in &changes {
        context
            .server
            .log
            .info(format_args!("Preference {name} was set to {value:?}"));
        timeline::setting(context.server, name, value);
    }
    done()
}

fn element(prefs: &Preferences, setting: &Setting) -> Element {
    Element::new("Setting")
        .attr("id", setting.id)
        .attr("label", setting.label)
        .attr("summary", "")
        .attr("type", setting.kind.word())
        .attr("default", value(setting, setting.default))
        .attr("value", value(setting, prefs.value(setting.id)))
        .attr("hidden", setting.hidden)
        .attr("advanced", setting.advanced)
        .attr("group", setting.group)
        .text("enumValues", Some(setting.values))
}

/// The value in the type that JSON shows.
fn value(setting: &Setting, text: &str) -> Value {
    match setting.kind {
        Kind::Bool => Value::Bool(matches!(text, "1" | "true")),
        Kind::Int => text.parse().map_or_else(|_| Value::from(text), Value::Int),
        Kind::Double => text.parse().map_or_else(|_| Value::from(text), Value::Float),
        Kind::Text => Value::from(text),
    }
}
