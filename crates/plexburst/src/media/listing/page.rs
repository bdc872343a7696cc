//! One page of ListObjectsV2, read strictly: it counts only when it is whole.

use quick_xml::Reader;
use quick_xml::events::Event;

/// What a page says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Keys (as bytes: a key need not be UTF-8) and sizes, in the order given.
    pub(super) objects: Vec<(Vec<u8>, u64)>,
    /// Folded prefixes.
    pub(super) prefixes: Vec<Vec<u8>>,
    /// Where the next page begins; none when this is the last.
    pub(super) next: Option<String>,
}

/// Reads a page.
///
/// # Errors
/// Why it cannot be believed, in a few words.
pub(super) fn parse(xml: &[u8]) -> Result<Page, String> {
    let xml = std::str::from_utf8(xml).map_err(|_| "a page is no UTF-8".to_owned())?;
    let mut reader = Reader::from_str(xml);
    let mut page = Page::default();
    let (mut is_encoded, mut is_truncated, mut count, mut is_closed) = (false, None, None, false);
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut object = (None, None);
    loop {
        match reader
            .read_event()
            .map_err(|error| format!("a page is no XML: {error}"))?
        {
            Event::Eof => break,
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
            }
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(name) => text.push(reference(&name)?),
            Event::End(_) => {
                let (name, above) = match path.as_slice() {
                    [.., above, name] => (name.as_str(), above.as_str()),
                    [name] => (name.as_str(), ""),
                    [] => ("", ""),
                };
                match (path.len(), above, name) {
                    (1, _, "ListBucketResult") => is_closed = true,
                    (2, _, "EncodingType") => is_encoded = text == "url",
                    (2, _, "IsTruncated") => is_truncated = Some(text == "true"),
                    (2, _, "KeyCount") => count = text.parse().ok(),
                    (2, _, "NextContinuationToken") => page.next = Some(text.clone()),
                    (3, "Contents", "Key") => object.0 = Some(text.clone().into_bytes()),
                    (3, "Contents", "Size") => object.1 = text.trim().parse().ok(),
                    (2, _, "Contents") => match std::mem::take(&mut object) {
                        (Some(key), Some(size)) => page.objects.push((key, size)),
                        _ => return Err("an object has no key or no size".to_owned()),
                    },
                    (3, "CommonPrefixes", "Prefix") => page.prefixes.push(text.clone().into_bytes()),
                    _ => {}
                }
                path.pop();
                text.clear();
            }
            _ => {}
        }
    }
    if !is_closed {
        return Err("a page breaks off in its middle".to_owned());
    }
    let found = page.objects.len() + page.prefixes.len();
    if count.is_some_and(|count: usize| count != found) {
        return Err(format!("a page holds {found} entries and says {}", count.unwrap_or(0)));
    }
    page.next = match (is_truncated, page.next.take().filter(|token| !token.is_empty())) {
        (None, _) => return Err("a page does not say whether there is more".to_owned()),
        (Some(true), None) => return Err("there is more, and no token to ask for it with".to_owned()),
        (Some(true), token) => token,
        (Some(false), _) => None,
    };
    if is_encoded {
        for name in page.objects.iter_mut().map(|(key, _)| key).chain(&mut page.prefixes) {
            decode(name);
        }
    }
    Ok(page)
}

/// `amp` and the like, and `#10`.
fn reference(name: &str) -> Result<char, String> {
    Ok(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = match (name.strip_prefix("#x"), name.strip_prefix('#')) {
                (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
                (None, Some(decimal)) => decimal.parse().ok(),
                (None, None) => None,
            };
            number
                .and_then(char::from_u32)
                .ok_or_else(|| format!("a page has the unknown entity {name:?}"))?
        }
    })
}

/// `encoding-type=url`: `+` is a space, `%41` a byte.
fn decode(name: &mut Vec<u8>) {
    if !name.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return;
    }
    for byte in name.iter_mut() {
        if *byte == b'+' {
            *byte = b' ';
        }
    }
    *name = percent_encoding::percent_decode(name).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rest: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Contents><Key>a&amp;b</Key><Size>5</Size>\
             <Owner><ID>z</ID></Owner></Contents>{rest}</ListBucketResult>"
        )
    }

    #[test]
    fn names_are_what_they_were() {
        let whole = parse(page("<IsTruncated>false</IsTruncated>").as_bytes()).unwrap();
        assert_eq!(whole.objects, [(b"a&b".to_vec(), 5)]);
        assert_eq!(whole.next, None);
        let encoded = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>t</NextContinuationToken><Contents><Key>a+%C3%A9%2B%0A</Key><Size>1</Size></Contents>\
             <CommonPrefixes><Prefix>b%2F</Prefix></CommonPrefixes></ListBucketResult>";
        let encoded = parse(encoded.as_bytes()).unwrap();
        assert_eq!(encoded.objects, [("a é+\n".as_bytes().to_vec(), 1)]);
        assert_eq!(
            (encoded.prefixes, encoded.next),
            (vec![b"b/".to_vec()], Some("t".to_owned()))
        );
    }

    #[test]
    fn a_page_that_is_not_whole_does_not_count() {
        let whole = page("<IsTruncated>false</IsTruncated>");
        for end in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
        for wrong in [
            page(""),
            page("<IsTruncated>true</IsTruncated>"),
            page("<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>"),
            page("<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>"),
            page("<IsTruncated>false</IsTruncated><Contents><Key>x</Key></Contents>"),
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
