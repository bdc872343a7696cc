//! One answer, two representations: the tree of elements that is written as XML or as JSON (facts/plex.md §5.1).
//!
//! XML: every attribute is text, booleans are "0" and "1". JSON: numbers and booleans keep their type, children become
//! arrays named after them ("Metadata" for every kind of library item), and a few are single objects.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value as Json};

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Text, also for numbers that JSON shows in quotes, such as a ratingKey.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A fraction.
    Float(f64),
    /// "1"/"0" in XML, true/false in JSON.
    Bool(bool),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(flag) => if *flag { "1" } else { "0" }.to_owned(),
        }
    }

    fn json(&self) -> Json {
        match self {
            Value::Text(text) => Json::String(text.clone()),
            Value::Int(number) => Json::from(*number),
            Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Bool(flag) => Json::Bool(*flag),
        }
    }
}

/// An element with attributes in their order, and children.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Element {
    name: &'static str,
    json: &'static str,
    single: bool,
    attributes: Vec<(&'static str, Value)>,
    children: Vec<Element>,
}

impl Element {
    /// An empty element.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            json: name,
            single: false,
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The root of almost every answer; `size` is filled in with the number of children when it is written.
    pub(crate) fn container() -> Self {
        Self::new("MediaContainer")
    }

    /// An element of the library: `<Track>`, `<Video>`, `<Directory>` …, all "Metadata" in JSON.
    pub(crate) fn metadata(name: &'static str) -> Self {
        Self {
            json: "Metadata",
            ..Self::new(name)
        }
    }

    /// Not an array in JSON.
    pub(crate) fn single(mut self) -> Self {
        self.single = true;
        self
    }

    /// Adds an attribute.
    pub(crate) fn attr(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Adds an attribute if there is a value.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds a text attribute unless it is empty.
    pub(crate) fn text(self, name: &'static str, value: Option<&str>) -> Self {
        self.maybe(name, value.filter(|value| !value.is_empty()))
    }

    /// Adds a child.
    pub(crate) fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// Adds children.
    pub(crate) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// Puts `size`, the number of children, before the attributes.
    pub(crate) fn sized(self) -> Self {
        let size = i64::try_from(self.children.len()).unwrap_or(i64::MAX);
        self.with_size(size)
    }

    /// Puts a `size` that is not the number of children before the attributes.
    pub(crate) fn with_size(mut self, size: i64) -> Self {
        self.attributes.insert(0, ("size", Value::Int(size)));
        self
    }

    /// The attribute's text, for tests and for callers that pass elements on.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.attributes
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.text())
    }

    /// `<?xml …?>` and the element.
    pub(crate) fn to_xml(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write_xml(&mut out, 0);
        out
    }

    fn write_xml(&self, out: &mut String, depth: usize) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"{}\"", escape(&value.text()));
        }
        if self.children.is_empty() && depth > 0 {
            out.push_str(" />\n");
            return;
        }
        out.push_str(">\n");
        for child in &self.children {
            child.write_xml(out, depth + 1);
        }
        let _ = writeln!(out, "</{}>", self.name);
    }

    /// `{"<root>":{…}}`.
    pub(crate) fn to_json(&self) -> String {
        let mut root = Map::new();
        root.insert(self.json.to_owned(), self.json_object());
        Json::Object(root).to_string()
    }

    fn json_object(&self) -> Json {
        let mut object = Map::new();
        for (name, value) in &self.attributes {
            object.insert((*name).to_owned(), value.json());
        }
        for child in &self.children {
            if child.single {
                object.insert(child.json.to_owned(), child.json_object());
            } else if let Json::Array(list) = object
                .entry(child.json.to_owned())
                .or_insert_with(|| Json::Array(Vec::new()))
            {
                list.push(child.json_object());
            }
        }
        Json::Object(object)
    }
}

/// Text for an attribute; characters that XML 1.0 cannot hold are left out, line ends and tabs are kept as references.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Element {
        Element::container()
            .attr("allowSync", false)
            .attr("title1", "Plex \"Library\" & more")
            .child(
                Element::new("Directory")
                    .attr("key", "1")
                    .attr("refreshing", true)
                    .child(Element::new("Location").attr("id", 1).attr("path", "/music")),
            )
            .child(Element::new("Context").single().attr("librarySectionID", 7))
            .sized()
    }

    #[test]
    fn xml_is_text_only() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <MediaContainer size=\"2\" allowSync=\"0\" title1=\"Plex &quot;Library&quot; &amp; more\">\n\
            <Directory key=\"1\" refreshing=\"1\">\n\
            <Location id=\"1\" path=\"/music\" />\n\
            </Directory>\n\
            <Context librarySectionID=\"7\" />\n\
            </MediaContainer>\n";
        assert_eq!(sample().to_xml(), expected);
    }

    #[test]
    fn json_keeps_types_and_groups_children() {
        let json: Json = serde_json::from_str(&sample().to_json()).unwrap();
        let container = &json["MediaContainer"];
        assert_eq!(container["allowSync"], false);
        assert_eq!(container["Directory"][0]["Location"][0]["id"], 1);
        assert_eq!(container["Directory"][0]["key"], "1");
        assert_eq!(container["Context"]["librarySectionID"], 7);
    }

    #[test]
    fn control_characters_do_not_break_the_document() {
        assert_eq!(escape("a\u{1}b\nc'd"), "ab&#10;c&#39;d");
    }
}
