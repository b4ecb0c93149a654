//! What the files of a ConfigMap, Secret, downward API or projected volume hold. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume,
};

use super::payload::{File, Payload};
use crate::downward::{self, Surroundings};

/// Mode of files for which none is given.
const DEFAULT_MODE: i32 = 0o644;

/// The objects a volume refers to, as they are now, and tokens by their audience and lifetime.
#[derive(Default)]
pub(super) struct Present {
    pub(super) config_maps: HashMap<String, Option<Arc<ConfigMap>>>,
    pub(super) secrets: HashMap<String, Option<Arc<Secret>>>,
    pub(super) tokens: HashMap<(String, i64), String>,
}

/// What a volume refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    pub(super) config_maps: Vec<String>,
    pub(super) secrets: Vec<String>,
    /// Audience (empty for the API server's) and lifetime in seconds.
    pub(super) tokens: Vec<(String, i64)>,
}

/// Why a volume has no content yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{kind} \"{name}\" not found")]
    Missing { kind: &'static str, name: String },
    #[error("references non-existent {kind} key: {key}")]
    Key { kind: &'static str, key: String },
    #[error(transparent)]
    Downward(#[from] downward::Error),
    #[error("failed to fetch token: {0}")]
    Token(String),
    #[error("writing the files: {0}")]
    Write(#[from] std::io::Error),
}

/// How long a service account's token lives unless its volume says.
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn references(volume: &Volume) -> References {
    let mut found = References::default();
    if let Some(source) = &volume.config_map {
        found.config_maps.push(source.name.clone());
    }
    if let Some(source) = &volume.secret {
        found.secrets.extend(source.secret_name.clone());
    }
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for source in sources {
        found.config_maps.extend(source.config_map.as_ref().map(|source| source.name.clone()));
        found.secrets.extend(source.secret.as_ref().map(|source| source.name.clone()));
        found.tokens.extend(source.service_account_token.as_ref().map(|token| {
            (
                token.audience.clone().unwrap_or_default(),
                token.expiration_seconds.unwrap_or(TOKEN_SECONDS),
            )
        }));
    }
    found
}

pub(super) fn payload(
    volume: &Volume,
    pod: &Pod,
    present: &Present,
    around: &Surroundings,
) -> Result<Payload, Error> {
    let mut payload = Payload::default();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let items = source.items.as_deref();
        add_config_map(&mut payload, present, &source.name, items, mode, source.optional)?;
    }
    if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        let items = source.items.as_deref();
        add_secret(&mut payload, present, name, items, mode, source.optional)?;
    }
    if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        add_downward(&mut payload, pod, source.items.as_deref(), mode, around)?;
    }
    if let Some(projected) = &volume.projected {
        let mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        for source in projected.sources.iter().flatten() {
            if let Some(source) = &source.config_map {
                let items = source.items.as_deref();
                add_config_map(&mut payload, present, &source.name, items, mode, source.optional)?;
            }
            if let Some(source) = &source.secret {
                let items = source.items.as_deref();
                add_secret(&mut payload, present, &source.name, items, mode, source.optional)?;
            }
            if let Some(source) = &source.downward_api {
                add_downward(&mut payload, pod, source.items.as_deref(), mode, around)?;
            }
            if let Some(token) = &source.service_account_token {
                let key = (
                    token.audience.clone().unwrap_or_default(),
                    token.expiration_seconds.unwrap_or(TOKEN_SECONDS),
                );
                let text = present.tokens.get(&key).cloned().unwrap_or_default();
                let file = File { bytes: text.into_bytes(), mode: 0o600 };
                payload.files.insert(token.path.clone(), file);
            }
        }
    }
    Ok(payload)
}

