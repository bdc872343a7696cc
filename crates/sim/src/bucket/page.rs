//! One page of a listing: the keys after a mark, those below a delimiter folded into one, at most a thousand entries.

use std::fmt::Write as _;

use super::Bucket;

/// As many as a real server gives at once.
pub(super) const MOST: usize = 1000;

/// What a listing was asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    /// Where the page before ended: the last key or the last folded prefix.
    pub(super) after: String,
    pub(super) max: usize,
    pub(super) is_encoded: bool,
    /// Leave out every n-th object.
    pub(super) forgets: Option<u64>,
}

/// The page, and the mark where the next one begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) contents: Vec<usize>,
    pub(super) prefixes: Vec<String>,
    pub(super) next: Option<String>,
}

impl Bucket {
    /// The keys that a listing shows.
    pub(super) fn page(&self, asked: &Asked) -> Page {
        let mut page = Page::default();
        let mut last = "";
        let mut at = self.after(&asked.after).max(self.from(&asked.prefix));
        // A folded prefix is a mark that its own keys come after.
        if let Some(delimiter) = &asked.delimiter
            && !asked.after.is_empty()
            && asked.after.ends_with(delimiter.as_str())
        {
            at = at.max(self.behind(&asked.after));
        }
        while let Some((key, _)) = self.objects.get(at)
            && let Some(rest) = key.strip_prefix(asked.prefix.as_str())
        {
            if page.contents.len() + page.prefixes.len() == asked.max {
                page.next = Some(last.to_owned());
                break;
            }
            let folded = asked.delimiter.as_ref().and_then(|delimiter| {
                let end = rest.find(delimiter.as_str())? + delimiter.len();
                Some(&key[..asked.prefix.len() + end])
            });
            if let Some(prefix) = folded {
                last = prefix;
                page.prefixes.push(prefix.to_owned());
                at = self.behind(prefix);
            } else {
                last = key;
                if asked.forgets.is_none_or(|every| !(at as u64).is_multiple_of(every)) {
                    page.contents.push(at);
                }
                at += 1;
            }
        }
        page
    }

    /// The first key after `mark`.
    fn after(&self, mark: &str) -> usize {
        self.objects.partition_point(|(key, _)| **key <= *mark)
    }

    /// The first key that could begin with `prefix`.
    fn from(&self, prefix: &str) -> usize {
        self.objects.partition_point(|(key, _)| **key < *prefix)
    }

    /// The first key after all that begin with `prefix`.
    fn behind(&self, prefix: &str) -> usize {
        let from = self.from(prefix);
        from + self.objects[from..].partition_point(|(key, _)| key.starts_with(prefix))
    }

    /// A page as XML, as a real server writes it.
    pub(super) fn to_xml(&self, asked: &Asked, page: &Page) -> String {
        let mut xml = String::with_capacity(300 * page.contents.len() + 1000);
        let word = |text: &str| {
            if asked.is_encoded {
                percent(text)
            } else {
                quick_xml::escape::escape(text).into_owned()
            }
        };
        let _ = write!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{}</MaxKeys><IsTruncated>{}</IsTruncated>",
            self.name,
            word(&asked.prefix),
            page.contents.len() + page.prefixes.len(),
            asked.max,
            page.next.is_some(),
        );
        if let Some(delimiter) = &asked.delimiter {
            let _ = write!(xml, "<Delimiter>{}</Delimiter>", word(delimiter));
        }
        if asked.is_encoded {
            xml.push_str("<EncodingType>url</EncodingType>");
        }
        if let Some(next) = page.next.as_deref().filter(|next| !next.is_empty()) {
            let _ = write!(xml, "<NextContinuationToken>{}</NextContinuationToken>", token(next));
        }
        for at in &page.contents {
            let (key, size) = &self.objects[*at];
            let _ = write!(
                xml,
                "<Contents><Key>{}</Key><LastModified>{MODIFIED}</LastModified><ETag>&quot;{at:032x}&quot;</ETag>\
                 <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                word(key)
            );
        }
        for prefix in &page.prefixes {
            let _ = write!(
                xml,
                "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
                word(prefix)
            );
        }
        xml.push_str("</ListBucketResult>");
        xml
    }
}

/// When everything was uploaded.
pub(super) const MODIFIED: &str = "2024-05-01T12:00:00.000Z";

/// A token says nothing to whoever holds it.
pub(super) fn token(mark: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE.encode(mark)
}

/// The mark in a token; none when it is no token of ours.
pub(super) fn mark(token: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE.decode(token).ok()?;
    String::from_utf8(bytes).ok()
}

fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        let keys = ["a/1", "a/2", "a/b/3", "b", "c/4", "c+ é&<", "d"];
        Bucket::new("b", keys.map(|key| (key.to_owned(), 1)))
    }

    fn names(bucket: &Bucket, page: &Page) -> Vec<String> {
        let keys = page.contents.iter().map(|at| bucket.objects[*at].0.to_string());
        keys.chain(page.prefixes.iter().cloned()).collect()
    }

    #[test]
    fn pages_of_every_size_are_the_whole() {
        let bucket = bucket();
        for delimiter in [None, Some("/".to_owned())] {
            let whole = Asked {
                delimiter: delimiter.clone(),
                max: MOST,
                ..Asked::default()
            };
            let mut all = names(&bucket, &bucket.page(&whole));
            all.sort();
            assert_eq!(all.len(), if delimiter.is_some() { 5 } else { 7 });
            for max in 1..8 {
                let (mut found, mut after) = (Vec::new(), String::new());
                loop {
                    let page = bucket.page(&Asked {
                        delimiter: delimiter.clone(),
                        after: after.clone(),
                        max,
                        ..Asked::default()
                    });
                    found.extend(names(&bucket, &page));
                    match page.next {
                        Some(next) => after = mark(&token(&next)).unwrap(),
                        None => break,
                    }
                }
                found.sort();
                assert_eq!(found, all, "{max} a page, {delimiter:?}");
            }
        }
    }

    #[test]
    fn names_are_written_so_that_xml_can_hold_them() {
        let bucket = bucket();
        let mut asked = Asked {
            prefix: "c+".to_owned(),
            max: MOST,
            ..Asked::default()
        };
        let page = bucket.page(&asked);
        assert!(bucket.to_xml(&asked, &page).contains("<Key>c+ é&amp;&lt;</Key>"));
        asked.is_encoded = true;
        assert!(bucket.to_xml(&asked, &page).contains("<Key>c%2B+%C3%A9%26%3C</Key>"));
    }
}
