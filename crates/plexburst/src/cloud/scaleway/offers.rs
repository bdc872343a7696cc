//! What can be had, where, and for how much: types and stock from the instance API, prices from the product catalogue,
//! else from the type itself, else from a dated table.

use std::collections::{BTreeMap, HashMap};

use reqwest::Method;
use serde_json::Value;

use super::model::{Availability, LocalImage, Product, ServerType};
use super::{Client, Error, Kind, found, path};
use crate::cloud::offer::{Offer, Wish};
use crate::cloud::price::{self, Price};

const GB: u64 = 1_000_000_000;
/// Euros per hour of an address while the machine runs; the price of a dynamic one is not documented, so the flexible
/// one's is counted (facts: cloud §1.8).
const ADDRESS_HOUR: f64 = 0.004;

/// Everything that fits, in the order of preference: zones as wished, types as wished, what is short of stock last.
pub(super) async fn offers(client: &Client, wish: &Wish) -> Result<Vec<Offer>, Error> {
    let mut all = Vec::new();
    for zone in &wish.zones {
        let types: BTreeMap<String, ServerType> = map(client, zone, "products/servers", "servers").await?;
        let stock: BTreeMap<String, Availability> =
            map(client, zone, "products/servers/availability", "servers").await?;
        // Prices are worth a word, not a failure: the table has them too.
        let catalogue = catalogue(client, zone).await.unwrap_or_default();
        for name in &wish.types {
            let Some(found) = types.get(name) else { continue };
            if found.end_of_service || (wish.needs_x86_64 && found.arch != "x86_64") {
                continue;
            }
            let local = found.volumes_constraint.as_ref().map_or(0, |c| c.max_size) / GB;
            let is_local = local >= wish.volume_gb;
            let (server, source) = match catalogue.get(name) {
                Some(price) => (*price, "product catalogue".to_owned()),
                None if found.hourly_price > 0.0 => (found.hourly_price, "list of types".to_owned()),
                None => match price::TABLE.iter().find(|(known, ..)| known == name) {
                    Some((_, _, _, hour, ..)) => (*hour, format!("table of {}", price::TABLE_DATE)),
                    None => continue,
                },
            };
            let per_gb = if is_local {
                price::LOCAL_GB_HOUR
            } else {
                price::BLOCK_GB_HOUR
            };
            // Volumes are far below 2^52 GB.
            #[allow(clippy::cast_precision_loss)]
            let volume = per_gb * wish.volume_gb as f64;
            all.push(Offer {
                commercial_type: name.clone(),
                zone: zone.clone(),
                cpus: found.ncpus,
                memory: found.ram,
                volume_gb: wish.volume_gb,
                is_local,
                arch: found.arch.clone(),
                price: Price {
                    server,
                    volume,
                    address: ADDRESS_HOUR,
                    source,
                },
                stock: stock
                    .get(name)
                    .map_or_else(|| "unknown".to_owned(), |s| s.availability.clone()),
            });
        }
    }
    all.sort_by_key(|offer| offer.stock == "shortage");
    Ok(all)
}

/// All pages of a map by name.
async fn map<T: serde::de::DeserializeOwned>(
    client: &Client,
    zone: &str,
    rest: &str,
    field: &str,
) -> Result<BTreeMap<String, T>, Error> {
    let mut all = BTreeMap::new();
    for page in 1.. {
        let mut body: Value = client
            .call(Method::GET, path(zone, rest))
            .query("page", &page.to_string())
            .query("per_page", "100")
            .read()
            .await?;
        let items: BTreeMap<String, T> = serde_json::from_value(body[field].take()).map_err(|e| Error {
            call: format!("GET {}", path(zone, rest)),
            kind: Kind::Malformed(e.to_string()),
        })?;
        let before = all.len();
        all.extend(items);
        // A page that brings nothing new is the end, whatever the total says.
        if all.len() == before || all.len() < page * 100 {
            break;
        }
    }
    Ok(all)
}

/// Euros per hour by type, out of the product catalogue.
async fn catalogue(client: &Client, zone: &str) -> Result<HashMap<String, f64>, Error> {
    let products: Vec<Product> = client
        .list_newer(
            "/product-catalog/v2alpha1/public-catalog/products",
            "products",
            &[("product_types", "instance"), ("zone", zone)],
        )
        .await?;
    Ok(products.iter().filter_map(hourly).collect())
}

fn hourly(product: &Product) -> Option<(String, f64)> {
    let price = &product.price.as_ref()?.retail_price;
    let unit = product.unit_of_measure.as_ref()?;
    if price.currency_code != "EUR" || unit.size == 0 {
        return None;
    }
    let seconds = match unit.unit.as_str() {
        "hour" => 3600.0,
        "minute" => 60.0,
        "second" => 1.0,
        _ => return None,
    };
    // Euros per unit: whole ones and billionths, both far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    let per_unit = price.units as f64 + price.nanos as f64 / 1e9;
    #[allow(clippy::cast_precision_loss)]
    let per_hour = per_unit / (seconds * unit.size as f64) * 3600.0;
    let own = product
        .properties
        .as_ref()
        .and_then(|p| p.instance.as_ref())
        .map(|i| i.offer_id.clone());
    // `offer_id` is the type's name where it is one; else the product's name is, as in "GP1-S".
    let name = own.filter(|id| id.contains('-') && id.len() < 30 && id.chars().any(|c| c.is_ascii_uppercase()));
    let name = name.unwrap_or_else(|| {
        if product.product.is_empty() {
            // `/compute/gp1_s/run_par1`
            product
                .sku
                .split('/')
                .nth(2)
                .unwrap_or_default()
                .replace('_', "-")
                .to_uppercase()
        } else {
            product.product.clone()
        }
    });
    (!name.is_empty()).then_some((name, per_hour))
}

/// The id of an image for a type, by its label.
pub(super) async fn image(client: &Client, label: &str, offer: &Offer) -> Result<String, Error> {
    let kind = if offer.is_local {
        "instance_local"
    } else {
        "instance_sbs"
    };
    let images: Vec<LocalImage> = client
        .list_newer(
            "/marketplace/v2/local-images",
            "local_images",
            &[("image_label", label), ("zone", &offer.zone), ("type", kind)],
        )
        .await
        .map(Some)
        .or_else(|error| found(Err(error)))?
        .unwrap_or_default();
    let fits = |image: &&LocalImage| {
        image.zone == offer.zone
            && image.r#type == kind
            && image.arch == offer.arch
            && image.compatible_commercial_types.contains(&offer.commercial_type)
    };
    images
        .iter()
        .find(fits)
        .map(|image| image.id.clone())
        .ok_or_else(|| Error {
            call: "GET /marketplace/v2/local-images".to_owned(),
            kind: Kind::Invalid(format!(
                "there is no image {label:?} for {} in {}",
                offer.commercial_type, offer.zone
            )),
        })
}