fn add_config_map(
    payload: &mut Payload,
    present: &Present,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: Option<bool>,
) -> Result<(), Error> {
    let optional = optional == Some(true);
    let Some(map) = present.config_maps.get(name).and_then(Option::as_ref) else {
        let missing = Error::Missing { kind: "configmap", name: name.to_owned() };
        return if optional { Ok(()) } else { Err(missing) };
    };
    let text = map.data.iter().flatten().map(|(key, text)| (key, text.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(key, bytes)| (key, &bytes.0[..]));
    add_keys(payload, "config", text.chain(binary).collect(), items, mode, optional)
}

fn add_secret(
    payload: &mut Payload,
    present: &Present,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: Option<bool>,
) -> Result<(), Error> {
    let optional = optional == Some(true);
    let Some(secret) = present.secrets.get(name).and_then(Option::as_ref) else {
        let missing = Error::Missing { kind: "secret", name: name.to_owned() };
        return if optional { Ok(()) } else { Err(missing) };
    };
    let data = secret.data.iter().flatten().map(|(key, bytes)| (key, &bytes.0[..])).collect();
    add_keys(payload, "secret", data, items, mode, optional)
}

fn add_keys(
    payload: &mut Payload,
    kind: &'static str,
    data: HashMap<&String, &[u8]>,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
) -> Result<(), Error> {
    let mut add = |path: &str, bytes: &[u8], mode| {
        payload.files.insert(path.to_owned(), File { bytes: bytes.to_vec(), mode });
    };
    match items.filter(|items| !items.is_empty()) {
        None => data.into_iter().for_each(|(key, bytes)| add(key, bytes, mode)),
        Some(items) => {
            for item in items {
                match data.get(&item.key) {
                    Some(bytes) => add(&item.path, bytes, item.mode.unwrap_or(mode)),
                    None if optional => {}
                    None => return Err(Error::Key { kind, key: item.key.clone() }),
                }
            }
        }
    }
    Ok(())
}

fn add_downward(
    payload: &mut Payload,
    pod: &Pod,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
    around: &Surroundings,
) -> Result<(), Error> {
    for item in items.unwrap_or_default() {
        let text = if let Some(field) = &item.field_ref {
            downward::field(pod, &field.field_path, around)?
        } else if let Some(resource) = &item.resource_field_ref {
            downward::resource(pod, None, resource, around)?
        } else {
            String::new()
        };
        let file = File { bytes: text.into_bytes(), mode: item.mode.unwrap_or(mode) };
        payload.files.insert(item.path.clone(), file);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn files(volume: Value) -> Result<Vec<(String, String, i32)>, Error> {
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "labels": {"app": "web"}},
        }))
        .unwrap();
        let map = json!({"data": {"a": "1", "b": "2"}, "binaryData": {"c": "Aw=="}});
        let secret = json!({"data": {"key": "czNjcjN0"}});
        let present = Present {
            config_maps: [
                ("map".to_owned(), Some(Arc::new(serde_json::from_value(map).unwrap()))),
                ("absent".to_owned(), None),
            ]
            .into(),
            secrets: [(
                "secret".to_owned(),
                Some(Arc::new(serde_json::from_value(secret).unwrap())),
            )]
            .into(),
            tokens: [(("".to_owned(), 3607), "jwt".to_owned())].into(),
        };
        let around = Surroundings {
            node: "n".into(),
            host: "127.0.0.1".parse().unwrap(),
            address: None,
            allocatable: BTreeMap::new(),
        };
        let payload = payload(&volume, &pod, &present, &around)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ok(payload.files.into_iter().map(|(path, f)| (path, text(f.bytes), f.mode)).collect())
    }

    fn file(path: &str, text: &str, mode: i32) -> (String, String, i32) {
        (path.into(), text.into(), mode)
    }

    #[test]
    fn keys_become_files() {
        let all = files(json!({"name": "v", "configMap": {"name": "map"}})).unwrap();
        assert_eq!(all, [file("a", "1", 420), file("b", "2", 420), file("c", "\u{3}", 420)]);
        let some = files(json!({"name": "v", "configMap": {"name": "map", "defaultMode": 256,
            "items": [{"key": "a", "path": "x/y"}, {"key": "b", "path": "z", "mode": 511}]}}));
        assert_eq!(some.unwrap(), [file("x/y", "1", 256), file("z", "2", 511)]);
        let none = files(json!({"name": "v", "configMap": {"name": "absent", "optional": true}}));
        assert_eq!(none.unwrap(), []);
    }

    #[test]
    fn what_is_missing_is_said() {
        for (volume, message) in [
            (json!({"configMap": {"name": "absent"}}), "configmap \"absent\" not found"),
            (json!({"secret": {"secretName": "absent"}}), "secret \"absent\" not found"),
            (
                json!({"configMap": {"name": "map", "items": [{"key": "k", "path": "k"}]}}),
                "references non-existent config key: k",
            ),
        ] {
            let mut volume = volume;
            volume["name"] = "v".into();
            assert_eq!(files(volume).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn projections_are_merged() {
        let all = files(json!({"name": "v", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "map", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"secret": {"name": "secret"}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}},
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            ]}},
        ]}}));
        let expected = [
            file("ca.crt", "1", 420),
            file("key", "s3cr3t", 420),
            file("labels", "app=\"web\"", 420),
            file("namespace", "ns", 420),
            file("token", "jwt", 384),
        ];
        assert_eq!(all.unwrap(), expected);
    }
}
