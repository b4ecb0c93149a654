//! What was found once, and a few new inputs for every target.

use fuzz::{Mutator, Server, Target, kept, targets};

async fn holds(target: &Target, inputs: usize) {
    let server = Server::start().await.unwrap();
    let mut accepted = 0;
    for input in kept(target.name).unwrap().iter().chain(&(target.seeds)()) {
        match target.try_input(&server, input).await {
            Ok(well) => accepted += usize::from(well),
            Err(wrong) => panic!("{}: {wrong}: {}", target.name, String::from_utf8_lossy(input)),
        }
    }
    // Mutations of what is refused at the door would find nothing; no seed is a valid token.
    assert!(accepted > 0 || target.name == "token", "{}: no seed is accepted", target.name);
    let (seeds, mut mutator) = ((target.seeds)(), Mutator::new(7));
    for _ in 0..inputs {
        let input = mutator.input(&seeds);
        if let Err(wrong) = target.try_input(&server, &input).await {
            panic!("{}: {wrong}: {}", target.name, String::from_utf8_lossy(&input));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_end_well() {
    for target in targets().iter().filter(|target| target.asks_a_server()) {
        holds(target, 60).await;
    }
}

#[tokio::test(start_paused = true)]
async fn parsers_end_well() {
    for target in targets().iter().filter(|target| !target.asks_a_server()) {
        holds(target, 300).await;
    }
}
