//! What a service account's token says.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The lifetime that stands for «about an hour, but be lenient with clients that do not read the
/// file again»: such tokens live for a year, and are counted as stale after it.
pub(crate) const WARN_AFTER: i64 = 3607;

/// An object by name and uid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
}

/// What a token ends with, besides its service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Nothing,
    /// A pod, and the node that it is on.
    Pod(Reference, Option<Reference>),
    Secret(Reference),
    Node(Reference),
    /// The name of the Secret that the token stands in.
    Legacy(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) namespace: String,
    pub(crate) account: Reference,
    pub(crate) bound: Bound,
    pub(crate) audiences: Vec<String>,
    /// Tells tokens apart.
    pub(crate) id: String,
    /// In seconds of Unix time, as all times here.
    pub(crate) not_before: Option<i64>,
    pub(crate) expires: Option<i64>,
    pub(crate) warn_after: Option<i64>,
}

#[derive(Deserialize, Serialize)]
struct Kubernetes {
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    serviceaccount: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warnafter: Option<i64>,
}

/// One string or several.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => vec![],
    }
}

/// A moment, whole or not.
pub(crate) fn moment(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second does not matter")]
    let whole = |seconds: f64| seconds as i64;
    value.as_i64().or_else(|| value.as_f64().map(whole))
}

impl Claims {
    /// The claims of a token whose signature holds.
    pub(super) fn read(claims: &Value) -> Option<Self> {
        let private = Kubernetes::deserialize(&claims["kubernetes.io"]).ok()?;
        let bound = match (private.pod, private.secret, private.node) {
            (Some(pod), None, node) => Bound::Pod(pod, node),
            (None, Some(secret), None) => Bound::Secret(secret),
            (None, None, Some(node)) => Bound::Node(node),
            (None, None, None) => Bound::Nothing,
            _ => return None,
        };
        let claims = Self {
            namespace: private.namespace,
            account: private.serviceaccount,
            bound,
            audiences: strings(&claims["aud"]),
            id: claims["jti"].as_str().unwrap_or_default().to_owned(),
            not_before: moment(&claims["nbf"]),
            // A token of this kind always ends.
            expires: Some(moment(&claims["exp"])?),
            warn_after: private.warnafter,
        };
        Some(claims)
    }

    /// The same of a token that stands in a Secret.
    pub(super) fn legacy(claims: &Value) -> Option<Self> {
        let text = |name: &str| {
            claims[format!("kubernetes.io/serviceaccount/{name}")].as_str().map(str::to_owned)
        };
        let uid = text("service-account.uid")?;
        Some(Self {
            namespace: text("namespace")?,
            account: Reference { name: text("service-account.name")?, uid },
            bound: Bound::Legacy(text("secret.name")?),
            audiences: vec![],
            id: String::new(),
            not_before: None,
            expires: None,
            warn_after: None,
        })
    }

    pub(super) fn json(&self, issuer: &str) -> Value {
        let Self { namespace, account, .. } = self;
        let subject = super::service_account_name(namespace, &account.name);
        if let Bound::Legacy(secret) = &self.bound {
            return json!({
                "iss": super::LEGACY_ISSUER,
                "kubernetes.io/serviceaccount/namespace": namespace,
                "kubernetes.io/serviceaccount/secret.name": secret,
                "kubernetes.io/serviceaccount/service-account.name": account.name,
                "kubernetes.io/serviceaccount/service-account.uid": account.uid,
                "sub": subject,
            });
        }
        let (mut node, mut pod, mut secret) = (None, None, None);
        match &self.bound {
            Bound::Pod(to, on) => (pod, node) = (Some(to.clone()), on.clone()),
            Bound::Secret(to) => secret = Some(to.clone()),
            Bound::Node(to) => node = Some(to.clone()),
            Bound::Nothing | Bound::Legacy(_) => {}
        }
        let private = Kubernetes {
            namespace: namespace.clone(),
            node,
            pod,
            secret,
            serviceaccount: account.clone(),
            warnafter: self.warn_after,
        };
        json!({
            "aud": self.audiences,
            "exp": self.expires,
            "iat": self.not_before,
            "iss": issuer,
            "jti": self.id,
            "kubernetes.io": private,
            "nbf": self.not_before,
            "sub": subject,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_what_they_were_given() {
        let reference = |name: &str| Reference { name: name.into(), uid: format!("uid-of-{name}") };
        let bounds = [
            Bound::Nothing,
            Bound::Pod(reference("p"), None),
            Bound::Pod(reference("p"), Some(reference("n"))),
            Bound::Secret(reference("s")),
            Bound::Node(reference("n")),
        ];
        for bound in bounds {
            let claims = Claims {
                namespace: "a".into(),
                account: reference("robot"),
                bound,
                audiences: vec!["x".into(), "y".into()],
                id: "id".into(),
                not_before: Some(1),
                expires: Some(2),
                warn_after: Some(3),
            };
            let json = claims.json("us");
            assert_eq!(
                (&json["iss"], &json["sub"]),
                (&json!("us"), &json!("system:serviceaccount:a:robot"))
            );
            assert_eq!(Claims::read(&json), Some(claims));
        }
        let legacy = Claims {
            namespace: "a".into(),
            account: reference("robot"),
            bound: Bound::Legacy("s".into()),
            audiences: vec![],
            id: String::new(),
            not_before: None,
            expires: None,
            warn_after: None,
        };
        assert_eq!(Claims::legacy(&legacy.json("us")), Some(legacy));
        let mut endless =
            json!({ "kubernetes.io": { "namespace": "a", "serviceaccount": { "name": "r" } } });
        assert_eq!(Claims::read(&endless), None);
        endless["exp"] = json!(1.5);
        assert_eq!(Claims::read(&endless).unwrap().expires, Some(1));
    }
}
