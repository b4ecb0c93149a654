//! CustomResourceDefinitions (`k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`).
//! Kubernetes checks them in an older form, in which what all versions have in common stands once
//! at the top; its paths are those of that form.

use coracle_api::cause::Cause;
use coracle_api::meta::{dns_1035_label, dns_1123_subdomain};
use coracle_schema::structural::{Structural, definition};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceConversion, CustomResourceDefinition,
    CustomResourceDefinitionNames, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
    CustomResourceSubresourceScale, SelectableField,
};
use serde_json::json;

use super::{all, immutable};
use crate::apiextensions::{approval, rules};

const COLUMN_TYPES: &str = "boolean,date,integer,number,string";
const COLUMN_FORMATS: &str = "binary,byte,date,date-time,double,float,int32,int64,password";

/// The faults of a definition.
pub(crate) fn customresourcedefinition(crd: &CustomResourceDefinition) -> Vec<Cause> {
    let mut faults = vec![];
    let name = crd.metadata.name.as_deref().unwrap_or_default();
    let CustomResourceDefinitionSpec { names, group, .. } = &crd.spec;
    if name != format!("{}.{group}", names.plural) {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        faults.push(Cause::invalid("metadata.name", name, detail));
    }
    faults.extend(spec(&crd.spec));
    faults.extend(status(crd));
    faults.extend(approval::faults(crd));
    if crd.spec.preserve_unknown_fields == Some(true) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        faults.push(Cause::invalid("spec.preserveUnknownFields", true, detail));
    }
    faults
}

/// The faults of a definition's change.
pub(crate) fn customresourcedefinition_update(
    new: &CustomResourceDefinition,
    old: &CustomResourceDefinition,
) -> Vec<Cause> {
    let mut faults = vec![];
    let (spec, before) = (&new.spec, &old.spec);
    if approval::established(old) {
        faults.extend(immutable("spec.scope", &spec.scope, &before.scope));
        faults.extend(immutable("spec.names.kind", &spec.names.kind, &before.names.kind));
    }
    faults.extend(immutable("spec.group", &spec.group, &before.group));
    faults.extend(immutable("spec.names.plural", &spec.names.plural, &before.names.plural));
    faults
}

/// The faults of a definition's status.
pub(crate) fn customresourcedefinition_status(crd: &CustomResourceDefinition) -> Vec<Cause> {
    let accepted = crd.status.as_ref().and_then(|status| status.accepted_names.as_ref());
    accepted.map(|accepted| names("status.acceptedNames", accepted)).unwrap_or_default()
}

fn status(crd: &CustomResourceDefinition) -> Vec<Cause> {
    let mut faults = customresourcedefinition_status(crd);
    let path = "status.storedVersions";
    let stored = crd.status.as_ref().and_then(|status| status.stored_versions.as_deref());
    let stored = stored.unwrap_or_default();
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        faults.push(Cause::invalid(path, json!(stored), detail));
        return faults;
    }
    for (at, version) in stored.iter().enumerate() {
        if !crd.spec.versions.iter().any(|known| known.name == *version) {
            let detail = format!(
                "missing from spec.versions; {version} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains \
                 persisted in {version} and removes {version} from status.storedVersions"
            );
            faults.push(Cause::invalid(format!("{path}[{at}]"), version.as_str(), &detail));
        }
    }
    faults
}

/// What the versions have in common: a member that is the same, and there, in all of them.
fn shared<T: PartialEq>(
    versions: &[CustomResourceDefinitionVersion],
    member: impl Fn(&CustomResourceDefinitionVersion) -> Option<T>,
) -> bool {
    let Some(first) = versions.first().and_then(&member) else { return false };
    versions.iter().all(|version| member(version).as_ref() == Some(&first))
}

