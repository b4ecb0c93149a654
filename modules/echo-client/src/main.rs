//! `echo-client NAME:PORT [MESSAGES [BYTES]]`: sends MESSAGES (10) messages of BYTES (64) bytes to an
//! echo server and checks that each comes back unchanged.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Instant;

use coracle_guest::net::TcpStream;

/// A longer message could fill the buffers of both directions before anybody reads.
const BYTES_AT_MOST: usize = 16 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, otherwise| {
        arguments.get(index).map_or(Some(otherwise), |text| text.parse::<usize>().ok())
    };
    let (Some(server), Some(messages), Some(bytes @ 1..=BYTES_AT_MOST)) =
        (arguments.first(), number(1, 10), number(2, 64))
    else {
        eprintln!(
            "usage: echo-client NAME:PORT [MESSAGES [BYTES]], BYTES from 1 to {BYTES_AT_MOST}"
        );
        return ExitCode::from(2);
    };
    let start = Instant::now();
    match check(server, messages, bytes) {
        Ok(()) => {
            println!("{messages} messages of {bytes} bytes came back in {:?}", start.elapsed());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{server}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(server: &str, messages: usize, bytes: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    println!("connected to {}", stream.peer_addr()?);
    let mut answer = vec![0; bytes];
    for message in 0..messages {
        let sent: Vec<u8> = (0..bytes).map(|index| (message + index) as u8).collect();
        stream.write_all(&sent)?;
        stream.flush()?;
        stream.read_exact(&mut answer)?;
        if answer != sent {
            return Err(io::Error::other(format!("message {message} came back changed")));
        }
    }
    Ok(())
}
