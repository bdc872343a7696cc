//! Who may ask (facts/plex.md §4.3): a signed-out server answers this machine and `allowedNetworks`, a claimed one those
//! who bring a token.

use std::net::{IpAddr, Ipv4Addr};

use super::reply::Failure;
use super::request::Request;
use crate::household::accounts;
use crate::server::Server;

/// The account that the request speaks for; 1 is the owner.
///
/// Tokens: the owner's PlexOnlineToken and account token, the `.LocalAdminToken`, and those of other accounts that the
/// plex.tv stand-in knows. A signed-out server does not look at the token of somebody whom it admits anyway.
pub(crate) fn account(server: &Server, request: &Request) -> Result<i64, Failure> {
    // To a signed-out server nobody but this machine and the named networks may come, with a token or without (§4.3).
    if !server.is_claimed() && !server.admits(request.address) {
        return Err(Failure::Unauthorized);
    }
    let Some(token) = request.token() else {
        return if server.admits(request.address) {
            Ok(1)
        } else {
            Err(Failure::Unauthorized)
        };
    };
    if token == server.local_token || server.prefs().online_token() == Some(token.as_str()) {
        return Ok(1);
    }
    if let (true, Some(plextv)) = (server.is_claimed(), &server.plextv) {
        let known = plextv
            .account_of_token(&token)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        if let Some(guest) = known {
            if server.owner().is_some_and(|owner| owner.id == guest.id) {
                return Ok(1);
            }
            let pair = server.pool.get()?;
            accounts::ensure(&pair.library, guest.id, &guest.username)?;
            return Ok(guest.id);
        }
    }
    if server.is_claimed() {
        Err(Failure::Unauthorized)
    } else {
        Ok(1)
    }
}

/// Whether the address is in one of the "ip/netmask" entries of a comma list.
pub(crate) fn in_networks(list: &str, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address.to_canonical() else {
        return false;
    };
    list.split(',')
        .filter_map(|entry| network(entry.trim()))
        .any(|(net, mask)| {
            // "0.0.0.0/0.0.0.0" does not open a real server to the world.
            mask != 0 && u32::from(address) & mask == net & mask
        })
}

fn network(entry: &str) -> Option<(u32, u32)> {
    let (net, mask) = match entry.split_once('/') {
        Some((net, mask)) => (net, mask),
        None => (entry, "32"),
    };
    let net = u32::from(net.parse::<Ipv4Addr>().ok()?);
    let mask = match mask.parse::<u32>() {
        Ok(bits @ 0..=32) => u32::MAX.checked_shl(32 - bits).unwrap_or(0),
        _ => u32::from(mask.parse::<Ipv4Addr>().ok()?),
    };
    Some((net, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(in_networks("10.0.0.1, 172.16.0.0/255.240.0.0", at("172.17.0.1")));
        assert!(in_networks("10.0.0.1", at("10.0.0.1")));
        assert!(in_networks("10.0.0.0/8", at("::ffff:10.3.0.1")));
        assert!(!in_networks("0.0.0.0/0.0.0.0", at("10.0.0.1")));
        assert!(!in_networks("", at("127.0.0.1")));
        assert!(!in_networks("172.16.0.0/255.240.0.0", at("172.32.0.1")));
    }
}
