//! WASI's streams as `std::io` readers and writers.

use std::io::{self, ErrorKind};

use crate::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};

/// The most that one read asks for: the host allocates what is asked for.
const READ_AT_MOST: usize = 64 << 10;

/// Reads into `into`; 0 is the end. `WouldBlock` only if it may not block.
pub(crate) fn read(from: &InputStream, into: &mut [u8], block: bool) -> io::Result<usize> {
    if into.is_empty() {
        return Ok(0);
    }
    let length = into.len().min(READ_AT_MOST) as u64;
    loop {
        let read = if block { from.blocking_read(length) } else { from.read(length) };
        return match read {
            // An empty read is no end: WASI ends a stream with an error of its own.
            Ok(bytes) if bytes.is_empty() && block => continue,
            Ok(bytes) if bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            Ok(bytes) => {
                let length = bytes.len().min(into.len());
                into[..length].copy_from_slice(&bytes[..length]);
                Ok(length)
            }
            Err(StreamError::Closed) => Ok(0),
            Err(error) => Err(failed(&error)),
        };
    }
}

/// Writes a part of `bytes`, as much as the host takes at once.
pub(crate) fn write(to: &OutputStream, bytes: &[u8], block: bool) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    loop {
        let permitted = to.check_write().map_err(|error| failed(&error))?;
        match usize::try_from(permitted).unwrap_or(usize::MAX).min(bytes.len()) {
            0 if block => to.subscribe().block(),
            0 => return Err(ErrorKind::WouldBlock.into()),
            length => {
                to.write(&bytes[..length]).map_err(|error| failed(&error))?;
                return Ok(length);
            }
        }
    }
}

/// Hands everything written so far to the host; waits for it if it may block.
pub(crate) fn flush(stream: &OutputStream, block: bool) -> io::Result<()> {
    if block { stream.blocking_flush() } else { stream.flush() }.map_err(|error| failed(&error))
}

fn failed(error: &StreamError) -> io::Error {
    match error {
        StreamError::Closed => ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}
