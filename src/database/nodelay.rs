//! TCP_NODELAY for the connections to Postgres.
//!
//! sqlx 0.9.0 no longer sets it (<https://github.com/launchbadge/sqlx/issues/4335>), and gives no access to
//! the socket. Without it every statement longer than one TLS record waits 40 ms for a delayed
//! acknowledgement. `docs/decisions/database/tcp-nodelay.md` explains this way and when this file can be removed.

use std::ffi::c_int;
use std::sync::Once;
use std::{fs, io, mem, ptr};

/// The process's own descriptors: Linux and macOS both have it.
const OPEN_DESCRIPTORS: &str = "/dev/fd";

/// Warn once: a slow service is better than none.
static WARNING: Once = Once::new();

/// Sets the option on every open TCP socket of this process. Called after connecting, so that the new socket
/// is among them; for the others it does no harm.
pub fn set_on_open_sockets() {
    match open_descriptors() {
        Ok(descriptors) => descriptors.into_iter().for_each(set),
        Err(error) => WARNING.call_once(|| {
            tracing::warn!(%error, "cannot list {OPEN_DESCRIPTORS}: large statements to Postgres wait 40 ms each");
        }),
    }
}

fn open_descriptors() -> io::Result<Vec<c_int>> {
    let entries = fs::read_dir(OPEN_DESCRIPTORS)?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(entries.filter_map(number).collect())
}

/// Fails for anything but a TCP socket, and for a descriptor closed meanwhile.
fn set(descriptor: c_int) {
    let on: c_int = 1;
    let size = libc::socklen_t::try_from(mem::size_of_val(&on)).unwrap_or_default();
    // SAFETY: `on` outlives the call, which reads `size` bytes of it; any number is allowed as a descriptor.
    unsafe {
        libc::setsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_NODELAY, ptr::from_ref(&on).cast(), size);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn open_tcp_sockets_get_the_option() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nodelay(false).unwrap();
        set_on_open_sockets();
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn other_descriptors_are_left_alone() {
        set(-1);
        set(0);
        set(c_int::MAX);
    }
}
