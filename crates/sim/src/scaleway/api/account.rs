//! `/account/v3/projects`, for reading.

use serde_json::{Value, json};

use super::reply::{Failure, Reply};
use super::{Context, page};
use crate::scaleway::clock::api_time;
use crate::scaleway::world::{Product, Project};

pub(super) fn answer(context: &Context<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    context.require(Product::Projects, context.request.method != "GET", None)?;
    match (context.request.method.as_str(), rest) {
        ("GET", ["projects"]) => {
            let projects = context.world.projects.iter();
            let projects = projects.filter(|project| {
                context
                    .world
                    .may(context.caller, Product::Projects, false, Some(&project.id))
                    && context
                        .request
                        .parameter("name")
                        .is_none_or(|name| project.name == name)
            });
            page::api(
                context.request,
                "projects",
                projects.map(|project| view(context, project)).collect(),
            )
        }
        ("GET", ["projects", id]) => match context.world.project(id) {
            Some(project) => {
                context.require(Product::Projects, false, Some(id))?;
                Ok(Reply::json(view(context, project)))
            }
            None => Err(Failure::not_found("project", id)),
        },
        _ => Err(Failure::no_route()),
    }
}

fn view(context: &Context<'_>, project: &Project) -> Value {
    let now = api_time(context.world.now());
    json!({"id": project.id, "name": project.name, "organization_id": context.world.organization, "description": "",
        "created_at": now, "updated_at": now})
}
