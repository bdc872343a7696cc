//! Security groups and their rules (facts/cloud.md §1.9).

use serde::Deserialize;
use serde_json::{Value, json};

use super::view;
use crate::scaleway::api::reply::{Failure, Reply};
use crate::scaleway::api::{Context, page};
use crate::scaleway::world::{Group, GroupRule, Product, World};

fn find<'a>(context: &'a Context<'_>, zone: &str, id: &str, write: bool) -> Result<&'a Group, Failure> {
    let group = context.world.groups.get(id).filter(|group| group.zone == zone);
    let group = group.ok_or_else(|| Failure::unknown_resource("Security Group", id))?;
    context.require(Product::Instances, write, Some(&group.project))?;
    Ok(group)
}

pub(super) fn list(context: &Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let tags = request.list("tags");
    let groups = world
        .groups
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|group| {
            group.zone == zone
                && request
                    .parameter("project")
                    .is_none_or(|project| group.project == project)
                && request.parameter("name").is_none_or(|name| group.name.contains(name))
                && request
                    .parameter("project_default")
                    .is_none_or(|wanted| group.project_default == (wanted == "true"))
                && tags.iter().all(|tag| group.tags.iter().any(|has| has == tag))
                && world.may(context.caller, Product::Instances, false, Some(&group.project))
        });
    page::instance(
        request,
        "security_groups",
        groups.map(|group| view::group(world, group)).collect(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: Option<String>,
    description: Option<String>,
    organization: Option<String>,
    project: Option<String>,
    tags: Option<Vec<String>>,
    #[expect(dead_code, reason = "an older name of project_default")]
    organization_default: Option<bool>,
    project_default: Option<bool>,
    stateful: Option<bool>,
    inbound_default_policy: Option<String>,
    outbound_default_policy: Option<String>,
    enable_default_security: Option<bool>,
}

impl Settings {
    fn check(&self) -> Result<(), Failure> {
        for (name, policy) in [
            ("inbound_default_policy", &self.inbound_default_policy),
            ("outbound_default_policy", &self.outbound_default_policy),
        ] {
            if policy
                .as_ref()
                .is_some_and(|policy| policy != "accept" && policy != "drop")
            {
                return Err(Failure::argument(name, "constraint", "must be accept or drop"));
            }
        }
        Ok(())
    }
}

pub(super) fn create(context: &mut Context<'_>, zone: &str) -> Result<Reply, Failure> {
    let body: Settings = context.request.fields(&["name"])?;
    body.check()?;
    let project = context.project(Product::Instances, body.project, body.organization)?;
    let world = &mut *context.world;
    let group = Group {
        id: world.random.uuid(),
        life: world.life(),
        zone: zone.to_owned(),
        project,
        name: body.name.unwrap_or_default(),
        description: body.description.unwrap_or_default(),
        tags: body.tags.unwrap_or_default(),
        stateful: body.stateful.unwrap_or(true),
        inbound: body.inbound_default_policy.unwrap_or_else(|| "accept".to_owned()),
        outbound: body.outbound_default_policy.unwrap_or_else(|| "accept".to_owned()),
        default_security: body.enable_default_security.unwrap_or(true),
        project_default: body.project_default.unwrap_or(false),
        rules: Vec::new(),
    };
    let id = group.id.clone();
    world.groups.add(group);
    let location = format!("/instance/v1/zones/{zone}/security_groups/{id}");
    Ok(Reply::created(body_of(context.world, &id), location))
}

fn body_of(world: &World, id: &str) -> Value {
    json!({"security_group": world.groups.get(id).map(|group| view::group(world, group))})
}

pub(super) fn get(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, false)?;
    Ok(Reply::json(body_of(context.world, id)))
}

pub(super) fn update(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    let body: Settings = context.request.fields(&[])?;
    body.check()?;
    let now = context.world.now();
    if let Some(group) = context.world.groups.touch(id, now) {
        let set = |place: &mut String, value: Option<String>| {
            if let Some(value) = value {
                *place = value;
            }
        };
        set(&mut group.name, body.name);
        set(&mut group.description, body.description);
        set(&mut group.inbound, body.inbound_default_policy);
        set(&mut group.outbound, body.outbound_default_policy);
        group.tags = body.tags.unwrap_or_else(|| group.tags.clone());
        group.stateful = body.stateful.unwrap_or(group.stateful);
        group.project_default = body.project_default.unwrap_or(group.project_default);
    }
    get(context, zone, id)
}

