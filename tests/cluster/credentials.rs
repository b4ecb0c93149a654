//! How people and programs come by what they identify themselves with, and what it is good for.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::{Cluster, Kubectl, module};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

fn text(base64: &str) -> Result<String> {
    Ok(String::from_utf8(STANDARD.decode(base64.trim())?)?)
}

/// A request for a certificate in `organization`, and the key that it is about.
fn request(name: &str, organization: &str) -> Result<(String, KeyPair)> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(vec![])?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.distinguished_name.push(DnType::OrganizationName, organization);
    let pem = parameters.serialize_request(&key)?.pem()?;
    let manifest = format!(
        "
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec:
  request: {}
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 3600
  usages: [client auth, digital signature]
",
        STANDARD.encode(pem)
    );
    Ok((manifest, key))
}

#[tokio::test]
async fn a_certificate_is_asked_for_approved_and_used() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let (manifest, key) = request("jane", "dev")?;
    kubectl.apply(&manifest).await?;
    let row = kubectl.run("get csr jane").await?;
    assert!(row.contains("Pending"), "{row}");
    kubectl.run("certificate approve jane").await?;
    let certificate = kubectl
        .until("get csr jane -o jsonpath={.status.certificate}", |answer| !answer.is_empty())
        .await?;
    let row = kubectl.run("get csr jane").await?;
    assert!(row.contains("60m") && row.contains("Approved,Issued"), "{row}");

    let file = |name: &str| cluster.directory().join(name).display().to_string();
    std::fs::write(file("jane.crt"), text(&certificate)?)?;
    std::fs::write(file("jane.key"), key.serialize_pem())?;
    let jane = format!(
        "--kubeconfig=/dev/null --server={} --certificate-authority={} --client-certificate={} \
         --client-key={}",
        cluster.url(),
        cluster.ca().display(),
        file("jane.crt"),
        file("jane.key"),
    );
    let who = kubectl.run(&format!("auth whoami {jane} -o json")).await?;
    let who: serde_json::Value = serde_json::from_str(&who)?;
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "jane");
    assert_eq!(user["groups"], serde_json::json!(["dev", "system:authenticated"]));
    let refused = kubectl.refused(&format!("get pods -n default {jane}")).await?;
    assert!(refused.contains("User \"jane\" cannot list resource \"pods\""), "{refused}");
    kubectl.run("create rolebinding devs --clusterrole=view --group=dev").await?;
    kubectl.until(&format!("get pods -n default {jane}"), |_| true).await?;

    // What a person denies, and what she may not approve, is not signed.
    let (manifest, _) = request("eve", "dev")?;
    kubectl.apply(&manifest).await?;
    let refused = kubectl.refused(&format!("certificate approve eve {jane}")).await?;
    assert!(refused.contains("Forbidden"), "{refused}");
    kubectl.run("certificate deny eve").await?;
    let row = kubectl.run("get csr eve").await?;
    assert!(row.contains("Denied"), "{row}");
    let (manifest, _) = request("mallory", "system:masters")?;
    let answer = kubectl.feed("apply -f -", &manifest).await?;
    assert!(
        answer.stderr.contains(
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not \
             allowed"
        ),
        "{answer:?}"
    );
    Ok(())
}

const KEPT: &str = "
apiVersion: v1
kind: Secret
metadata:
  name: kept
  annotations: {kubernetes.io/service-account.name: robot}
type: kubernetes.io/service-account-token
";

#[tokio::test]
async fn a_secret_holds_a_token_for_as_long_as_it_is_there() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    kubectl.run("create serviceaccount robot").await?;
    kubectl.apply(KEPT).await?;
    let token =
        kubectl.until("get secret kept -o jsonpath={.data.token}", |token| !token.is_empty());
    let robot = with_token(&cluster, &text(&token.await?)?);
    let who = kubectl.run(&format!("auth whoami {robot}")).await?;
    assert!(who.contains("system:serviceaccount:default:robot"), "{who}");
    let told = kubectl.run("describe secret kept").await?;
    assert!(told.contains("ca.crt:") && told.contains("namespace:  7 bytes"), "{told}");
    kubectl.run("delete serviceaccount robot").await?;
    kubectl.until("get secrets -o name", |names| !names.contains("kept")).await?;
    let gone = kubectl.refused(&format!("auth whoami {robot}")).await?;
    assert!(gone.contains("Unauthorized"), "{gone}");
    Ok(())
}

fn with_token(cluster: &Cluster, token: &str) -> String {
    format!(
        "--kubeconfig=/dev/null --server={} --certificate-authority={} --token={}",
        cluster.url(),
        cluster.ca().display(),
        token.trim()
    )
}

/// The token of a new service account, bound to `role` in its namespace.
async fn bound(kubectl: &Kubectl, name: &str, role: &str) -> Result<String> {
    kubectl.run(&format!("create serviceaccount {name}")).await?;
    let account = format!("--serviceaccount=default:{name}");
    kubectl.run(&format!("create rolebinding {name} --clusterrole={role} {account}")).await?;
    let token = kubectl.run(&format!("create token {name}")).await?;
    Ok(token.trim().to_owned())
}

#[tokio::test]
async fn roles_decide_who_pushes_and_pulls_images() -> Result<()> {
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl();
    let editor = bound(&kubectl, "editor", "edit").await?;
    let viewer = bound(&kubectl, "viewer", "view").await?;
    kubectl.run("create serviceaccount stranger").await?;
    let stranger = kubectl.run("create token stranger").await?.trim().to_owned();
    kubectl.run("create namespace elsewhere").await?;
    // What `edit` and `view` allow is collected from their parts.
    let may = "auth can-i create modules.coracle.dev --as=system:serviceaccount:default:editor";
    kubectl.until(may, |answer| answer.trim() == "yes").await?;

    let file = module("pause").display().to_string();
    let code = async |token: &str, arguments: &[&str], path: &str| {
        let header = format!("Authorization: Bearer {token}");
        let mut all = vec!["-H", &header];
        all.extend(arguments);
        cluster.anonymous(&all, path).await.map(|answer| answer.code)
    };
    let push = ["-T", file.as_str()];
    for (token, path, expected) in [
        (&stranger, "/upload/default/web:v1", 403),
        (&viewer, "/upload/default/web:v1", 403),
        (&editor, "/upload/elsewhere/web:v1", 403),
        (&editor, "/upload/default/web:v1", 201),
        (&viewer, "/upload/default/web:v2", 403),
    ] {
        assert_eq!(code(token, &push, path).await?, expected, "{path}");
    }
    for (path, expected) in [
        ("/v2/", [200, 200, 200]),
        ("/v2/default/web/tags/list", [200, 200, 403]),
        ("/v2/default/web/manifests/v1", [200, 200, 403]),
        ("/v2/_catalog", [403, 403, 403]),
    ] {
        for (token, expected) in [&editor, &viewer, &stranger].into_iter().zip(expected) {
            assert_eq!(code(token, &[], path).await?, expected, "{path}");
        }
    }
    let begin = "/v2/default/web/blobs/uploads/";
    for (token, expected) in [(&editor, 202), (&viewer, 403), (&stranger, 403)] {
        assert_eq!(code(token, &["-X", "POST"], begin).await?, expected);
    }
    let unnamed = cluster.anonymous(&[], "/v2/").await?;
    assert_eq!(unnamed.code, 401, "{unnamed:?}");
    let listed = kubectl.run("auth can-i --list --as=system:serviceaccount:default:viewer").await?;
    let images = listed.lines().find(|line| line.contains("[/upload/*]"));
    images.context(listed.clone())?;
    Ok(())
}
