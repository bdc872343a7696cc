//! Flexible addresses: they are billed until they are deleted, whether a server has them or not.

use super::store::resource;
use super::{Life, World};
use crate::scaleway::catalogue::IPV4_HOUR;

/// A flexible address.
#[derive(Debug, Clone)]
pub(crate) struct Ip {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    /// An address, or a prefix for IPv6.
    pub(crate) address: String,
    /// `routed_ipv4` or `routed_ipv6`.
    pub(crate) kind: String,
    pub(crate) tags: Vec<String>,
    pub(crate) reverse: Option<String>,
    pub(crate) server: Option<String>,
}
resource!(Ip);

impl Ip {
    pub(crate) fn is_v4(&self) -> bool {
        self.kind == "routed_ipv4"
    }
}

impl World {
    pub(crate) fn add_ip(&mut self, ip: Ip) {
        if ip.is_v4() {
            self.meter("ip", &ip.id, &ip.address, &ip.project, &ip.zone, IPV4_HOUR);
        }
        self.ips.add(ip);
    }

    /// Gives an address to a server or takes it away. A server that gets a flexible address loses its dynamic one.
    pub(crate) fn assign_ip(&mut self, id: &str, server: Option<&str>) {
        let now = self.now();
        let Some(ip) = self.ips.touch(id, now) else { return };
        ip.server = server.map(str::to_owned);
        for owner in self.servers.iter_mut() {
            owner.ips.retain(|other| other != id);
        }
        if let Some(server) = server {
            self.take_dynamic_address(server);
            if let Some(owner) = self.servers.touch(server, now) {
                owner.ips.push(id.to_owned());
            }
        }
    }

    pub(crate) fn remove_ip(&mut self, id: &str) {
        let now = self.now();
        self.assign_ip(id, None);
        if let Some(ip) = self.ips.get(id)
            && let Ok(address) = ip.address.parse()
        {
            self.addresses.release(address);
        }
        self.bill.close("ip", id, now);
        self.ips.remove(id, now);
    }
}
