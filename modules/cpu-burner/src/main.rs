//! `cpu-burner [SECONDS]`: computes without a pause, for ever or for SECONDS seconds, and prints
//! every second how much it has done in all.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Steps between two looks at the clock.
const ROUND: u64 = 1 << 20;

fn main() -> ExitCode {
    let length = match std::env::args().nth(1).map(|seconds| seconds.parse::<u64>()) {
        None => Duration::MAX,
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        Some(Err(_)) => {
            eprintln!("usage: cpu-burner [SECONDS]");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let mut said = 0;
    let mut rounds = 0_u64;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    loop {
        for _ in 0..ROUND {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        state = black_box(state);
        rounds += 1;
        let elapsed = start.elapsed();
        if elapsed >= length {
            println!("done: {rounds} rounds");
            return ExitCode::SUCCESS;
        }
        if elapsed.as_secs() > said {
            said = elapsed.as_secs();
            println!("{said} s: {rounds} rounds");
        }
    }
}
