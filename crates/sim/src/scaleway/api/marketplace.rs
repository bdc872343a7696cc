//! `/marketplace/v2`: which image has which id where (facts/cloud.md §1.4).

use serde_json::{Value, json};

use super::page;
use super::reply::{Failure, Reply};
use super::request::Request;
use crate::scaleway::catalogue::{self, IMAGES, LocalImage, TYPES};
use crate::scaleway::clock::api_time;
use crate::scaleway::world::{World, is_zone};

pub(super) fn answer(world: &World, request: &Request, rest: &[&str]) -> Result<Reply, Failure> {
    match (request.method.as_str(), rest) {
        ("GET", ["local-images"]) => list(request),
        ("GET", ["local-images", id]) => match catalogue::local_images().find(|image| image.id() == *id) {
            Some(image) => Ok(Reply::json(view(&image))),
            None => Err(Failure::not_found("local_image", id)),
        },
        ("GET", ["images"]) => {
            let images = IMAGES.iter().map(|image| {
                json!({"id": crate::fixture::random::Random::of(image.label).uuid(), "name": image.name,
                    "label": image.label, "description": "", "logo": "", "categories": ["distribution"],
                    "created_at": api_time(world.now()), "updated_at": api_time(world.now()), "valid_until": null})
            });
            page::api(request, "images", images.collect())
        }
        _ => Err(Failure::no_route()),
    }
}

fn list(request: &Request) -> Result<Reply, Failure> {
    let (label, zone, kind) = (
        request.parameter("image_label"),
        request.parameter("zone"),
        request.parameter("type").filter(|kind| *kind != "unknown_type"),
    );
    if label.is_none() && request.parameter("image_id").is_none() && request.parameter("version_id").is_none() {
        return Err(Failure::argument(
            "scope",
            "required",
            "one of image_id, version_id and image_label",
        ));
    }
    if let Some(zone) = zone.filter(|zone| !is_zone(zone)) {
        return Err(Failure::argument(
            "zone",
            "constraint",
            &format!("there is no zone {zone}"),
        ));
    }
    if let Some(label) = label.filter(|label| !IMAGES.iter().any(|image| image.label == *label)) {
        return Err(Failure::not_found("image", label));
    }
    let mut found: Vec<LocalImage> = catalogue::local_images()
        .filter(|image| {
            label.is_none_or(|label| image.image.label == label)
                && zone.is_none_or(|zone| image.zone == zone)
                && kind.is_none_or(|kind| image.kind() == kind)
        })
        .collect();
    if request.parameter("order_by") == Some("type_asc") {
        found.sort_by_key(LocalImage::kind);
    }
    page::api(request, "local_images", found.iter().map(view).collect())
}

fn view(image: &LocalImage) -> Value {
    let types: Vec<&str> = TYPES.iter().filter(|of| image.fits(of)).map(|of| of.name).collect();
    json!({
        "id": image.id(),
        "arch": image.arch,
        "zone": image.zone,
        "label": image.image.label,
        "type": image.kind(),
        "compatible_commercial_types": types,
    })
}
