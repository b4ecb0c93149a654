//! Role-based access control: `plugin/pkg/auth/authorizer/rbac`. Purely additive: whatever one
//! rule of one binding allows is allowed.

pub(crate) mod cover;
mod index;
pub(crate) mod rule;
#[cfg(test)]
mod tests;

use super::{Attributes, Decision, Granted};

pub(crate) use index::{Grant, Index};

/// What the roles and bindings say to a question.
pub(crate) fn authorize(index: &Index, asked: &Attributes<'_>) -> Decision {
    let namespace = asked.resource.as_ref().map_or("", |resource| resource.namespace);
    let mut granted = None;
    let mut errors: Vec<String> = vec![];
    index.visit(asked.identity, namespace, |grant, rule| {
        match rule {
            Ok(rule) if rule::allows(rule, asked) => granted = Some(grant.clone()),
            Ok(_) => {}
            Err(unresolved) => {
                let error = unresolved.to_string();
                if !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
        granted.is_none()
    });
    match granted {
        Some(grant) => Decision::Allow(Granted::Binding(grant)),
        None => Decision::Refuse(match errors.as_slice() {
            [] => String::new(),
            [only] => format!("RBAC: {only}"),
            several => format!("RBAC: [{}]", several.join(", ")),
        }),
    }
}
