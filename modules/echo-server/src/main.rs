//! `echo-server [PORT]`: sends back what it receives, on every connection to PORT (7), until it is
//! asked to end.

use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;

use coracle_guest::net::{TcpListener, TcpStream};
use coracle_guest::{shutdown, wait};

/// Further connections wait in the listener's queue.
const CONNECTIONS_AT_MOST: usize = 256;

fn main() -> ExitCode {
    let port = match std::env::args().nth(1).map(|port| port.parse()) {
        None => 7,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            eprintln!("usage: echo-server [PORT]");
            return ExitCode::from(2);
        }
    };
    match serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One connection, with what it has received and not yet sent back.
struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Goes on as far as possible without blocking. Whether the connection is still open.
    fn proceed(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        loop {
            while !self.unsent.is_empty() {
                match self.stream.write(&self.unsent) {
                    Ok(sent) => drop(self.unsent.drain(..sent)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => self.unsent.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    let mut listener = TcpListener::bind(port)?;
    listener.set_nonblocking(true);
    println!("listening on port {}", listener.local_addr()?.port());
    let mut connections: Vec<Connection> = Vec::new();
    while !shutdown::requested() {
        await_any(&listener, &connections);
        while connections.len() < CONNECTIONS_AT_MOST {
            match listener.accept() {
                Ok(mut stream) => {
                    stream.set_nonblocking(true);
                    connections.push(Connection { stream, unsent: Vec::new() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        connections.retain_mut(|connection| match connection.proceed() {
            Ok(open) => open,
            Err(error) => {
                eprintln!("a connection ended: {error}");
                false
            }
        });
    }
    Ok(())
}

/// Returns when there is something to do.
fn await_any(listener: &TcpListener, connections: &[Connection]) {
    let mut events = vec![shutdown::readiness()];
    if connections.len() < CONNECTIONS_AT_MOST {
        events.push(listener.acceptable());
    }
    events.extend(connections.iter().map(|connection| match connection.unsent.is_empty() {
        true => connection.stream.readable(),
        false => connection.stream.writable(),
    }));
    wait::any(&events.iter().collect::<Vec<_>>());
}
