//! Addresses that instances get: of 127.64.0.0/10, so that nothing ever leaves this machine.
//!
//! A real instance is reached at such an address, and it lives at another one, in 127.128.0.0/10, that only the simulator
//! and the instance itself know; in between stands the security group.

use std::net::Ipv4Addr;

use crate::fixture::random::Random;

/// How many addresses there are: 2^22.
const COUNT: u32 = 1 << 22;

/// The addresses of one simulator.
#[derive(Debug)]
pub(crate) struct Addresses {
    next: u32,
    /// Given back, and given out again before any fresh one is, when `reuse` is set.
    released: Vec<Ipv4Addr>,
    pub(crate) reuse: bool,
}

impl Addresses {
    pub(crate) fn new(seed: u64) -> Self {
        // Two simulators on one machine should not meet.
        let start = Random::new(seed.wrapping_mul(31).wrapping_add(u64::from(std::process::id()))).next();
        Self {
            next: u32::try_from(start % u64::from(COUNT)).unwrap_or(0),
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
            // No network or broadcast address.
            if !matches!(self.next & 0xff, 0 | 0xff) {
                return Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + self.next);
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
        let mut addresses = Addresses::new(1);
        let one = addresses.take();
        assert!(one.is_loopback() && (64..128).contains(&one.octets()[1]));
        assert!((128..192).contains(&inside(one).octets()[1]));
        addresses.release(one);
        assert_ne!(addresses.take(), one);
        addresses.reuse = true;
        assert_ne!(addresses.fresh(), one);
        assert_eq!(addresses.take(), one);
    }
}
