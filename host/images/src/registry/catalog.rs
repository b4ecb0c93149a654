//! Lists: the repositories that the sender may see, and the tags of one.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use coracle_api::module::Module;
use http::header;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde::Deserialize;
use serde_json::json;

use super::repository::Repository;
use super::{Caller, Registry, RegistryError};
use crate::module;

/// Entries of one answer.
const PAGE: usize = 1000;

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// How many are wanted.
    n: Option<usize>,
    /// The last one of the page before.
    last: Option<String>,
}

impl Page {
    /// The entries of this page of the sorted whole, and the address of the next page.
    fn of(&self, mut all: Vec<String>, path: &str) -> (Vec<String>, Option<String>) {
        all.sort();
        if let Some(last) = &self.last {
            all.retain(|entry| entry > last);
        }
        let size = self.n.unwrap_or(PAGE).min(PAGE);
        let more = all.len() > size;
        all.truncate(size);
        let next = all.last().filter(|_| more);
        let next = next.map(|last| format!("<{path}?n={size}&last={last}>; rel=\"next\""));
        (all, next)
    }
}

pub(super) async fn repositories(
    Caller(client): Caller,
    Query(page): Query<Page>,
    State(_): State<Registry>,
) -> Result<Response, RegistryError> {
    let list = Api::<Module>::all(client).list(&ListParams::default()).await.map_err(Box::new)?;
    let name = |module: &Module| {
        format!("{}/{}", module.namespace().unwrap_or_default(), module.name_any())
    };
    let (repositories, next) = page.of(list.items.iter().map(name).collect(), "/v2/_catalog");
    Ok(answer(&json!({ "repositories": repositories }), next))
}

pub(super) async fn tags(
    Caller(client): Caller,
    repository: Repository,
    Query(page): Query<Page>,
    State(_): State<Registry>,
) -> Result<Response, RegistryError> {
    let found = module::find(&client, &repository.namespace, &repository.name).await?;
    let module = found.ok_or_else(|| RegistryError::name_unknown(&repository))?;
    let tags = module.spec.tags.into_iter().map(|tag| tag.name).collect();
    let (tags, next) = page.of(tags, &format!("/v2/{repository}/tags/list"));
    Ok(answer(&json!({ "name": repository.to_string(), "tags": tags }), next))
}

fn answer(body: &serde_json::Value, next: Option<String>) -> Response {
    let link = next.map(|next| [(header::LINK, next)]);
    (link.map_or_else(|| Json(body).into_response(), |link| (link, Json(body)).into_response()))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another() {
        let all = || ["c", "a", "b"].map(str::to_owned).to_vec();
        let first = Page { n: Some(2), last: None }.of(all(), "/p");
        assert_eq!(first.0, ["a", "b"]);
        assert_eq!(first.1.unwrap(), "</p?n=2&last=b>; rel=\"next\"");
        let second = Page { n: Some(2), last: Some("b".to_owned()) }.of(all(), "/p");
        assert_eq!(second, (vec!["c".to_owned()], None));
        assert_eq!(Page { n: Some(0), last: None }.of(all(), "/p"), (Vec::new(), None));
    }
}
