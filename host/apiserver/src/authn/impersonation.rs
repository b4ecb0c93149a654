//! Acting as somebody else: `Impersonate-*` headers, each of which the caller must be allowed
//! (`k8s.io/apiserver/pkg/endpoints/filters/impersonation`).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::{AUTHENTICATED, Identity, SERVICE_ACCOUNT, UNAUTHENTICATED, service_account_groups};
use crate::authz::{Attributes, Decision, ResourceAttributes};
use crate::error::{ApiError, Result};
use crate::server::Server;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const ANONYMOUS: &str = "system:anonymous";

/// Whom the caller acts as.
pub(crate) async fn act(
    server: &Server,
    caller: Arc<Identity>,
    headers: &mut HeaderMap,
) -> Result<Arc<Identity>> {
    if !headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
        return Ok(caller);
    }
    let asked = read(headers)?;
    allowed(server, &caller, &asked).await?;
    let names: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    Ok(Arc::new(completed(asked)))
}

fn read(headers: &HeaderMap) -> Result<Identity> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let groups = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok());
    let groups: Vec<String> = groups.map(str::to_owned).collect();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA)
            && let Ok(value) = value.to_str()
        {
            let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
            extra.entry(key).or_default().push(value.to_owned());
        }
    }
    let asked =
        Identity { name: text(USER), uid: text(UID), groups, extra: extra.into_iter().collect() };
    if asked.name.is_empty() {
        let groups = &asked.groups;
        let message = format!("requested {groups:?} without impersonating a user");
        return Err(ApiError::bad_request(message));
    }
    Ok(asked)
}

/// Namespace and name in a service account's user name.
fn account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

async fn allowed(server: &Server, caller: &Identity, asked: &Identity) -> Result<()> {
    let mut wanted = vec![];
    let named = |group, resource, name| ResourceAttributes {
        group,
        resource,
        name,
        ..ResourceAttributes::default()
    };
    wanted.push(match account(&asked.name) {
        Some((namespace, name)) => {
            ResourceAttributes { namespace, ..named("", "serviceaccounts", name) }
        }
        None => named("", "users", &asked.name),
    });
    wanted.extend(asked.groups.iter().map(|group| named("", "groups", group)));
    if !asked.uid.is_empty() {
        wanted.push(named("authentication.k8s.io", "uids", &asked.uid));
    }
    for (key, values) in &asked.extra {
        wanted.extend(values.iter().map(|value| ResourceAttributes {
            subresource: key,
            ..named("authentication.k8s.io", "userextras", value)
        }));
    }
    for resource in wanted {
        let question =
            Attributes { verb: "impersonate", resource: Some(resource), ..Attributes::of(caller) };
        if let Decision::Refuse(reason) =
            server.authorizer.authorize(&*server.store, &question).await?
        {
            return Err(question.forbidden(&reason));
        }
    }
    Ok(())
}

/// Whoever is impersonated is in the groups that he would be in.
fn completed(mut asked: Identity) -> Identity {
    if asked.groups.is_empty()
        && let Some((namespace, _)) = account(&asked.name)
    {
        asked.groups = service_account_groups(namespace);
    }
    let group = if asked.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !asked.is_in(AUTHENTICATED) && !asked.is_in(UNAUTHENTICATED) {
        asked.groups.push(group.into());
    }
    asked
}
