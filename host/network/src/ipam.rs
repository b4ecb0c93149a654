//! Which addresses are given out. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::cidr::FIRST_USABLE;
use crate::{Cidr, Error, Result};

/// Where the search for each range's next address goes on. It goes round, so that an address just
/// given back is the last to be given out again: whoever still holds it finds nobody there
/// rather than a stranger.
#[derive(Debug, Default)]
pub(crate) struct Cursors(HashMap<Cidr, u128>);

impl Cursors {
    /// The next free address of `range`.
    pub(crate) fn next(&mut self, range: Cidr, taken: impl Fn(IpAddr) -> bool) -> Result<IpAddr> {
        let cursor = self.0.entry(range).or_insert(FIRST_USABLE);
        let size = range.size();
        for step in 0..size {
            let index = cursor.wrapping_add(step) % size;
            let Some(ip) = range.address(index) else { break };
            if !range.reserves(ip) && !taken(ip) {
                *cursor = (index + 1) % size;
                return Ok(ip);
            }
        }
        Err(Error::Exhausted(range))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn goes_round_before_it_reuses() {
        let range = Cidr::v4([10, 244, 1, 0], 29);
        let mut cursors = Cursors::default();
        let mut taken = HashSet::new();
        for last in 2..=6 {
            let ip = cursors.next(range, |ip| taken.contains(&ip)).unwrap();
            assert_eq!(ip, IpAddr::from([10, 244, 1, last]));
            taken.insert(ip);
            if last == 3 {
                taken.remove(&ip);
            }
        }
        assert_eq!(
            cursors.next(range, |ip| taken.contains(&ip)).unwrap(),
            IpAddr::from([10, 244, 1, 3])
        );
    }

    #[test]
    fn ends_when_nothing_is_free() {
        let range = Cidr::v4([10, 244, 1, 0], 30);
        let mut cursors = Cursors::default();
        assert!(cursors.next(range, |_| false).is_ok());
        let error = cursors.next(range, |_| true).unwrap_err();
        assert_eq!(error.to_string(), "no free address left in 10.244.1.0/30");
    }
}
