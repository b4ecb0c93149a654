//! `ticker [SECONDS]`: prints "tick 1", "tick 2", ... one line every second (or every SECONDS) until
//! it is asked to end.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let every = match std::env::args().nth(1).map(|seconds| seconds.parse::<f64>()) {
        None => Duration::from_secs(1),
        Some(Ok(seconds)) if (0.001..=86_400.0).contains(&seconds) => {
            Duration::from_secs_f64(seconds)
        }
        Some(_) => {
            eprintln!("usage: ticker [SECONDS], from 0.001 to 86400");
            return ExitCode::from(2);
        }
    };
    let mut count = 1_u64;
    loop {
        println!("tick {count}");
        count += 1;
        if !coracle_guest::wait::sleep(every) {
            println!("asked to end");
            return ExitCode::SUCCESS;
        }
    }
}
