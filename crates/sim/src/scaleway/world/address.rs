//! Addresses that instances get: of 127.64.0.0/10, so that nothing ever leaves this machine.
//!
//! A real instance is reached at such an address, and it lives at another one, in 127.128.0.0/10, that only the simulator
//! and the instance itself know; in between stands the security group.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fixture::random::Random;

/// How many addresses there are: 2^22.
const COUNT: u32 = 1 << 22;

/// How many simulators this process has had.
static SIMULATORS: AtomicU64 = AtomicU64::new(0);

/// The addresses of one simulator.
#[derive(Debug)]
pub(crate) struct Addresses {
    next: u32,
    /// A port that must be free at each; unset: nobody will listen there.
    port: Option<u16>,
    /// Given back, and given out again before any fresh one is, when `reuse` is set.
    released: Vec<Ipv4Addr>,
    pub(crate) reuse: bool,
}

impl Addresses {
    pub(crate) fn new(port: Option<u16>) -> Self {
        // Two simulators on one machine should not meet, whatever their seeds are.
        let nth = SIMULATORS.fetch_add(1, Ordering::Relaxed);
        let start = Random::new((u64::from(std::process::id()) << 20) + nth).next();
        Self {
            next: u32::try_from(start % u64::from(COUNT)).unwrap_or(0),
            port,
            released: Vec::new(),
            reuse: false,
        }
    }

    /// An address that nobody has.
    pub(crate) fn take(&mut self) -> Ipv4Addr {
        if self.reuse
            && let Some(address) = self.released.pop()
        {
            return address;
        }
        self.fresh()
    }

    /// One that nobody has had yet.
    pub(crate) fn fresh(&mut self) -> Ipv4Addr {
        loop {
            self.next = (self.next + 1) % COUNT;
            let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + self.next);
            // No network or broadcast address, and none that another simulator has.
            let is_free = self.port.is_none_or(|port| TcpListener::bind((address, port)).is_ok());
            if !matches!(self.next & 0xff, 0 | 0xff) && is_free {
                return address;
            }
        }
    }

    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        self.released.push(address);
    }
}

/// Where the instance behind a public address really listens.
pub(crate) fn inside(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address) + (64 << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_on_this_machine() {
        let mut addresses = Addresses::new(None);
        let one = addresses.take();
        assert!(one.is_loopback() && (64..128).contains(&one.octets()[1]));
        assert!((128..192).contains(&inside(one).octets()[1]));
        addresses.release(one);
        assert_ne!(addresses.take(), one);
        addresses.reuse = true;
        assert_ne!(addresses.fresh(), one);
        assert_eq!(addresses.take(), one);
        assert_ne!(Addresses::new(None).take(), Addresses::new(None).take());
    }
}
