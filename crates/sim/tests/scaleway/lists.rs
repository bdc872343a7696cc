//! Lists: paging, filters, and that they lag behind.

use serde_json::{Value, json};

use crate::support::{Cloud, text};

fn names(list: &Value, key: &str) -> Vec<String> {
    list[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["name"]).to_owned())
        .collect()
}

#[test]
fn pages_are_counted_in_headers_there_and_in_the_body_here() {
    let cloud = Cloud::at_once();
    let first = cloud.instance("GET", "/products/servers", Value::Null);
    let total: usize = first.header("x-total-count").unwrap().parse().unwrap();
    assert!(total > 50, "{total} types are more than one page");
    assert_eq!(first.json()["servers"].as_object().unwrap().len(), 50);
    assert!(first.header("link").unwrap().contains("rel=\"next\""));
    let second = cloud.instance("GET", "/products/servers?page=2", Value::Null);
    assert_eq!(second.json()["servers"].as_object().unwrap().len(), total - 50);
    assert!(second.header("link").is_none());
    assert_eq!(
        cloud.instance("GET", "/servers?per_page=101", Value::Null).kind(),
        "invalid_arguments"
    );

    let project = &cloud.access().project_id;
    for at in 0..3 {
        let body = json!({"name": format!("v{at}"), "project_id": project, "from_empty": {"size": 1_000_000_000}});
        assert_eq!(cloud.ask("POST", "/block/v1/zones/fr-par-1/volumes", body).status, 200);
    }
    let page = cloud.get("/block/v1/zones/fr-par-1/volumes?page_size=2&page=2").json();
    assert_eq!(
        (names(&page, "volumes"), &page["total_count"]),
        (vec!["v0".to_owned()], &json!(3))
    );
}

#[test]
fn names_are_found_by_their_parts_and_tags_exactly() {
    let cloud = Cloud::at_once();
    cloud.server(json!({"name": "server1", "tags": ["plexburst", "burst=01"]}));
    cloud.server(json!({"name": "server100", "tags": ["plexburst"]}));
    let list = |query: &str| {
        names(
            &cloud.instance("GET", &format!("/servers?{query}"), Value::Null).json(),
            "servers",
        )
    };
    assert_eq!(list("name=server1"), ["server100", "server1"]);
    assert_eq!(list("tags=plexburst%2Cburst%3D01"), ["server1"]);
    assert_eq!(list("tags=burst"), Vec::<String>::new());
    assert_eq!(
        list(&format!("project={}", cloud.access().other_project_id)),
        Vec::<String>::new()
    );
    assert_eq!(list("state=running"), Vec::<String>::new());
}

#[test]
fn a_list_does_not_know_yet_what_looking_by_id_does() {
    let cloud = Cloud::new();
    let server = cloud.server(json!({}));
    let id = text(&server["id"]);
    let count = || {
        cloud.instance("GET", "/servers", Value::Null).json()["servers"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((cloud.state(id).as_str(), count()), ("stopped", 0));
    cloud.advance(2.0);
    assert_eq!(count(), 1);
    cloud.act(id, "terminate");
    cloud.advance(8.0);
    assert_eq!((cloud.state(id).as_str(), count()), ("404", 1));
    cloud.advance(2.0);
    assert_eq!(count(), 0);
}

#[test]
fn a_zone_knows_its_own() {
    let cloud = Cloud::at_once();
    let server = cloud.server(json!({}));
    let elsewhere = cloud.get(&format!("/instance/v1/zones/nl-ams-1/servers/{}", text(&server["id"])));
    assert_eq!((elsewhere.status, elsewhere.kind().as_str()), (404, "not_found"));
    assert_eq!(
        cloud.get("/instance/v1/zones/de-ber-1/servers").kind(),
        "invalid_arguments"
    );
    let body = json!({"commercial_type": "DEV1-S", "image": "debian_bookworm", "project": cloud.access().project_id});
    let refused = cloud.ask("POST", "/instance/v1/zones/it-mil-1/servers", body);
    assert_eq!(refused.json()["details"][0]["argument_name"], "commercial_type");
}

#[test]
fn the_lists_of_offers_disagree_as_the_real_ones_do() {
    let cloud = Cloud::at_once();
    let servers = cloud
        .instance("GET", "/products/servers?per_page=100", Value::Null)
        .json()["servers"]
        .clone();
    let stock = cloud
        .instance("GET", "/products/servers/availability?per_page=100", Value::Null)
        .json();
    assert_eq!(servers["START1-S"]["end_of_service"], json!(true));
    assert_eq!(stock["servers"]["START1-S"]["availability"], "available");
    let listed = servers["DEV1-S"]["hourly_price"].as_f64().unwrap();
    assert!(
        listed != 0.008_976 && (listed - 0.008_976).abs() < 1e-9,
        "a single float: {listed}"
    );

    let path = "/product-catalog/v2alpha1/public-catalog/products?product_types=instance&zone=fr-par-1&page_size=100";
    let catalog = cloud.get(path).json();
    let price = |name: &str| {
        let mut products = catalog["products"].as_array().unwrap().iter();
        let found = products.find(|product| product["product"] == name).unwrap();
        found["price"]["retail_price"]["nanos"].as_u64().unwrap()
    };
    assert_eq!(price("DEV1-S"), 8_976_000);
    assert!((servers["STANDARD2-A32C-128G"]["hourly_price"].as_f64().unwrap() - 1.1978).abs() < 1e-6);
    assert_eq!(price("STANDARD2-A32C-128G"), 7_800_000, "1 euro and 0.0078");
}