pub(super) fn delete(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    if context.world.servers.iter().any(|server| server.group == id) {
        return Err(Failure::invalid_request("group is in use. you cannot delete it."));
    }
    let now = context.world.now();
    context.world.groups.remove(id, now);
    Ok(Reply::nothing())
}

pub(super) fn default_rules(context: &Context<'_>) -> Result<Reply, Failure> {
    page::instance(context.request, "rules", Vec::new())
}

pub(super) fn rules(context: &Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    let group = find(context, zone, id, false)?;
    page::instance(context.request, "rules", rules_of(group))
}

fn rules_of(group: &Group) -> Vec<Value> {
    group
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| view::rule(group, rule, at))
        .collect()
}

pub(super) fn get_rule(context: &Context<'_>, zone: &str, id: &str, rule: &str) -> Result<Reply, Failure> {
    let group = find(context, zone, id, false)?;
    let found = group.rules.iter().position(|found| found.id == rule);
    match found.and_then(|at| Some(view::rule(group, group.rules.get(at)?, at))) {
        Some(rule) => Ok(Reply::json(json!({ "rule": rule }))),
        None => Err(Failure::not_found("instance_security_group_rule", rule)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    #[expect(dead_code, reason = "rules get ids of their own when all are set")]
    id: Option<String>,
    protocol: Option<String>,
    direction: Option<String>,
    action: Option<String>,
    ip_range: Option<String>,
    dest_port_from: Option<u16>,
    dest_port_to: Option<u16>,
    #[expect(dead_code, reason = "they stand in the order in which they came")]
    position: Option<u32>,
    #[expect(dead_code, reason = "all of them are")]
    editable: Option<bool>,
    #[expect(dead_code, reason = "the group's")]
    zone: Option<String>,
}

impl NewRule {
    fn into_rule(self, world: &mut World) -> Result<GroupRule, Failure> {
        let one_of = |name: &str, value: Option<String>, allowed: &[&str]| match value {
            Some(value) if allowed.contains(&value.as_str()) => Ok(value),
            Some(_) => Err(Failure::argument(
                name,
                "constraint",
                &format!("must be one of {}", allowed.join(", ")),
            )),
            None => Err(Failure::argument(name, "required", "required key not provided")),
        };
        let ip_range = self.ip_range.unwrap_or_else(|| "0.0.0.0/0".to_owned());
        let address = ip_range.split('/').next().unwrap_or_default();
        if address.parse::<std::net::IpAddr>().is_err() {
            return Err(Failure::argument(
                "ip_range",
                "format",
                &format!("{ip_range} is not a range of addresses"),
            ));
        }
        Ok(GroupRule {
            id: world.random.uuid(),
            protocol: one_of("protocol", self.protocol, &["TCP", "UDP", "ICMP", "ANY"])?,
            direction: one_of("direction", self.direction, &["inbound", "outbound"])?,
            action: one_of("action", self.action, &["accept", "drop"])?,
            ip_range,
            from: self.dest_port_from,
            to: self.dest_port_to,
        })
    }
}

pub(super) fn add_rule(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    let body: NewRule = context.request.fields(&["protocol", "direction", "action"])?;
    let rule = body.into_rule(context.world)?;
    let rule_id = rule.id.clone();
    let now = context.world.now();
    let Some(group) = context.world.groups.touch(id, now) else {
        return Err(Failure::unknown_resource("Security Group", id));
    };
    group.rules.push(rule);
    let value = rules_of(group).pop();
    let location = format!("/instance/v1/zones/{zone}/security_groups/{id}/rules/{rule_id}");
    Ok(Reply::created(json!({ "rule": value }), location))
}

pub(super) fn set_rules(context: &mut Context<'_>, zone: &str, id: &str) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct All {
        rules: Vec<NewRule>,
    }
    find(context, zone, id, true)?;
    let body: All = context.request.fields(&["rules"])?;
    let rules = body
        .rules
        .into_iter()
        .map(|rule| rule.into_rule(context.world))
        .collect::<Result<_, _>>()?;
    let now = context.world.now();
    if let Some(group) = context.world.groups.touch(id, now) {
        group.rules = rules;
    }
    let group = find(context, zone, id, false)?;
    Ok(Reply::json(json!({"rules": rules_of(group)})))
}

pub(super) fn delete_rule(context: &mut Context<'_>, zone: &str, id: &str, rule: &str) -> Result<Reply, Failure> {
    find(context, zone, id, true)?;
    get_rule(context, zone, id, rule)?;
    let now = context.world.now();
    if let Some(group) = context.world.groups.touch(id, now) {
        group.rules.retain(|found| found.id != rule);
    }
    Ok(Reply::nothing())
}
