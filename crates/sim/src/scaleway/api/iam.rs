//! `/iam/v1alpha1`: SSH keys, API keys, applications and their policies (facts/cloud.md §1.10, §1.13).

use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Failure, Reply};
use super::{Context, page};
use crate::scaleway::clock::{api_time, parse};
use crate::scaleway::world::{ApiKey, Application, Condition, Owner, Policy, PolicyRule, Product, SshKey, World};

pub(super) fn answer(context: &mut Context<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    let method = context.request.method.as_str();
    let product = match rest.first() {
        Some(&"ssh-keys") => Product::SshKeys,
        _ => Product::Iam,
    };
    context.require(product, method != "GET", None)?;
    match (method, rest) {
        ("GET", ["ssh-keys"]) => list_ssh_keys(context),
        ("POST", ["ssh-keys"]) => create_ssh_key(context),
        ("GET", ["ssh-keys", id]) => ssh_key(context, id).map(|key| Reply::json(view_ssh_key(context.world, key))),
        ("PATCH", ["ssh-keys", id]) => update_ssh_key(context, id),
        ("DELETE", ["ssh-keys", id]) => {
            ssh_key(context, id)?;
            let now = context.world.now();
            context.world.ssh_keys.remove(id, now);
            Ok(Reply::nothing())
        }

        ("GET", ["api-keys"]) => list_api_keys(context),
        ("POST", ["api-keys"]) => create_api_key(context),
        ("GET", ["api-keys", id]) => match context.world.api_keys.get(id) {
            Some(key) => Ok(Reply::json(view_api_key(key, false))),
            None => Err(Failure::not_found("api_key", id)),
        },
        ("DELETE", ["api-keys", id]) => {
            let now = context.world.now();
            context
                .world
                .api_keys
                .get(id)
                .ok_or_else(|| Failure::not_found("api_key", id))?;
            context.world.api_keys.remove(id, now);
            Ok(Reply::nothing())
        }

        ("GET", ["applications"]) => list_applications(context),
        ("POST", ["applications"]) => create_application(context),
        ("GET", ["applications", id]) => match context.world.applications.get(id) {
            Some(found) => Ok(Reply::json(view_application(context.world, found))),
            None => Err(Failure::not_found("application", id)),
        },
        ("DELETE", ["applications", id]) => delete_application(context, id),

        ("GET", ["policies"]) => list_policies(context),
        ("POST", ["policies"]) => create_policy(context),
        ("GET", ["policies", id]) => match context.world.policies.get(id) {
            Some(found) => Ok(Reply::json(view_policy(context.world, found))),
            None => Err(Failure::not_found("policy", id)),
        },
        ("DELETE", ["policies", id]) => {
            let now = context.world.now();
            context
                .world
                .policies
                .get(id)
                .ok_or_else(|| Failure::not_found("policy", id))?;
            context.world.policies.remove(id, now);
            Ok(Reply::nothing())
        }
        ("GET", ["rules"]) => list_rules(context),
        ("GET", ["permission-sets"]) => {
            let sets = World::permission_sets();
            let sets = sets.into_iter().map(|name| {
                json!({"id": name, "name": name, "scope_type": "projects",
                "description": "", "categories": []})
            });
            page::api(context.request, "permission_sets", sets.collect())
        }
        _ => Err(Failure::no_route()),
    }
}

fn ssh_key<'a>(context: &'a Context<'_>, id: &str) -> Result<&'a SshKey, Failure> {
    let key = context
        .world
        .ssh_keys
        .get(id)
        .ok_or_else(|| Failure::not_found("ssh_key", id))?;
    context.require(Product::SshKeys, context.request.method != "GET", Some(&key.project))?;
    Ok(key)
}

fn view_ssh_key(world: &World, key: &SshKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "public_key": key.public_key,
        "fingerprint": "",
        "created_at": api_time(key.life.created),
        "updated_at": api_time(key.life.modified),
        "organization_id": world.organization,
        "project_id": key.project,
        "disabled": key.disabled,
    })
}

