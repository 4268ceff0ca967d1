//! The listening addresses, bound before anything connects.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use anyhow::anyhow;
use tokio::net::TcpListener;

use crate::config::Config;

/// The bound listeners.
pub(super) struct Listeners {
    /// For providers.
    pub public: TcpListener,
    /// For operators; `None` if both are served at one address.
    pub ops: Option<TcpListener>,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// Which address cannot be bound, and what to do about it.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let public = bind(config.bind, "MEMBERFLOW_BIND (--bind)").await?;
        let ops = match config.separate_ops_bind() {
            Some(address) => Some(bind(address, "MEMBERFLOW_OPS_BIND").await?),
            None => None,
        };
        Ok(Self { public, ops })
    }
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| anyhow!("cannot listen on {address}: {error}: {}", remedy(&error, setting)))
}

fn remedy(error: &io::Error, setting: &str) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("stop the process that listens there, or set {setting} to another port")
        }
        ErrorKind::AddrNotAvailable => {
            format!("set {setting} to an address that this host has, or to 0.0.0.0 for all of them")
        }
        ErrorKind::PermissionDenied => {
            format!("set {setting} to a port from 1024 on, or grant the process CAP_NET_BIND_SERVICE")
        }
        _ => format!("set {setting} to another address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bind_failure_names_its_remedy() {
        for (kind, says) in [
            (ErrorKind::AddrInUse, "stop the process"),
            (ErrorKind::AddrNotAvailable, "an address that this host has"),
            (ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (ErrorKind::Other, "another address"),
        ] {
            let remedy = remedy(&kind.into(), "MEMBERFLOW_BIND");
            assert!(remedy.contains(says) && remedy.contains("MEMBERFLOW_BIND"), "{remedy}");
        }
    }
}
