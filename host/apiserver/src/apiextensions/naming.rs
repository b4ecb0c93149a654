//! Who may have which names, and what follows from that: the conditions `NamesAccepted`,
//! `Established` and `KubernetesAPIApprovalPolicyConformant`.

use std::collections::HashSet;

use coracle_kinds::apiextensions::approval::{Approval, is_protected};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
};

use super::conditions;

/// The names that others of a group have.
#[derive(Default)]
pub(super) struct Taken {
    resources: HashSet<String>,
    kinds: HashSet<String>,
}

impl Taken {
    /// Adds what a definition has been granted.
    pub(super) fn add(&mut self, crd: &CustomResourceDefinition) {
        let accepted = crd.status.as_ref().and_then(|status| status.accepted_names.as_ref());
        let Some(names) = accepted else { return };
        let resources = [Some(&names.plural), names.singular.as_ref()];
        self.resources.extend(resources.into_iter().flatten().cloned());
        self.resources.extend(names.short_names.iter().flatten().cloned());
        self.kinds
            .extend([Some(&names.kind), names.list_kind.as_ref()].into_iter().flatten().cloned());
    }
}

/// A definition as far as names and conditions are concerned.
pub(super) fn without_versions(crd: &CustomResourceDefinition) -> CustomResourceDefinition {
    let spec = CustomResourceDefinitionSpec {
        group: crd.spec.group.clone(),
        names: crd.spec.names.clone(),
        ..CustomResourceDefinitionSpec::default()
    };
    CustomResourceDefinition { metadata: crd.metadata.clone(), spec, status: crd.status.clone() }
}

/// Grants a definition the names that are free, and says how it stands.
pub(super) fn settle(crd: &mut CustomResourceDefinition, taken: &Taken) {
    let wanted = crd.spec.names.clone();
    let status = crd.status.get_or_insert_default();
    let mut granted = status.accepted_names.clone().unwrap_or_default();
    let mut conflict: Option<(&str, String)> = None;
    let free = |wanted: &str, have: &str, taken: &HashSet<String>| {
        wanted == have || !taken.contains(wanted)
    };
    let in_use = |name: &str| format!("{name:?} is already in use");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if free(&wanted.plural, &granted.plural, &taken.resources) {
        granted.plural.clone_from(&wanted.plural);
    } else {
        conflict = Some(("PluralConflict", in_use(&wanted.plural)));
    }
    if free(&text(&wanted.singular), &text(&granted.singular), &taken.resources) {
        granted.singular.clone_from(&wanted.singular);
    } else {
        conflict = Some(("SingularConflict", in_use(&text(&wanted.singular))));
    }
    let short: Vec<_> = wanted.short_names.iter().flatten().collect();
    let refused: Vec<_> = short
        .iter()
        .filter(|name| !granted.short_names.iter().flatten().any(|have| have == **name))
        .filter(|name| taken.resources.contains(**name))
        .map(|name| in_use(name))
        .collect();
    match refused.as_slice() {
        [] => granted.short_names.clone_from(&wanted.short_names),
        [only] => conflict = Some(("ShortNamesConflict", only.clone())),
        many => conflict = Some(("ShortNamesConflict", format!("[{}]", many.join(", ")))),
    }
    if free(&wanted.kind, &granted.kind, &taken.kinds) {
        granted.kind.clone_from(&wanted.kind);
    } else {
        conflict = Some(("KindConflict", in_use(&wanted.kind)));
    }
    if free(&text(&wanted.list_kind), &text(&granted.list_kind), &taken.kinds) {
        granted.list_kind.clone_from(&wanted.list_kind);
    } else {
        conflict = Some(("ListKindConflict", in_use(&text(&wanted.list_kind))));
    }
    granted.categories.clone_from(&wanted.categories);
    status.accepted_names = Some(granted);
    let established = conditions::is_true(crd, "Established");
    match conflict {
        Some((reason, message)) => {
            conditions::set(crd, "NamesAccepted", false, reason, &message);
            if !established {
                let message = "not all names are accepted";
                conditions::set(crd, "Established", false, "NotAccepted", message);
            }
        }
        None => {
            conditions::set(crd, "NamesAccepted", true, "NoConflicts", "no conflicts found");
            if !established {
                let message = "the initial names have been accepted";
                conditions::set(crd, "Established", true, "InitialNamesAccepted", message);
            }
        }
    }
    approve(crd);
}

fn approve(crd: &mut CustomResourceDefinition) {
    let name = "KubernetesAPIApprovalPolicyConformant";
    if !is_protected(&crd.spec.group) {
        conditions::remove(crd, name);
        return;
    }
    let approval = Approval::of(crd);
    let (holds, reason) = match &approval {
        Approval::Approved(_) => (true, "ApprovedAnnotation"),
        Approval::Bypassed(_) => (false, "UnapprovedAnnotation"),
        Approval::Missing => (false, "MissingAnnotation"),
        Approval::Invalid(_) => (false, "InvalidAnnotation"),
    };
    conditions::set(crd, name, holds, reason, &approval.reason());
}

/// The names under which a definition is served.
pub(super) fn accepted(crd: &CustomResourceDefinition) -> Option<&CustomResourceDefinitionNames> {
    crd.status.as_ref()?.accepted_names.as_ref()
}
