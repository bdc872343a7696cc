//! `/instance/v1/zones/{zone}` (facts/cloud.md §1.2).

mod action;
pub(crate) use action::accepted;
pub(crate) use user_data::store as store_user_data;
mod create;
mod group;
mod ip;
mod product;
mod server;
mod user_data;
pub(crate) mod view;
mod volume;

use super::Context;
use super::reply::{Failure, Reply};
use crate::scaleway::world::{Product, is_zone};

/// Answers a request below the zone.
pub(crate) fn answer(context: &mut Context<'_>, zone: &str, rest: &[&str]) -> Result<Reply, Failure> {
    if !is_zone(zone) {
        return Err(Failure::argument(
            "zone",
            "constraint",
            &format!("there is no zone {zone}"),
        ));
    }
    let method = context.request.method.as_str();
    let write = method != "GET";
    // Which project is looked at when the resource is known; that the key may do it anywhere, here.
    context.require(Product::Instances, write, None)?;
    match (method, rest) {
        ("GET", ["products", "servers"]) => product::servers(context, zone),
        ("GET", ["products", "servers", "availability"]) => product::availability(context, zone),
        ("GET", ["products", "volumes"]) => product::volumes(context),

        ("GET", ["servers"]) => server::list(context, zone),
        ("POST", ["servers"]) => create::create(context, zone),
        ("GET", ["servers", id]) => server::get(context, zone, id),
        ("PATCH", ["servers", id]) => server::update(context, zone, id),
        ("DELETE", ["servers", id]) => server::delete(context, zone, id),
        ("GET", ["servers", id, "action"]) => action::list(context, zone, id),
        ("POST", ["servers", id, "action"]) => action::act(context, zone, id),
        ("GET", ["servers", id, "compatible-types"]) => product::compatible(context, zone, id),
        ("POST", ["servers", id, "attach-volume"]) => volume::attach(context, zone, id),
        ("POST", ["servers", id, "detach-volume"]) => volume::detach(context, zone, id),
        ("GET", ["servers", id, "user_data"]) => user_data::list(context, zone, id),
        ("GET", ["servers", id, "user_data", key]) => user_data::get(context, zone, id, key),
        ("PATCH", ["servers", id, "user_data", key]) => user_data::set(context, zone, id, key),
        ("DELETE", ["servers", id, "user_data", key]) => user_data::delete(context, zone, id, key),
        ("GET", ["servers", id, "private_nics"]) => server::no_nics(context, zone, id),
        ("GET", ["dashboard"]) => product::dashboard(context, zone),

        ("GET", ["volumes"]) => volume::list(context, zone),
        ("POST", ["volumes"]) => volume::create(context, zone),
        ("GET", ["volumes", id]) => volume::get(context, zone, id),
        ("PATCH", ["volumes", id]) => volume::update(context, zone, id),
        ("DELETE", ["volumes", id]) => volume::delete(context, zone, id),
        ("GET", ["snapshots"]) => volume::list_snapshots(context, zone),
        ("GET", ["snapshots", id]) => volume::get_snapshot(context, zone, id),
        ("DELETE", ["snapshots", id]) => volume::delete_snapshot(context, zone, id),
        ("GET", ["images"]) => volume::list_images(context, zone),
        ("GET", ["images", id]) => volume::get_image(context, zone, id),
        ("DELETE", ["images", id]) => volume::delete_image(context, zone, id),

        ("GET", ["ips"]) => ip::list(context, zone),
        ("POST", ["ips"]) => ip::create(context, zone),
        ("GET", ["ips", id]) => ip::get(context, zone, id),
        ("PATCH", ["ips", id]) => ip::update(context, zone, id),
        ("DELETE", ["ips", id]) => ip::delete(context, zone, id),

        ("GET", ["security_groups"]) => group::list(context, zone),
        ("POST", ["security_groups"]) => group::create(context, zone),
        ("GET", ["security_groups", "default", "rules"]) => group::default_rules(context),
        ("GET", ["security_groups", id]) => group::get(context, zone, id),
        ("PATCH", ["security_groups", id]) => group::update(context, zone, id),
        ("DELETE", ["security_groups", id]) => group::delete(context, zone, id),
        ("GET", ["security_groups", id, "rules"]) => group::rules(context, zone, id),
        ("POST", ["security_groups", id, "rules"]) => group::add_rule(context, zone, id),
        ("PUT", ["security_groups", id, "rules"]) => group::set_rules(context, zone, id),
        ("GET", ["security_groups", id, "rules", rule]) => group::get_rule(context, zone, id, rule),
        ("DELETE", ["security_groups", id, "rules", rule]) => group::delete_rule(context, zone, id, rule),
        ("GET", ["placement_groups"]) => super::page::instance(context.request, "placement_groups", Vec::new()),
        _ => Err(Failure::no_route()),
    }
}
