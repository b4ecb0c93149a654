//! The network's errors as WASI's codes.

use coracle_network::Error;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode};
use wasmtime_wasi::p2::{IoError, SocketError};

use super::SocketsCtxView;

/// The code that a guest sees.
pub(super) fn code(error: Error) -> ErrorCode {
    match error {
        Error::Refused(_) => ErrorCode::ConnectionRefused,
        Error::Unreachable(_) | Error::Detached => ErrorCode::RemoteUnreachable,
        Error::Denied(_) => ErrorCode::AccessDenied,
        Error::TimedOut(_) => ErrorCode::Timeout,
        Error::InUse(_) => ErrorCode::AddressInUse,
        Error::NoSuchName(_) => ErrorCode::NameUnresolvable,
        Error::Outside { source, .. } => ErrorCode::from(source),
        other => {
            tracing::warn!(error = %other, "a guest's socket met an error that WASI has no code for");
            ErrorCode::Unknown
        }
    }
}

impl network::Host for SocketsCtxView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<std::io::Error>().map(ErrorCode::from))
    }
}

impl network::HostNetwork for SocketsCtxView<'_> {
    fn drop(&mut self, network: Resource<network::Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}
