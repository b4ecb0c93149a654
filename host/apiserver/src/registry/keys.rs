//! `/registry/<group>/<resource>/<namespace>/<name>`, without the namespace for cluster-scoped
//! kinds; the core group is spelled `core`.

use super::ApiResource;

/// What every key of the kind, or of the kind in one namespace, begins with.
pub(crate) fn prefix(names: &ApiResource, namespace: &str) -> String {
    let group = if names.group.is_empty() { "core" } else { &names.group };
    let plural = &names.plural;
    if namespace.is_empty() {
        format!("/registry/{group}/{plural}/")
    } else {
        format!("/registry/{group}/{plural}/{namespace}/")
    }
}

/// The key of one object.
pub(crate) fn key(names: &ApiResource, namespace: &str, name: &str) -> String {
    let mut key = prefix(names, namespace);
    key.push_str(name);
    key
}

/// Namespace (empty for cluster-scoped kinds) and name in a key.
pub(crate) fn split(key: &str) -> (&str, &str) {
    let mut parts = key.splitn(6, '/').skip(4);
    match (parts.next(), parts.next()) {
        (Some(namespace), Some(name)) => (namespace, name),
        (Some(name), None) => ("", name),
        _ => ("", key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_as_they_were_made() {
        assert_eq!(split("/registry/core/pods/default/a"), ("default", "a"));
        assert_eq!(split("/registry/core/nodes/a"), ("", "a"));
    }
}