fn spec(spec: &CustomResourceDefinitionSpec) -> Vec<Cause> {
    let mut faults = vec![];
    let group = spec.group.as_str();
    let complaints = dns_1123_subdomain(group);
    if group.is_empty() {
        faults.push(Cause::required("spec.group", ""));
    } else if !complaints.is_empty() {
        faults.push(Cause::invalid("spec.group", group, &complaints.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        faults.push(Cause::invalid("spec.group", group, detail));
    }
    faults.extend(super::one_of("spec.scope", Some(&spec.scope), &["Cluster", "Namespaced"]));
    versions(spec, &mut faults);
    for (field, text) in [
        ("plural", Some(&spec.names.plural)),
        ("singular", spec.names.singular.as_ref()),
        ("kind", Some(&spec.names.kind)),
        ("listKind", spec.names.list_kind.as_ref()),
    ] {
        if text.is_none_or(String::is_empty) {
            faults.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    faults.extend(names("spec.names", &spec.names));
    if let Some(conversion) = &spec.conversion {
        faults.extend(self::conversion(conversion));
    }
    faults
}

fn versions(spec: &CustomResourceDefinitionSpec, faults: &mut Vec<Cause>) {
    let versions = &spec.versions;
    let schema_of = |version: &CustomResourceDefinitionVersion| {
        version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.clone())
    };
    let one_schema = shared(versions, |version| version.schema.clone());
    let one_scale = shared(versions, |version| version.subresources.clone());
    let columns = |version: &CustomResourceDefinitionVersion| {
        version.additional_printer_columns.clone().filter(|columns| !columns.is_empty())
    };
    let one_table = shared(versions, columns);
    let selectable = |version: &CustomResourceDefinitionVersion| {
        version.selectable_fields.clone().filter(|fields| !fields.is_empty())
    };
    let one_selection = shared(versions, selectable);
    let status_of = |version: &CustomResourceDefinitionVersion| {
        version.subresources.as_ref().is_some_and(|parts| parts.status.is_some())
    };
    for (at, version) in versions.iter().enumerate() {
        if schema_of(version).is_none() {
            let path = format!("spec.versions[{at}].schema.openAPIV3Schema");
            faults.push(Cause::required(path, "schemas are required"));
        }
    }
    for (at, version) in versions.iter().enumerate() {
        let own = format!("spec.versions[{at}]");
        let complaints = dns_1035_label(&version.name);
        if !complaints.is_empty() {
            let path = format!("{own}.name");
            faults.push(Cause::invalid(path, version.name.as_str(), &complaints.join(",")));
        }
        deprecation(&own, version, faults);
        // What all have in common is checked once, and shown at the top.
        let first = at == 0;
        let schema = schema_of(version);
        if let Some(schema) = schema.as_ref().filter(|_| first || !one_schema) {
            let path = if one_schema { "spec.validation" } else { &format!("{own}.schema") };
            let status =
                if one_schema { versions.iter().any(status_of) } else { status_of(version) };
            faults.extend(self::schema(&format!("{path}.openAPIV3Schema"), schema, status));
        }
        if let Some(parts) = version.subresources.as_ref().filter(|_| first || !one_scale) {
            let path = if one_scale { "spec" } else { &own };
            if let Some(scale) = &parts.scale {
                faults.extend(self::scale(&format!("{path}.subresources"), scale));
            }
        }
        if let Some(table) = columns(version).filter(|_| first || !one_table) {
            let path = if one_table { "spec" } else { &own };
            for (at, column) in table.iter().enumerate() {
                let path = format!("{path}.additionalPrinterColumns[{at}]");
                faults.extend(self::column(&path, column));
            }
        }
        if let Some(fields) = selectable(version).filter(|_| first || !one_selection) {
            let path = if one_selection { "spec" } else { &own };
            selection(&format!("{path}.selectableFields"), &fields, schema.as_ref(), faults);
        }
    }
    let path = "spec.versions";
    let names: Vec<_> = versions.iter().map(|version| &version.name).collect();
    if names.iter().enumerate().any(|(at, name)| names.iter().take(at).any(|other| other == name)) {
        let detail = "must contain unique version names";
        faults.push(Cause::invalid(path, json!(versions), detail));
    }
    if versions.iter().filter(|version| version.storage).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        faults.push(Cause::invalid(path, json!(versions), detail));
    }
}

fn schema(
    path: &str,
    props: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps,
    status: bool,
) -> Vec<Cause> {
    let mut faults = definition::faults(path, props, status);
    if faults.is_empty()
        && let Ok(schema) = Structural::new(props)
    {
        let written = serde_json::to_value(props).unwrap_or_default();
        faults.extend(rules::faults(path, &schema, &written));
    }
    faults
}

fn deprecation(path: &str, version: &CustomResourceDefinitionVersion, faults: &mut Vec<Cause>) {
    let Some(warning) = version.deprecation_warning.as_deref() else { return };
    let path = format!("{path}.deprecationWarning");
    let mut fault = |detail: &str| faults.push(Cause::invalid(path.as_str(), warning, detail));
    if version.deprecated != Some(true) {
        fault("can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        fault("must be <= 256 characters long");
    }
    if warning.is_empty() {
        fault("must not be an empty string");
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        fault(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index \
             {at}"
        ));
    }
}

fn selection(
    path: &str,
    fields: &[SelectableField],
    schema: Option<
        &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps,
    >,
    faults: &mut Vec<Cause>,
) {
    let Some(schema) = schema else {
        let detail = "selectableFields may only be set when version.schema.openAPIV3Schema is not \
                      included";
        faults.push(Cause::invalid(path, "", detail));
        return;
    };
    let Ok(schema) = Structural::new(schema) else { return };
    let paths: Vec<_> = fields.iter().map(|field| field.json_path.clone()).collect();
    faults.extend(definition::selectable_fields(path, &paths, &schema));
}

/// The faults of names, those that must be given aside.
fn names(path: &str, names: &CustomResourceDefinitionNames) -> Vec<Cause> {
    let mut faults = vec![];
    let label = |path: String, text: &str, faults: &mut Vec<Cause>| {
        let complaints = dns_1035_label(text);
        if !text.is_empty() && !complaints.is_empty() {
            faults.push(Cause::invalid(path, text, &complaints.join(",")));
        }
    };
    let singular = names.singular.as_deref().unwrap_or_default();
    let list_kind = names.list_kind.as_deref().unwrap_or_default();
    label(format!("{path}.plural"), &names.plural, &mut faults);
    label(format!("{path}.singular"), singular, &mut faults);
    for (field, text) in [("kind", names.kind.as_str()), ("listKind", list_kind)] {
        let complaints = dns_1035_label(&text.to_lowercase());
        if !text.is_empty() && !complaints.is_empty() {
            let detail = format!(
                "may have mixed case, but should otherwise match: {}",
                complaints.join(",")
            );
            faults.push(Cause::invalid(format!("{path}.{field}"), text, &detail));
        }
    }
    for (at, short) in names.short_names.iter().flatten().enumerate() {
        faults.extend(all_in_one(&format!("{path}.shortNames[{at}]"), short));
    }
    if !names.kind.is_empty() && names.kind == list_kind {
        let detail = "kind and listKind may not be the same";
        faults.push(Cause::invalid(format!("{path}.listKind"), list_kind, detail));
    }
    for (at, category) in names.categories.iter().flatten().enumerate() {
        faults.extend(all_in_one(&format!("{path}.categories[{at}]"), category));
    }
    faults
}

fn all_in_one(path: &str, label: &str) -> Option<Cause> {
    let complaints = dns_1035_label(label);
    (!complaints.is_empty()).then(|| Cause::invalid(path, label, &complaints.join(",")))
}

fn scale(path: &str, scale: &CustomResourceSubresourceScale) -> Vec<Cause> {
    let mut faults = vec![];
    for (field, text, below) in [
        ("specReplicasPath", &scale.spec_replicas_path, ".spec."),
        ("statusReplicasPath", &scale.status_replicas_path, ".status."),
    ] {
        let path = format!("{path}.scale.{field}");
        if text.is_empty() {
            faults.push(Cause::required(path, ""));
        } else if !text.starts_with('.') {
            let detail = "must be a simple json path starting with .";
            faults.push(Cause::invalid(path, text.as_str(), detail));
        } else if !text.starts_with(below) {
            let detail = format!("should be a json path under {}", below.trim_end_matches('.'));
            faults.push(Cause::invalid(path, text.as_str(), &detail));
        }
    }
    let selector = scale.label_selector_path.as_deref().unwrap_or_default();
    if !selector.is_empty() {
        let path = format!("{path}.scale.labelSelectorPath");
        if !selector.starts_with('.') {
            let detail = "must be a simple json path starting with .";
            faults.push(Cause::invalid(path, selector, detail));
        } else if ![".spec.", ".status."].iter().any(|below| selector.starts_with(below)) {
            let detail = "should be a json path under either .spec or .status";
            faults.push(Cause::invalid(path, selector, detail));
        }
    }
    faults
}

fn column(path: &str, column: &CustomResourceColumnDefinition) -> Vec<Cause> {
    let mut faults = vec![];
    if column.name.is_empty() {
        faults.push(Cause::required(format!("{path}.name"), ""));
    }
    let kind = column.type_.as_str();
    let detail = format!("must be one of {COLUMN_TYPES}");
    if kind.is_empty() {
        faults.push(Cause::required(format!("{path}.type"), &detail));
    } else if !COLUMN_TYPES.split(',').any(|known| known == kind) {
        faults.push(Cause::invalid(format!("{path}.type"), kind, &detail));
    }
    let format = column.format.as_deref().unwrap_or_default();
    if !format.is_empty() && !COLUMN_FORMATS.split(',').any(|known| known == format) {
        let detail = format!("must be one of {COLUMN_FORMATS}");
        faults.push(Cause::invalid(format!("{path}.format"), format, &detail));
    }
    if column.json_path.is_empty() {
        faults.push(Cause::required(format!("{path}.JSONPath"), ""));
    } else if !column.json_path.starts_with('.') {
        let detail = "must be a simple json path starting with .";
        faults.push(Cause::invalid(format!("{path}.JSONPath"), column.json_path.as_str(), detail));
    }
    faults
}

fn conversion(conversion: &CustomResourceConversion) -> Vec<Cause> {
    let path = "spec.conversion";
    let mut faults = vec![];
    let strategies = &["None", "Webhook"];
    let strategy = conversion.strategy.as_str();
    faults.extend(super::one_of(&format!("{path}.strategy"), Some(strategy), strategies));
    let config = conversion.webhook.as_ref().and_then(|webhook| webhook.client_config.as_ref());
    let reviews =
        conversion.webhook.as_ref().map_or(&[][..], |webhook| &webhook.conversion_review_versions);
    let config_path = format!("{path}.webhookClientConfig");
    let reviews_path = format!("{path}.conversionReviewVersions");
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if config.is_some() {
            faults.push(Cause::forbidden(config_path, detail));
        }
        if !reviews.is_empty() {
            faults.push(Cause::forbidden(reviews_path, detail));
        }
        return faults;
    }
    match config {
        None => {
            let detail = "required when strategy is set to Webhook";
            faults.push(Cause::required(config_path, detail));
        }
        Some(config) => match (&config.url, &config.service) {
            (Some(url), None) => {
                faults.extend(webhook_url(&format!("{config_path}.url"), url));
            }
            (None, Some(service)) => {
                let path = format!("{config_path}.service");
                for (field, text) in [("name", &service.name), ("namespace", &service.namespace)] {
                    if text.is_empty() {
                        let detail = format!("service {field} is required");
                        faults.push(Cause::required(format!("{path}.{field}"), &detail));
                    }
                }
                let port = service.port.unwrap_or(443);
                if !(1..=65535).contains(&port) {
                    let detail = "port is not valid: must be between 1 and 65535, inclusive";
                    faults.push(Cause::invalid(format!("{path}.port"), port, detail));
                }
                if let Some(text) = service.path.as_deref().filter(|text| !text.starts_with('/')) {
                    let detail = "must start with a '/'";
                    faults.push(Cause::invalid(format!("{path}.path"), text, detail));
                }
            }
            _ => {
                let detail = "exactly one of url or service is required";
                faults.push(Cause::required(config_path, detail));
            }
        },
    }
    if reviews.is_empty() {
        faults.push(Cause::required(reviews_path, ""));
        return faults;
    }
    for (at, version) in reviews.iter().enumerate() {
        let path = format!("{reviews_path}[{at}]");
        if reviews.iter().take(at).any(|other| other == version) {
            faults.push(Cause::invalid(path, version.as_str(), "duplicate version"));
            continue;
        }
        faults.extend(all(&path, version, dns_1035_label(version)));
    }
    if !reviews.iter().any(|version| matches!(version.as_str(), "v1" | "v1beta1")) {
        let detail = "must include at least one of v1, v1beta1";
        faults.push(Cause::invalid(reviews_path, json!(reviews), detail));
    }
    faults
}

/// The faults of an address of a webhook.
fn webhook_url(path: &str, url: &str) -> Vec<Cause> {
    const FORM: &str = "; desired format: https://host[/path]";
    let Ok(parsed) = url.parse::<http::Uri>() else {
        let detail = format!("url must be a valid URL{FORM}");
        return vec![Cause::required(path, &detail)];
    };
    let mut faults = vec![];
    let mut fault = |detail: &str| {
        faults.push(Cause::invalid(path, url, &format!("{detail}{FORM}")));
    };
    if parsed.scheme_str() != Some("https") {
        let scheme = parsed.scheme_str().unwrap_or_default();
        fault(&format!("'https' is the only allowed URL scheme, not {scheme:?}"));
    }
    if parsed.host().is_none_or(str::is_empty) {
        fault("host must be specified");
    }
    if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        fault("user information is not permitted in the URL");
    }
    if parsed.query().is_some() {
        fault("query parameters are not permitted in the URL");
    }
    if url.contains('#') {
        fault("fragments are not permitted in the URL");
    }
    faults
}
