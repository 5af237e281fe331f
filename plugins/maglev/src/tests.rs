use super::*;
use jackfield_plugin::mock::{self, Endpoint, Host, Random};

fn plugin_for(host: &Host, settings: &str) -> Maglev {
    host.clone().install();
    let mut plugin = Maglev::configure(settings).unwrap();
    plugin.update(&host.endpoint_set());
    plugin
}

/// The whole table, as ids.
fn table(host: &Host, size: u32) -> Vec<u64> {
    let plugin = plugin_for(host, &format!(r#"{{"table-size": {size}}}"#));
    let id = |position: u32| host.endpoints[position as usize].id;
    plugin.table.from(0).map(id).collect()
}

fn counts(table: &[u64], host: &Host) -> Vec<usize> {
    let count = |endpoint: &Endpoint| table.iter().filter(|&&id| id == endpoint.id).count();
    host.endpoints.iter().map(count).collect()
}

#[test]
fn shares_are_nearly_equal() {
    let host = Host::with_endpoints(50);
    let counts = counts(&table(&host, 65_537), &host);
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
}

#[test]
fn shares_follow_the_weights() {
    let weights = [1, 2, 3, 10];
    let host = Host::with_weights(&weights);
    for (count, weight) in counts(&table(&host, 65_537), &host).iter().zip(weights) {
        let expected = 65_537 * weight as usize / 16;
        assert!(count.abs_diff(expected) <= 2, "{count} of {expected}");
    }
}

#[test]
fn when_an_endpoint_goes_few_keys_move_but_its_own() {
    let mut host = Host::with_endpoints(50);
    let before = table(&host, 65_537);
    let lost = host.endpoints.remove(20).id;
    let after = table(&host, 65_537);
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    let own = before.iter().filter(|&&id| id == lost).count();
    assert!(after.iter().all(|&id| id != lost));
    assert!(moved - own < 65_537 * 4 / 100, "{moved} moved, {own} had to");
}

#[test]
fn positions_do_not_matter() {
    let mut host = Host::with_weights(&[3, 1, 4, 1, 5]);
    let before = table(&host, 251);
    host.endpoints.rotate_left(2);
    assert_eq!(before, table(&host, 251));
}

#[test]
fn the_key_is_what_the_settings_say() {
    let host = Host::with_endpoints(100).header("cookie", "a=1; session=xyz").header("x-user", "ann");
    let pick = |settings: &str, change: fn(&mut Host)| {
        let mut plugin = plugin_for(&host, settings);
        mock::host(change);
        let context = mock::host(|host| host.pick_context());
        plugin.pick(&context).unwrap()
    };
    let other_client = |host: &mut Host| host.client = [198, 51, 100, 7].into();
    let no_headers = |host: &mut Host| host.headers.clear();
    let other_path = |host: &mut Host| host.path = Some("/other".to_owned());
    let same = |_: &mut Host| {};
    for key in [r#"{"header": "X-User"}"#, r#"{"cookie": "session"}"#, r#""path""#] {
        let settings = format!(r#"{{"hash-key": {key}}}"#);
        assert_eq!(pick(&settings, same), pick(&settings, other_client), "{key}");
    }
    assert_ne!(pick("{}", same), pick("{}", other_client));
    let path = r#"{"hash-key": "path"}"#;
    assert_ne!(pick(path, same), pick(path, other_path));
    // Without the header: by client address, as by default.
    assert_eq!(pick(r#"{"hash-key": {"header": "x-user"}}"#, no_headers), pick("{}", same));
}

#[test]
fn wrong_settings_are_explained() {
    let refused = |settings| Maglev::configure(settings).err().unwrap();
    assert_eq!(
        refused(r#"{"table-size": 65536}"#),
        "\"table-size\" must be a prime up to 1048573; 65536 is not, 65537 would be"
    );
    assert!(refused(r#"{"table-size": 4294967291}"#).ends_with("1048573 would be"));
    assert_eq!(refused(r#"{"tabel-size": 7}"#), r#"unknown setting "tabel-size"; did you mean "table-size"?"#);
    assert_eq!(
        refused(r#"{"hash-key": "client-adress"}"#),
        r#"unknown value "client-adress"; did you mean "client-address"?"#
    );
}

/// The twin: the pseudocode of the paper, with weights as credit that each round adds to.
fn paper(host: &Host, healthy: &[u32], size: u64) -> Vec<u32> {
    let mut order = healthy.to_vec();
    order.sort_by_key(|&i| {
        let endpoint = &host.endpoints[i as usize];
        (u32::MAX - endpoint.weight, endpoint.id)
    });
    let permutation = |&i: &u32| -> Vec<u64> {
        let first = hash::mix(host.endpoints[i as usize].id);
        let offset = first % size;
        let skip = hash::mix(first ^ 0x9e37_79b9_7f4a_7c15) % (size - 1) + 1;
        (0..size).map(|j| (offset + j * skip) % size).collect()
    };
    let permutations: Vec<Vec<u64>> = order.iter().map(permutation).collect();
    let weight = |i: u32| host.endpoints[i as usize].weight;
    let largest = order.iter().map(|&i| weight(i)).max().unwrap_or(1);
    let mut credit = vec![0; order.len()];
    let mut entry: Vec<Option<u32>> = vec![None; size as usize];
    while !order.is_empty() && entry.contains(&None) {
        for (i, &endpoint) in order.iter().enumerate() {
            credit[i] += weight(endpoint);
            if credit[i] < largest {
                continue;
            }
            credit[i] -= largest;
            let free = permutations[i].iter().find(|&&slot| entry[slot as usize].is_none());
            if let Some(&slot) = free {
                entry[slot as usize] = Some(endpoint);
            }
        }
    }
    entry.into_iter().flatten().collect()
}

#[test]
fn is_the_paper() {
    const SIZE: u64 = 31;
    let mut plugin = Maglev::configure(r#"{"table-size": 31}"#).unwrap();
    let mut twin = Vec::new();
    mock::walk(&mut plugin, 41, 100_000, |step| {
        let healthy = step.healthy();
        if step.updated {
            twin = paper(step.host, &healthy, SIZE);
        }
        if twin.is_empty() {
            return;
        }
        let attempt = u64::from(step.context.attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = hash::mix(step.context.client ^ attempt) >> 32;
        let slot = (key as f64 / 4_294_967_296.0 * twin.len() as f64) as usize;
        let is_eligible = |i: &u32| step.host.endpoints[*i as usize].eligible();
        let expected = (0..twin.len()).map(|i| twin[(slot + i) % twin.len()]).find(is_eligible);
        if expected.is_some() {
            assert_eq!(step.picked, expected);
        }
    });
}

#[test]
fn lopsided_weights_fill_the_table_in_time() {
    let mut weights = vec![1; 1000];
    weights[0] = 65_535;
    let host = Host::with_weights(&weights);
    let counts = counts(&table(&host, 65_537), &host);
    assert!(counts[0] > 64_000, "{}", counts[0]);
    let mut random = Random::new(1);
    let mut plugin = plugin_for(&host, "{}");
    let mut context = host.pick_context();
    context.client = random.next();
    assert!(plugin.pick(&context).is_some());
}