fn list_ssh_keys(context: &Context<'_>) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let keys = world
        .ssh_keys
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|key| {
            request
                .parameter("project_id")
                .is_none_or(|project| key.project == project)
                && request.parameter("name").is_none_or(|name| key.name.contains(name))
                && world.may(context.caller, Product::SshKeys, false, Some(&key.project))
        });
    page::api(request, "ssh_keys", keys.map(|key| view_ssh_key(world, key)).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateSshKey {
    name: Option<String>,
    public_key: String,
    project_id: Option<String>,
}

fn create_ssh_key(context: &mut Context<'_>) -> Result<Reply, Failure> {
    let body: CreateSshKey = context.request.fields(&["public_key"])?;
    let project = context.project(Product::SshKeys, body.project_id, None)?;
    let parts: Vec<&str> = body.public_key.split_whitespace().collect();
    let is_key = matches!(parts[..], [kind, blob, ..] if (kind.starts_with("ssh-") || kind.starts_with("ecdsa-"))
        && blob.starts_with("AAAA"));
    if !is_key {
        return Err(Failure::argument("public_key", "format", "not a public SSH key"));
    }
    let world = &mut *context.world;
    if world
        .ssh_keys
        .iter()
        .any(|key| key.project == project && key.public_key == body.public_key)
    {
        return Err(Failure::argument(
            "public_key",
            "constraint",
            "the key is there already",
        ));
    }
    let key = SshKey {
        id: world.random.uuid(),
        life: world.life(),
        project,
        name: body.name.unwrap_or_default(),
        public_key: body.public_key,
        disabled: false,
    };
    let value = view_ssh_key(world, &key);
    world.ssh_keys.add(key);
    Ok(Reply::json(value))
}

fn update_ssh_key(context: &mut Context<'_>, id: &str) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Update {
        name: Option<String>,
        disabled: Option<bool>,
    }
    ssh_key(context, id)?;
    let body: Update = context.request.fields(&[])?;
    let now = context.world.now();
    if let Some(key) = context.world.ssh_keys.touch(id, now) {
        key.name = body.name.unwrap_or_else(|| key.name.clone());
        key.disabled = body.disabled.unwrap_or(key.disabled);
    }
    ssh_key(context, id).map(|key| Reply::json(view_ssh_key(context.world, key)))
}

/// The secret is shown once, to whoever made the key.
fn view_api_key(key: &ApiKey, with_secret: bool) -> Value {
    let (user, application) = match &key.owner {
        Owner::User(id) => (Some(id), None),
        Owner::Application(id) => (None, Some(id)),
    };
    json!({
        "access_key": key.id,
        "secret_key": with_secret.then_some(&key.secret),
        "application_id": application,
        "user_id": user,
        "description": key.description,
        "created_at": api_time(key.life.created),
        "updated_at": api_time(key.life.modified),
        "expires_at": key.expires.map(api_time),
        "default_project_id": key.default_project,
        "editable": true,
        "deletable": true,
        "managed": false,
        "creation_ip": "127.0.0.1",
    })
}

