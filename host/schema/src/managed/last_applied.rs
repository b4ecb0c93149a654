//! The annotation in which `kubectl apply` keeps what it applied, where it merges by itself; and
//! the way from that to server-side apply.

use super::Rules;
use crate::fieldset::FieldSet;
use crate::tree::{Map, Tree};
use crate::typed::compare;

/// Who changes from the one to the other.
pub(super) const OWNER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes that all annotations of an object may have together.
const LIMIT: usize = 256 * 1024;

/// The fields that the annotation shows to be kubectl's: those that still are as it applied them.
pub(super) fn allowed(live: &Tree<'_>, rules: &Rules<'_>) -> Option<FieldSet<'static>> {
    let text = live.at(&["metadata", "annotations", ANNOTATION])?.as_str()?;
    let last = Tree::parse(text.as_bytes()).ok()?.into_owned();
    if last.at(&["apiVersion"])?.as_str()? != rules.api_version {
        return None;
    }
    let fields = rules.valid_fields(&last)?;
    let live = live.clone().into_owned();
    let changed = compare(&last, &live, rules.schema);
    let fields = fields.difference(&changed.modified).difference(&changed.added);
    Some(fields.difference(&changed.removed))
}

/// Keeps the annotation true where there is one.
pub(super) fn keep(value: &mut Tree<'_>, config: &Tree<'_>) {
    let annotations = value
        .as_map_mut()
        .and_then(|object| object.get_mut("metadata")?.as_map_mut())
        .and_then(|metadata| metadata.get_mut("annotations")?.as_map_mut());
    let Some(annotations) = annotations else { return };
    if annotations.get(ANNOTATION).and_then(Tree::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    let own = config
        .as_map_mut()
        .and_then(|object| object.get_mut("metadata")?.as_map_mut())
        .and_then(|metadata| metadata.get_mut("annotations")?.as_map_mut());
    if let Some(own) = own {
        own.remove(ANNOTATION);
    }
    // A tree cannot fail to be written.
    let mut text = serde_json::to_string(&config).unwrap_or_default();
    text.push('\n');
    annotations.insert(ANNOTATION.into(), Tree::Text(text.into()));
    if size(annotations) > LIMIT {
        annotations.remove(ANNOTATION);
    }
}

fn size(annotations: &Map<'_>) -> usize {
    annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
}
