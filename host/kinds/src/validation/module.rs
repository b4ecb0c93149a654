//! Modules: names and tags as the OCI distribution specification has them.

use std::collections::HashSet;

use coracle_api::cause::Cause;
use coracle_api::module::Module;

use super::number;

/// The faults of a Module.
pub(crate) fn module(module: &Module) -> Vec<Cause> {
    let mut faults = vec![];
    let mut names = HashSet::new();
    for (at, tag) in module.spec.tags.iter().enumerate() {
        let path = format!("spec.tags[{at}]");
        let of_name = format!("{path}.name");
        if !is_tag(&tag.name) {
            let detail = "a tag must consist of up to 128 alphanumeric characters, '-', '_' or '.', and must not start with '-' or '.'";
            faults.push(Cause::invalid(of_name, tag.name.as_str(), detail));
        } else if !names.insert(&tag.name) {
            faults.push(Cause::duplicate(of_name, tag.name.as_str()));
        }
        for (field, digest) in [("digest", &tag.digest), ("manifest", &tag.manifest)] {
            if !is_digest(digest) {
                let detail = "must be 'sha256:' and 64 lower case hexadecimal digits";
                faults.push(Cause::invalid(format!("{path}.{field}"), digest.as_str(), detail));
            }
        }
        faults.extend(number::not_negative(&format!("{path}.size"), Some(tag.size)));
    }
    faults
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || byte == b'-' || byte == b'.')
}

fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use serde_json::json;

    #[test]
    fn tags() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let tag = |name: &str, digest: &str| json!({"name": name, "digest": digest, "manifest": digest, "size": 1, "form": "Command"});
        let of = |tags: serde_json::Value| -> Module {
            object(json!({"apiVersion": "coracle.dev/v1", "kind": "Module",
                "metadata": {"name": "m"}, "spec": {"tags": tags}}))
        };
        assert_eq!(module(&of(json!([tag("v1.0", &digest), tag("latest", &digest)]))), []);
        let bad = of(json!([tag("a", &digest), tag("a", &digest), tag(".b", "sha256:1")]));
        let found = lines(module(&bad));
        assert_eq!(found[0], "spec.tags[1].name: Duplicate value: \"a\"");
        assert!(found[1].starts_with("spec.tags[2].name: Invalid value: \".b\""));
        assert_eq!(found.len(), 4);
    }
}