fn list_api_keys(context: &Context<'_>) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let keys = world
        .api_keys
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|key| {
            let application = match &key.owner {
                Owner::Application(id) => Some(id.as_str()),
                Owner::User(_) => None,
            };
            request
                .parameter("application_id")
                .is_none_or(|wanted| application == Some(wanted))
                && request
                    .parameter("bearer_id")
                    .is_none_or(|wanted| application == Some(wanted))
                && request.parameter("access_key").is_none_or(|wanted| key.id == wanted)
                && request
                    .parameter("description")
                    .is_none_or(|wanted| key.description.contains(wanted))
        });
    page::api(request, "api_keys", keys.map(|key| view_api_key(key, false)).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateApiKey {
    application_id: Option<String>,
    user_id: Option<String>,
    expires_at: Option<String>,
    default_project_id: Option<String>,
    description: Option<String>,
}

fn create_api_key(context: &mut Context<'_>) -> Result<Reply, Failure> {
    let body: CreateApiKey = context.request.fields(&[])?;
    let owner = match (body.application_id, body.user_id) {
        (Some(id), None) if context.world.applications.get(&id).is_some() => Owner::Application(id),
        (Some(id), None) => return Err(Failure::not_found("application", &id)),
        (None, Some(id)) if context.caller.owner == Owner::User(id.clone()) => Owner::User(id),
        (None, Some(id)) => return Err(Failure::not_found("user", &id)),
        _ => {
            return Err(Failure::argument(
                "bearer",
                "required",
                "one of application_id and user_id",
            ));
        }
    };
    let expires = match body.expires_at {
        None => None,
        Some(text) => match parse(&text) {
            Some(at) if at > context.world.now() => Some(at),
            Some(_) => return Err(Failure::argument("expires_at", "constraint", "must be in the future")),
            None => return Err(Failure::argument("expires_at", "format", "not a moment")),
        },
    };
    let world = &mut *context.world;
    let mut key = world.new_api_key(owner, &body.description.unwrap_or_default(), expires);
    if let Some(project) = body.default_project_id {
        world
            .project(&project)
            .ok_or_else(|| Failure::not_found("project", &project))?;
        key.default_project = project;
    }
    let value = view_api_key(&key, true);
    world.api_keys.add(key);
    Ok(Reply::json(value))
}

fn view_application(world: &World, found: &Application) -> Value {
    let keys = world
        .api_keys
        .iter()
        .filter(|key| key.owner == Owner::Application(found.id.clone()))
        .count();
    json!({
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "created_at": api_time(found.life.created),
        "updated_at": api_time(found.life.modified),
        "organization_id": world.organization,
        "editable": true,
        "deletable": true,
        "managed": false,
        "nb_api_keys": keys,
        "tags": found.tags,
    })
}

fn list_applications(context: &Context<'_>) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let tag = request.parameter("tag");
    let found = world
        .applications
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|found| {
            request.parameter("name").is_none_or(|name| found.name.contains(name))
                && tag.is_none_or(|tag| found.tags.iter().any(|has| has == tag))
        });
    page::api(
        request,
        "applications",
        found.map(|found| view_application(world, found)).collect(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateApplication {
    name: Option<String>,
    organization_id: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
}

fn of_this_organization(world: &World, id: Option<&String>) -> Result<(), Failure> {
    match id.is_none_or(|id| *id == world.organization) {
        true => Ok(()),
        false => Err(Failure::denied("iam", "write")),
    }
}

fn create_application(context: &mut Context<'_>) -> Result<Reply, Failure> {
    let body: CreateApplication = context.request.fields(&[])?;
    let world = &mut *context.world;
    of_this_organization(world, body.organization_id.as_ref())?;
    let name = body.name.unwrap_or_else(|| format!("app-{}", world.random.hex(8)));
    if world.applications.iter().any(|found| found.name == name) {
        return Err(Failure::argument(
            "name",
            "constraint",
            "an application of that name exists",
        ));
    }
    let found = Application {
        id: world.random.uuid(),
        life: world.life(),
        name,
        description: body.description.unwrap_or_default(),
        tags: body.tags.unwrap_or_default(),
    };
    let value = view_application(world, &found);
    world.applications.add(found);
    Ok(Reply::json(value))
}

/// Its keys go with it; its policies stay, without anybody they are for.
fn delete_application(context: &mut Context<'_>, id: &str) -> Result<Reply, Failure> {
    let world = &mut *context.world;
    world
        .applications
        .get(id)
        .ok_or_else(|| Failure::not_found("application", id))?;
    let now = world.now();
    let owner = Owner::Application(id.to_owned());
    let keys: Vec<String> = world
        .api_keys
        .iter()
        .filter(|key| key.owner == owner)
        .map(|key| key.id.clone())
        .collect();
    for key in keys {
        world.api_keys.remove(&key, now);
    }
    for policy in world.policies.iter_mut() {
        if policy.application.as_deref() == Some(id) {
            policy.application = None;
        }
    }
    world.applications.remove(id, now);
    Ok(Reply::nothing())
}

fn view_policy(world: &World, policy: &Policy) -> Value {
    let sets: usize = policy.rules.iter().map(|rule| rule.sets.len()).sum();
    json!({
        "id": policy.id,
        "name": policy.name,
        "description": policy.description,
        "organization_id": world.organization,
        "created_at": api_time(policy.life.created),
        "updated_at": api_time(policy.life.modified),
        "editable": true,
        "deletable": true,
        "managed": false,
        "nb_rules": policy.rules.len(),
        "nb_scopes": policy.rules.iter().map(|rule| rule.projects.len().max(1)).sum::<usize>(),
        "nb_permission_sets": sets,
        "tags": policy.tags,
        "application_id": policy.application,
        "no_principal": policy.application.is_none(),
    })
}

fn list_policies(context: &Context<'_>) -> Result<Reply, Failure> {
    let (world, request) = (&*context.world, context.request);
    let (applications, tag) = (request.list("application_ids"), request.parameter("tag"));
    let found = world
        .policies
        .listed(world.now(), world.lag())
        .into_iter()
        .filter(|policy| {
            request
                .parameter("policy_name")
                .is_none_or(|name| policy.name.contains(name))
                && tag.is_none_or(|tag| policy.tags.iter().any(|has| has == tag))
                && (applications.is_empty()
                    || policy
                        .application
                        .as_deref()
                        .is_some_and(|application| applications.contains(&application)))
        });
    page::api(
        request,
        "policies",
        found.map(|policy| view_policy(world, policy)).collect(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreatePolicy {
    name: Option<String>,
    description: Option<String>,
    organization_id: Option<String>,
    rules: Option<Vec<NewRule>>,
    tags: Option<Vec<String>>,
    application_id: Option<String>,
    no_principal: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    permission_set_names: Option<Vec<String>>,
    project_ids: Option<Vec<String>>,
    organization_id: Option<String>,
    condition: Option<String>,
}

fn create_policy(context: &mut Context<'_>) -> Result<Reply, Failure> {
    let body: CreatePolicy = context.request.fields(&[])?;
    let world = &mut *context.world;
    of_this_organization(world, body.organization_id.as_ref())?;
    if let Some(id) = &body.application_id {
        world
            .applications
            .get(id)
            .ok_or_else(|| Failure::not_found("application", id))?;
    } else if body.no_principal != Some(true) {
        return Err(Failure::argument(
            "principal",
            "required",
            "application_id or no_principal",
        ));
    }
    let mut rules = Vec::new();
    for rule in body.rules.unwrap_or_default() {
        rules.push(check_rule(world, rule)?);
    }
    let policy = Policy {
        id: world.random.uuid(),
        life: world.life(),
        name: body.name.unwrap_or_default(),
        description: body.description.unwrap_or_default(),
        tags: body.tags.unwrap_or_default(),
        application: body.application_id,
        rules,
    };
    let value = view_policy(world, &policy);
    world.policies.add(policy);
    Ok(Reply::json(value))
}

fn check_rule(world: &mut World, rule: NewRule) -> Result<PolicyRule, Failure> {
    let (projects, organization) = (rule.project_ids.unwrap_or_default(), rule.organization_id);
    if projects.is_empty() == organization.is_none() {
        return Err(Failure::argument(
            "scope",
            "required",
            "one of project_ids and organization_id",
        ));
    }
    of_this_organization(world, organization.as_ref())?;
    if let Some(project) = projects.iter().find(|project| world.project(project).is_none()) {
        return Err(Failure::not_found("project", project));
    }
    let sets = rule.permission_set_names.unwrap_or_default();
    let known = World::permission_sets();
    if let Some(set) = sets.iter().find(|set| !known.contains(&set.as_str())) {
        return Err(Failure::not_found("permission_set", set));
    }
    let condition = rule.condition.unwrap_or_default();
    if Condition::parse(&condition).is_none() {
        let help = "the simulator understands request.ip and request.time, joined by &&";
        return Err(Failure::argument("condition", "format", help));
    }
    Ok(PolicyRule {
        id: world.random.uuid(),
        sets,
        projects,
        condition,
    })
}

fn list_rules(context: &Context<'_>) -> Result<Reply, Failure> {
    let world = &*context.world;
    let id = context.request.parameter("policy_id").unwrap_or_default();
    let policy = world.policies.get(id).ok_or_else(|| Failure::not_found("policy", id))?;
    let rules = policy.rules.iter().map(|rule| {
        json!({
            "id": rule.id,
            "permission_set_names": rule.sets,
            "permission_sets_scope_type": "projects",
            "project_ids": (!rule.projects.is_empty()).then_some(&rule.projects),
            "organization_id": rule.projects.is_empty().then_some(&world.organization),
            "condition": rule.condition,
        })
    });
    page::api(context.request, "rules", rules.collect())
}
