//! Tokens of service accounts that stand in Secrets: the controllers say for which, the API server
//! knows what they look like, and the key is the cluster's.

use anyhow::Result;
use coracle_apiserver::ServiceAccountKey;
use coracle_controllers::TokenGenerator;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt;

/// Makes tokens with the key that the API server checks them by.
#[derive(Debug)]
pub(super) struct SecretTokens(ServiceAccountKey);

impl SecretTokens {
    pub(super) fn new(key: &[u8]) -> Result<Self> {
        Ok(Self(ServiceAccountKey::read(key)?))
    }
}

impl TokenGenerator for SecretTokens {
    fn generate(&self, account: &ServiceAccount, secret: &str) -> Option<String> {
        let namespace = account.namespace().unwrap_or_default();
        let uid = account.uid().unwrap_or_default();
        self.0.secret_token(&namespace, &account.name_any(), &uid, secret)
    }
}
