//! A real cluster for a test or a benchmark: the program itself, started as a person would start
//! it, on ports of its own, ended with its owner.

mod kubectl;
mod process;

use std::path::{Path, PathBuf};

pub use kubectl::{Kubectl, Output};
pub use process::{Answer, Cluster, Options, program};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The WebAssembly of a module of `modules/`, as `make modules` built it.
pub fn module(name: &str) -> PathBuf {
    let path = repository().join(format!("target/modules/{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `make modules`", path.display());
    path
}

/// The body that `url` answers with, over plain HTTP.
pub async fn get(url: &str) -> anyhow::Result<String> {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "20", url])
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
