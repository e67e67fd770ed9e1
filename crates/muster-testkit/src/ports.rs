//! Ports that stay free: outside the range from which the system gives ports to outgoing connections, so that a server
//! that was killed finds its own again, and claimed by a lock, so that tests of other processes choose others.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{FlockOperation, flock};

const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// The ports of this process: where to look next, and the locks that hold them until it ends.
struct Claimed {
    next: u16,
    locks: Vec<File>,
}

/// Returns a loopback address that nobody listens on and that no other call got, in any process of this user.
///
/// # Panics
/// When every port is taken.
pub fn free() -> SocketAddr {
    static CLAIMED: OnceLock<Mutex<Claimed>> = OnceLock::new();
    let claimed = CLAIMED.get_or_init(|| {
        let next = RandomState::new().hash_one(std::process::id()) as u16;
        Mutex::new(Claimed { next, locks: Vec::new() })
    });
    let mut claimed = claimed.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..COUNT {
        let port = FIRST + claimed.next % COUNT;
        claimed.next = claimed.next.wrapping_add(1);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Some(lock) = claim(port)
            && TcpListener::bind(address).is_ok()
        {
            claimed.locks.push(lock);
            return address;
        }
    }
    panic!("no port from {FIRST} on is free");
}

/// Locks a port for this process. `None`: another one has it.
fn claim(port: u16) -> Option<File> {
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("muster-testkit-ports-{user}"));
    fs::create_dir_all(&folder).expect("the temporary folder takes folders");
    let file = File::create(folder.join(port.to_string())).expect("the folder of ports takes files");
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_nobody_elses() {
        let (one, other) = (free(), free());
        assert_ne!(one, other);
        assert!(claim(one.port()).is_none(), "another process could take it");
        assert!(TcpListener::bind(one).is_ok(), "it is free for its owner");
    }
}
