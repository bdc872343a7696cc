//! Paging, in the two ways that Scaleway has (facts/cloud.md §1.1).

use serde_json::{Value, json};

use super::reply::{Failure, Reply};
use super::request::Request;

/// The most that one page may have.
const MOST: usize = 100;
const USUAL: usize = 50;

fn number(request: &Request, name: &'static str, usual: usize) -> Result<usize, Failure> {
    match request.parameter(name) {
        None => Ok(usual),
        Some(text) => match text.parse() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(Failure::argument(
                name,
                "constraint",
                "must be greater than or equal to 1",
            )),
        },
    }
}

/// One page of `all`, with its number and size.
fn cut(request: &Request, size: &'static str, all: Vec<Value>) -> Result<(Vec<Value>, usize, usize), Failure> {
    let (page, wanted) = (number(request, "page", 1)?, number(request, size, USUAL)?);
    if wanted > MOST {
        return Err(Failure::argument(
            size,
            "constraint",
            "must be lower than or equal to 100",
        ));
    }
    let page_of = all
        .into_iter()
        .skip((page - 1).saturating_mul(wanted))
        .take(wanted)
        .collect();
    Ok((page_of, page, wanted))
}

/// Headers that tell how many there are and where the other pages lie.
fn headers(request: &Request, page: usize, size: usize, total: usize) -> Vec<(&'static str, String)> {
    let pages = total.div_ceil(size).max(1);
    let mut links = Vec::new();
    if page < pages {
        for (number, rel) in [(page + 1, "next"), (pages, "last")] {
            links.push(format!(
                "<{}?page={number}&per_page={size}&>; rel=\"{rel}\"",
                request.path
            ));
        }
    }
    let mut headers = vec![("x-total-count", total.to_string())];
    if !links.is_empty() {
        headers.push(("link", links.join(",")));
    }
    headers
}

/// `page` and `per_page`; the total is in a header, the body has the array alone.
pub(crate) fn instance(request: &Request, name: &str, all: Vec<Value>) -> Result<Reply, Failure> {
    let total = all.len();
    let (items, page, size) = cut(request, "per_page", all)?;
    let mut reply = Reply::json(json!({ name: items }));
    reply.headers = headers(request, page, size, total);
    Ok(reply)
}

/// The same of a map from names.
pub(crate) fn instance_map(request: &Request, name: &str, all: Vec<(String, Value)>) -> Result<Reply, Failure> {
    let total = all.len();
    let (names, values): (Vec<Value>, Vec<Value>) =
        all.into_iter().map(|(name, value)| (Value::from(name), value)).unzip();
    let (names, page, size) = cut(request, "per_page", names)?;
    let values = cut(request, "per_page", values)?.0;
    let map: serde_json::Map<String, Value> = names
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .zip(values)
        .collect();
    let mut reply = Reply::json(json!({ name: map }));
    reply.headers = headers(request, page, size, total);
    Ok(reply)
}

/// `page` and `page_size`; the total is in the body.
pub(crate) fn api(request: &Request, name: &str, all: Vec<Value>) -> Result<Reply, Failure> {
    let total = all.len();
    let items = cut(request, "page_size", all)?.0;
    Ok(Reply::json(json!({ name: items, "total_count": total })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Request {
        Request::new("GET", "/servers", query, std::net::IpAddr::from([127, 0, 0, 1]))
    }

    #[test]
    fn pages_of_both_kinds() {
        let all: Vec<Value> = (0..120).map(Value::from).collect();
        let first = instance(&ask("per_page=100"), "servers", all.clone()).unwrap();
        assert!(first.headers.contains(&("x-total-count", "120".to_owned())));
        let link = &first.headers[1].1;
        assert!(
            link.contains("page=2&per_page=100") && link.contains("rel=\"next\""),
            "{link}"
        );
        let last = instance(&ask("per_page=100&page=2"), "servers", all.clone()).unwrap();
        assert_eq!(last.headers.len(), 1);
        let beyond = api(&ask("page=9"), "volumes", all.clone()).unwrap();
        let super::super::reply::Body::Json(body) = beyond.body else {
            panic!("{beyond:?}")
        };
        assert_eq!(body, json!({"volumes": [], "total_count": 120}));
        assert!(instance(&ask("per_page=101"), "servers", all.clone()).is_err());
        assert!(api(&ask("page=0"), "volumes", all).is_err());
    }
}
