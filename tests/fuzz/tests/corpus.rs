//! What was found once, and a few new inputs for every target.

use anyhow::{Result, bail, ensure};
use fuzz::{Mutator, Server, Target, kept, targets};

async fn holds(target: &Target, inputs: usize) -> Result<()> {
    let server = Server::start().await?;
    let (seeds, mut mutator) = ((target.seeds)(), Mutator::new(7));
    let known = [kept(target.name)?, seeds.clone()].concat();
    let new = (0..inputs).map(|_| mutator.input(&seeds));
    let mut accepted = 0;
    for input in known.into_iter().chain(new) {
        match target.try_input(&server, &input).await {
            Ok(well) => accepted += usize::from(well),
            Err(wrong) => bail!("{}: {wrong}: {}", target.name, String::from_utf8_lossy(&input)),
        }
    }
    // Mutations of what is refused at the door would find nothing; no seed is a valid token.
    ensure!(accepted > 0 || target.name == "token", "{}: nothing is accepted", target.name);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn requests_end_well() -> Result<()> {
    for target in targets().iter().filter(|target| target.asks_a_server()) {
        holds(target, 60).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn parsers_end_well() -> Result<()> {
    for target in targets().iter().filter(|target| !target.asks_a_server()) {
        holds(target, 300).await?;
    }
    Ok(())
}
