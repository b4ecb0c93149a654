//! Byte streams between two ends.

use tokio::io::{AsyncRead, AsyncWrite};

/// Anything that carries bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// One end of a connection: in memory, or a socket handed over from the host. Shutting down its
/// writing half is the other side's end of file; dropping it closes both directions.
pub type Stream = Box<dyn Io>;

/// Bytes that lie in one direction of an in-memory connection before its writer has to wait.
pub const PIPE_CAPACITY: usize = 64 * 1024;

/// The two ends of a new in-memory connection.
pub(crate) fn pair() -> (Stream, Stream) {
    let (left, right) = tokio::io::duplex(PIPE_CAPACITY);
    (Box::new(left), Box::new(right))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn half_close_leaves_the_other_direction_open() {
        let (mut client, mut server) = pair();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_slow_reader_holds_the_writer_back() {
        let (mut client, mut server) = pair();
        let written = client.write(&vec![7; 2 * PIPE_CAPACITY]).await.unwrap();
        assert_eq!(written, PIPE_CAPACITY);
        {
            let mut more = std::pin::pin!(client.write(b"x"));
            assert!(futures::poll!(&mut more).is_pending());
            let mut buffer = [0; 10];
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(more.await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_dropped_reader_breaks_the_writer() {
        let (mut client, server) = pair();
        drop(server);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}
