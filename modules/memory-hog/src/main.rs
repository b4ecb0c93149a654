//! `memory-hog [MIB [SECONDS]]`: takes memory and writes to every page of it, without end or up to
//! MIB mebibytes, which it then holds for SECONDS seconds or for ever.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const MIB: usize = 1 << 20;

fn main() -> ExitCode {
    let arguments: Result<Vec<u64>, _> =
        std::env::args().skip(1).map(|text| text.parse()).collect();
    let (limit, seconds) = match arguments.as_deref() {
        Ok([]) => (u64::MAX, None),
        Ok([limit]) => (*limit, None),
        Ok([limit, seconds]) => (*limit, Some(*seconds)),
        _ => {
            eprintln!("usage: memory-hog [MIB [SECONDS]]");
            return ExitCode::from(2);
        }
    };
    let mut held: Vec<Vec<u8>> = Vec::new();
    while (held.len() as u64) < limit {
        held.push(vec![1; MIB]);
        if held.len().is_multiple_of(16) {
            println!("{} MiB", held.len());
        }
    }
    println!("holding {} MiB", held.len());
    match seconds {
        Some(seconds) => thread::sleep(Duration::from_secs(seconds)),
        None => loop {
            thread::sleep(Duration::from_secs(3600));
        },
    }
    // Used once more, so that it is really held until here.
    let pages = held.iter().map(|block| usize::from(block[MIB / 2])).sum::<usize>();
    println!("released {pages} MiB");
    ExitCode::SUCCESS
}
