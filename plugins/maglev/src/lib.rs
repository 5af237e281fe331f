//! `maglev`: a key to an endpoint by a table, at a constant cost however many there are.
//!
//! Maglev hashing (Eisenbud et al.: Maglev, A Fast and Reliable Software Network Load Balancer, NSDI
//! 2016, section 3.4). Each endpoint has a permutation of the table's slots, made from its id; in
//! turns each claims its next free slot until all are taken. The shares are all but equal, and when
//! an endpoint leaves few keys move but its own. An endpoint of weight w takes w turns where one of
//! weight 1 takes one (as Envoy does). All proxies make the same table, as turns go by weight
//! and id.
//!
//! Where the slot's endpoint was tried already, or a balancer above left it out, the next eligible
//! one in the table is taken; each further try begins at another slot.
//!
//! Settings:
//! - `table-size`: slots, a prime up to 1048573; at least a hundred times as many as endpoints.
//!   Default 65537.
//! - `hash-key`: `"client-address"` (default), `"path"`, `{ header = "x-user" }` or
//!   `{ cookie = "session" }`. A request without it goes by client address.

mod table;

use jackfield_plugin::endpoints::Measure;
use jackfield_plugin::{Balancer, EndpointSet, PickContext, endpoints, hash, request, settings};
use table::Table;

const LARGEST: u32 = 1_048_573;

#[derive(serde::Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    table_size: u32,
    hash_key: HashKey,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HashKey {
    ClientAddress,
    Path,
    Header(String),
    Cookie(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self { table_size: 65_537, hash_key: HashKey::ClientAddress }
    }
}

pub struct Maglev {
    hash_key: HashKey,
    healthy: Vec<u32>,
    table: Table,
}

impl Balancer for Maglev {
    fn configure(settings: &str) -> Result<Self, String> {
        let Settings { table_size, hash_key } = settings::parse(settings)?;
        if table_size > LARGEST || !is_prime(table_size) {
            let right = (table_size..LARGEST).find(|&size| is_prime(size)).unwrap_or(LARGEST);
            return Err(format!(
                "\"table-size\" must be a prime up to {LARGEST}; {table_size} is not, {right} would be"
            ));
        }
        Ok(Self { hash_key, healthy: Vec::new(), table: Table::new(table_size) })
    }

    fn update(&mut self, endpoints: &EndpointSet) {
        self.healthy = endpoints.healthy();
        self.table.fill(endpoints, &self.healthy);
    }

    fn pick(&mut self, context: &PickContext) -> Option<u32> {
        let key = self.key().unwrap_or(context.client);
        let key = hash::mix(key ^ u64::from(context.attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut from = self.table.from(key);
        if context.all_of(&self.healthy) {
            return from.next();
        }
        if context.eligible == 0 {
            return None;
        }
        let eligible = endpoints::column(Measure::Eligible);
        let is_eligible = |endpoint: &u32| eligible.get(*endpoint as usize).is_some_and(|&is| is != 0);
        // One that is too light for a slot of its own may be the only one left.
        let healthy = || self.healthy.iter().copied();
        from.find(is_eligible).or_else(|| healthy().find(is_eligible))
    }
}

impl Maglev {
    fn key(&self) -> Option<u64> {
        match &self.hash_key {
            HashKey::ClientAddress => None,
            HashKey::Path => request::path_hash(),
            HashKey::Header(name) => request::header_hash(name),
            HashKey::Cookie(name) => request::cookie_hash(name),
        }
    }
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

jackfield_plugin::balancer!(Maglev);

#[cfg(test)]
mod tests;
