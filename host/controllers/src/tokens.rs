//! The tokens of service accounts that stand in Secrets: a Secret of that type is filled in, and
//! goes with its account (`pkg/controller/serviceaccount/tokens_controller.go`).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};

use crate::context::Context;
use crate::error::{Error, Result, While};
use crate::runner::{Key, Next, Reconcile};

pub(crate) const NAME: &str = "tokens-controller";
/// The type of Secrets that hold tokens.
pub(crate) const TYPE: &str = "kubernetes.io/service-account-token";
/// The annotations that say whose token it is.
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Makes tokens that hold for as long as the Secret that they stand in.
pub trait TokenGenerator: Debug + Send + Sync {
    /// The token of `account` for the Secret of this name in the account's namespace.
    fn generate(&self, account: &ServiceAccount, secret: &str) -> Option<String>;
}

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("serviceaccount_tokens");
    context.informers.token_secrets.on_change({
        let queue = queue.clone();
        move |change| {
            for secret in change.both() {
                queue.add(Work::of(secret));
            }
        }
    });
    context.informers.service_accounts.on_change({
        let (queue, context) = (queue.clone(), context.clone());
        move |change| {
            let Some(account) = change.latest() else { return };
            let Key { namespace, name } = Key::of(&**account);
            // A Secret may have come before its account was known, and goes after it.
            let secrets = context.informers.token_secrets.in_namespace(&namespace);
            for secret in secrets.iter().filter(|secret| annotation(secret, ACCOUNT) == name) {
                queue.add(Work::of(secret));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Tokens { context: context.clone() });
    Box::pin(async move {
        waiting.informers.token_secrets.synced().await;
        waiting.informers.service_accounts.synced().await;
        runner.run().await;
    })
}

/// A Secret, and the account that it was of when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    secret: Key,
    account: String,
}

impl Work {
    fn of(secret: &Secret) -> Self {
        Self { secret: Key::of(secret), account: annotation(secret, ACCOUNT).to_owned() }
    }
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> &'a str {
    let annotations = secret.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(name)).map(String::as_str).unwrap_or_default()
}

struct Tokens {
    context: Context,
}

#[async_trait]
impl Reconcile<Work> for Tokens {
    async fn reconcile(&self, work: &Work) -> Result<Next> {
        let informers = &self.context.informers;
        if work.account.is_empty() {
            return Ok(Next::Wait);
        }
        let account_key = Key::new(&work.secret.namespace, &work.account);
        let account = informers.service_accounts.get(&account_key);
        let Some(secret) = informers.token_secrets.get(&work.secret) else {
            if let Some(account) = account {
                self.forget(&account, &work.secret.name).await?;
            }
            return Ok(Next::Wait);
        };
        if annotation(&secret, ACCOUNT) != work.account
            || secret.metadata.deletion_timestamp.is_some()
        {
            return Ok(Next::Wait);
        }
        match self.owner(&secret, account, &account_key).await? {
            Some(account) => self.fill(&secret, &account).await?,
            None => self.delete(&secret).await?,
        }
        Ok(Next::Wait)
    }
}

impl Tokens {
    /// The account that the Secret is of. That there is none is believed of the server alone.
    async fn owner(
        &self,
        secret: &Secret,
        known: Option<Arc<ServiceAccount>>,
        key: &Key,
    ) -> Result<Option<Arc<ServiceAccount>>> {
        let uid = annotation(secret, ACCOUNT_UID);
        let fits = |account: &ServiceAccount| {
            uid.is_empty() || account.metadata.uid.as_deref() == Some(uid)
        };
        if let Some(known) = known.filter(|known| fits(known)) {
            return Ok(Some(known));
        }
        let api = Api::<ServiceAccount>::namespaced(self.context.client.clone(), &key.namespace);
        let account = api.get_opt(&key.name).await.doing("looking for the account of a token")?;
        Ok(account.filter(fits).map(Arc::new))
    }

    /// Gives the Secret whatever it lacks.
    async fn fill(&self, secret: &Secret, account: &ServiceAccount) -> Result<()> {
        let Some(generator) = &self.context.options.tokens else { return Ok(()) };
        let Key { namespace, name } = Key::of(secret);
        let mut filled = secret.clone();
        let data = filled.data.get_or_insert_default();
        set(data, "ca.crt", self.context.options.root_ca.as_bytes());
        set(data, "namespace", namespace.as_bytes());
        if data.get("token").is_none_or(|token| token.0.is_empty()) {
            let token = generator.generate(account, &name);
            let token = token.ok_or_else(|| Error::Invalid("no token can be made".to_owned()))?;
            set(data, "token", token.as_bytes());
        }
        let annotations = filled.metadata.annotations.get_or_insert_default();
        let uid = account.metadata.uid.clone().unwrap_or_default();
        annotations.insert(ACCOUNT_UID.to_owned(), uid);
        if filled == *secret {
            return Ok(());
        }
        // The version that it is made of goes along: whoever was faster wins.
        let api = Api::<Secret>::namespaced(self.context.client.clone(), &namespace);
        let written = api.replace(&name, &PostParams::default(), &filled).await;
        match written.doing("filling in the Secret of a token") {
            Ok(written) => drop(self.context.informers.token_secrets.observe(written)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn delete(&self, secret: &Secret) -> Result<()> {
        let Key { namespace, name } = Key::of(secret);
        let only_this = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        let api = Api::<Secret>::namespaced(self.context.client.clone(), &namespace);
        match api.delete(&name, &params).await.doing("taking away a token without an account") {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes a Secret that is gone out of the account's list.
    async fn forget(&self, account: &ServiceAccount, secret: &str) -> Result<()> {
        let names = |name: &Option<String>| name.as_deref() == Some(secret);
        if !account.secrets.iter().flatten().any(|listed| names(&listed.name)) {
            return Ok(());
        }
        let mut changed = account.clone();
        changed.secrets.get_or_insert_default().retain(|listed| !names(&listed.name));
        let Key { namespace, name } = Key::of(account);
        let api = Api::<ServiceAccount>::namespaced(self.context.client.clone(), &namespace);
        let written = api.replace(&name, &PostParams::default(), &changed).await;
        match written.doing("taking a token out of an account's list") {
            Ok(written) => drop(self.context.informers.service_accounts.observe(written)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn set(data: &mut BTreeMap<String, ByteString>, key: &str, value: &[u8]) {
    data.insert(key.to_owned(), ByteString(value.to_vec()));
}
