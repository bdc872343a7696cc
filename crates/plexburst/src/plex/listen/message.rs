//! The notifications that tell of work on the library, out of all that a server sends (facts/plex.md §5.3).

use serde::Deserialize;

use crate::plex::client::Activity;

/// One message: `{"NotificationContainer":{"type":…,"size":n,"<key>":[…]}}`.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "NotificationContainer")]
    container: Container,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default, rename = "ActivityNotification")]
    activities: Vec<RawActivity>,
    #[serde(default, rename = "TimelineEntry")]
    timeline: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawActivity {
    event: String,
    #[serde(rename = "Activity")]
    activity: Activity,
}

/// What a message tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// An activity has begun or is as it says.
    Goes(Activity),
    /// An activity has ended.
    Ended(Activity),
    /// An item is in another state: the entry, and the item's name.
    Item(String, String),
}

/// The work that a message tells of; nothing for all others, and for what cannot be understood.
pub(super) fn told(text: &str) -> Vec<Told> {
    let Ok(message) = serde_json::from_str::<Message>(text) else {
        return Vec::new();
    };
    let activities = message
        .container
        .activities
        .into_iter()
        .map(|told| match told.event.as_str() {
            "ended" => Told::Ended(told.activity),
            _ => Told::Goes(told.activity),
        });
    let items = message.container.timeline.into_iter().map(|entry| {
        let title = entry
            .get("title")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("an item");
        Told::Item(entry.to_string(), title.to_owned())
    });
    activities.chain(items).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_on_the_library_is_told() {
        let activity = r#"{"NotificationContainer":{"type":"activity","size":1,"ActivityNotification":[{"event":"updated",
            "uuid":"u","Activity":{"uuid":"u","type":"library.update.section","cancellable":true,"userID":1,
            "title":"Scanning Music","subtitle":"An Album","progress":12,"Context":{"librarySectionID":"3"}}}]}}"#;
        let Told::Goes(found) = &told(activity)[0] else {
            panic!()
        };
        assert_eq!(
            (found.subtitle.as_str(), found.progress, found.section),
            ("An Album", 12.0, Some(3))
        );
        assert!(matches!(
            told(&activity.replace("updated", "ended"))[..],
            [Told::Ended(_)]
        ));
        let timeline = r#"{"NotificationContainer":{"type":"timeline","size":1,"TimelineEntry":[{"identifier":
            "com.plexapp.plugins.library","sectionID":"3","itemID":"7","type":10,"title":"A Song","state":5,"updatedAt":1}]}}"#;
        assert!(matches!(&told(timeline)[..], [Told::Item(_, title)] if title == "A Song"));
        for other in [
            r#"{"NotificationContainer":{"type":"playing","size":1,"PlaySessionStateNotification":[{"state":"playing"}]}}"#,
            r#"{"NotificationContainer":{"type":"reachability","size":0}}"#,
            "pong",
            "",
        ] {
            assert_eq!(told(other), [], "{other}");
        }
    }
}
