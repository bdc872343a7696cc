//! Security groups: who may reach an instance on its public address.

use std::net::IpAddr;

use super::store::resource;
use super::{Life, World};

/// A security group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) life: Life,
    pub(crate) zone: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) stateful: bool,
    /// `accept` or `drop`.
    pub(crate) inbound: String,
    pub(crate) outbound: String,
    pub(crate) default_security: bool,
    /// Servers without a group of their own get the default one of their project.
    pub(crate) project_default: bool,
    pub(crate) rules: Vec<GroupRule>,
}
resource!(Group);

/// A rule of a group.
#[derive(Debug, Clone)]
pub(crate) struct GroupRule {
    pub(crate) id: String,
    /// `TCP`, `UDP`, `ICMP` or `ANY`.
    pub(crate) protocol: String,
    pub(crate) direction: String,
    pub(crate) action: String,
    pub(crate) ip_range: String,
    pub(crate) from: Option<u16>,
    pub(crate) to: Option<u16>,
}

impl Group {
    /// Whether a TCP connection from there to that port comes through: the first rule that is about it decides.
    pub(crate) fn lets_in(&self, peer: IpAddr, port: u16) -> bool {
        let decided = self.rules.iter().find(|rule| {
            rule.direction == "inbound"
                && matches!(rule.protocol.as_str(), "TCP" | "ANY")
                && rule
                    .from
                    .is_none_or(|from| (from..=rule.to.unwrap_or(from)).contains(&port))
                && in_range(peer, &rule.ip_range)
        });
        decided.map_or(self.inbound == "accept", |rule| rule.action == "accept")
    }
}

/// Whether an address is in a range like `10.0.0.0/8`; a bare address is a range of one.
pub(crate) fn in_range(address: IpAddr, range: &str) -> bool {
    let (network, length) = range
        .split_once('/')
        .map_or((range, None), |(network, length)| (network, Some(length)));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let Ok(network) = network.parse::<IpAddr>() else {
        return false;
    };
    let ((address, of), (network, width)) = (bits(address), bits(network));
    let length: u32 = match length.map(str::parse) {
        None => width,
        Some(Ok(length)) if length <= width => length,
        Some(_) => return false,
    };
    // All bits but the first `length` are shifted out; a shift by the whole width leaves nothing to compare.
    of == width && (address ^ network).checked_shr(128 - length).unwrap_or(0) == 0
}

impl World {
    /// The group that a server of that project gets when it asks for none; made with the first.
    pub(crate) fn default_group(&mut self, zone: &str, project: &str) -> String {
        let found = self
            .groups
            .iter()
            .find(|group| group.project_default && group.zone == zone && group.project == project);
        if let Some(group) = found {
            return group.id.clone();
        }
        let group = Group {
            id: self.random.uuid(),
            life: self.life(),
            zone: zone.to_owned(),
            project: project.to_owned(),
            name: "Default security group".to_owned(),
            description: "Auto generated security group.".to_owned(),
            tags: Vec::new(),
            stateful: true,
            // The default group lets everybody in (facts/cloud.md §1.9).
            inbound: "accept".to_owned(),
            outbound: "accept".to_owned(),
            default_security: true,
            project_default: true,
            rules: Vec::new(),
        };
        let id = group.id.clone();
        self.groups.add(group);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::in_range;

    #[test]
    fn ranges() {
        let is_in = |address: &str, range: &str| in_range(address.parse().unwrap(), range);
        assert!(is_in("127.0.0.1", "127.0.0.1/32") && is_in("127.0.0.1", "127.0.0.1"));
        assert!(is_in("127.9.9.9", "127.0.0.0/8") && is_in("10.0.0.1", "0.0.0.0/0"));
        assert!(!is_in("127.0.0.2", "127.0.0.1/32") && !is_in("::1", "0.0.0.0/0"));
        assert!(is_in("fd00::1", "fd00::/8") && !is_in("10.0.0.1", "10.0.0.0/33"));
    }
}
