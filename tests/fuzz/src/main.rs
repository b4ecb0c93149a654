//! `fuzz [--seconds N] [--seed N] [TARGET...]`: mutates inputs for that long each; an input that
//! breaks something is written to its target's corpus.

#![expect(clippy::disallowed_methods, reason = "the real clock: tokio's stands still here")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fuzz::{Mutator, Server, Target, corpus, targets};
use sha2::{Digest, Sha256};

/// An input that takes longer hangs something.
const LIMIT: Duration = Duration::from_secs(20);

/// A server sees as many inputs before it is made anew.
const INPUTS_A_SERVER: u64 = 500;

/// What is being tried, and since when.
static NOW: Mutex<Option<(Instant, &'static str, Vec<u8>)>> = Mutex::new(None);

fn keep(target: &str, input: &[u8]) -> Result<()> {
    let folder = corpus(target);
    std::fs::create_dir_all(&folder)?;
    let digest = Sha256::digest(input);
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(name);
    std::fs::write(&path, input)?;
    eprintln!("{target}: kept {}", path.display());
    Ok(())
}

/// Ends the process when an input hangs it.
fn watch() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let Ok(now) = NOW.lock() else { return };
            if let Some((since, target, input)) =
                now.as_ref().filter(|(since, ..)| since.elapsed() > LIMIT)
            {
                eprintln!("{target}: no end after {:?}", since.elapsed());
                let _ = keep(target, input);
                std::process::exit(1);
            }
        }
    });
}

async fn run(target: &Target, limit: Duration, seed: u64) -> Result<usize> {
    let seeds = [(target.seeds)(), fuzz::kept(target.name)?].concat();
    let mut mutator = Mutator::new(seed);
    let (began, mut count, mut accepted, mut found) = (Instant::now(), 0, 0, 0);
    let mut server = Server::start().await?;
    while began.elapsed() < limit && found < 5 {
        count += 1;
        if target.asks_a_server() && count % INPUTS_A_SERVER == 0 {
            server = Server::start().await?;
        }
        let input = mutator.input(&seeds);
        if let Ok(mut now) = NOW.lock() {
            *now = Some((Instant::now(), target.name, input.clone()));
        }
        match target.try_input(&server, &input).await {
            Ok(well) => accepted += u64::from(well),
            Err(wrong) => {
                found += 1;
                eprintln!("{}: {wrong}", target.name);
                keep(target.name, &input)?;
            }
        }
    }
    if let Ok(mut now) = NOW.lock() {
        *now = None;
    }
    println!("{}: {count} inputs, {accepted} accepted, {found} found", target.name);
    Ok(found)
}

fn main() -> Result<()> {
    let (mut seconds, mut seed, mut only) = (60, 1, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().context("a number")?.parse::<u64>().context("no number");
        match argument.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            _ => only.push(argument),
        }
    }
    watch();
    let mut found = 0;
    for target in targets() {
        if only.is_empty() || only.iter().any(|name| name == target.name) {
            // Time stands still for the server but for what it waits for.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()?;
            found += runtime.block_on(run(&target, Duration::from_secs(seconds), seed))?;
        }
    }
    if found > 0 {
        bail!("{found} inputs broke something");
    }
    Ok(())
}
