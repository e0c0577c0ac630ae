//! How many connections each address holds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Connections by address; as many entries as there are connections at most.
#[derive(Clone)]
pub(super) struct Addresses {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// One connection's place.
pub(super) struct Held {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    pub(super) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// A place for one more; `None` when the address has its most. This machine may have all: behind a proxy here everybody has its address.
    pub(super) fn take(&self, address: IpAddr) -> Option<Held> {
        let address = network_of(address);
        let mut held = self.held.lock();
        let count = held.entry(address).or_insert(0);
        if *count >= self.most && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Held { addresses: self.clone(), address })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.addresses.held.lock();
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// The address that is counted: a network of IPv6 gives its hosts 2^64 addresses each, which count as one.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_most_and_places_come_back() {
        let addresses = Addresses::new(2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = addresses.take(ip("10.0.0.1")).unwrap();
        let _second = addresses.take(ip("::ffff:10.0.0.1")).unwrap();
        assert!(addresses.take(ip("10.0.0.1")).is_none());
        let _other = addresses.take(ip("10.0.0.2")).unwrap();
        drop(first);
        assert!(addresses.take(ip("10.0.0.1")).is_some());
        let _six: Vec<_> = (1..3).map(|n| addresses.take(ip(&format!("2001:db8::{n}"))).unwrap()).collect();
        assert!(addresses.take(ip("2001:db8::7")).is_none() && addresses.take(ip("2001:db8:0:1::7")).is_some());
        let local: Vec<_> = (0..5).map(|_| addresses.take(ip("127.0.0.1"))).collect();
        assert!(local.iter().all(Option::is_some));
        drop((local, _second, _other, _six));
        assert!(addresses.held.lock().is_empty());
    }
}
