//! Lists in chunks.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::world::{World, items, name};

const TOTAL: usize = 40;

async fn templates(world: &World) -> Result<String> {
    let path = world.path("v1", "podtemplates");
    for number in 0..TOTAL {
        let pod = crate::world::pod("ignored", json!({}));
        let metadata = json!({"name": format!("template-{number:04}")});
        let body = json!({"metadata": metadata, "template": {"spec": pod["spec"]}});
        world.post(&path, &body).await?;
    }
    Ok(path)
}

fn token(list: &Value) -> Option<String> {
    let token = list["metadata"]["continue"].as_str().filter(|token| !token.is_empty())?;
    Some(percent(token))
}

fn percent(token: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    token.bytes().map(escape).collect()
}

#[tokio::test]
async fn api_chunking_server_should_return_chunks_of_results_for_list_calls() -> Result<()> {
    let world = World::new().await?;
    let path = templates(&world).await?;
    for limit in [1, 7, 39, 40, 100] {
        let (mut found, mut next, mut version) = (Vec::new(), String::new(), None);
        loop {
            let list = world.get(&format!("{path}?limit={limit}{next}")).await?;
            ensure!(items(&list).len() <= limit, "{} items", items(&list).len());
            found.extend(items(&list).iter().map(name));
            let rest = TOTAL - found.len();
            let said = list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
            ensure!(said == rest as u64, "{rest} remain, not {said}");
            let now = list["metadata"]["resourceVersion"].clone();
            ensure!(*version.get_or_insert_with(|| now.clone()) == now, "the list moved");
            // What comes between two chunks is in neither.
            match token(&list) {
                Some(token) => next = format!("&continue={token}"),
                None => break,
            }
        }
        let expected: Vec<_> = (0..TOTAL).map(|number| format!("template-{number:04}")).collect();
        ensure!(found == expected, "{found:?}");
    }
    let whole = world.get(&path).await?;
    ensure!(items(&whole).len() == TOTAL && token(&whole).is_none(), "{whole}");
    Ok(())
}

/// A token of a state that is long gone: what the server answers to it leads on.
#[tokio::test]
#[ignore = "the server's history is not compacted while a test can wait"]
async fn api_chunking_server_should_support_continue_listing_from_the_last_key_even_if_the_original_version_has_been_compacted_away()
-> Result<()> {
    let world = World::new().await?;
    let path = templates(&world).await?;
    let first = world.get(&format!("{path}?limit=10")).await?;
    let old = token(&first).context("a token")?;
    for _ in 0..600 {
        let next = format!("{path}?limit=10&continue={old}");
        let answer = world.call(http::Method::GET, &next, "application/json", "").await?;
        if answer.code == 410 {
            let status = answer.json()?;
            ensure!(status["reason"] == "Expired", "{status}");
            let fresh = token(&status).context("a token for an inconsistent list")?;
            let second = world.get(&format!("{path}?limit=10&continue={fresh}")).await?;
            ensure!(items(&second).len() == 10, "{second}");
            ensure!(name(&items(&second)[0]) == "template-0010", "{second}");
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    bail!("the state was never compacted")
}
