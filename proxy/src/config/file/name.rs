//! Names: which known one was probably meant, and what a host name looks like.

/// More names than this help nobody.
const SHOWN: usize = 24;

/// `did you mean …?` where a known name is near, and all of them in any case.
pub fn suggest<'n>(written: &str, what: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    let mut list: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if known.len() > SHOWN {
        list.push(format!("and {} more", known.len() - SHOWN));
    }
    let list = list.join(", ");
    match nearest(written, &known) {
        Some(name) => format!("did you mean `{name}`? {what}: {list}"),
        None => format!("{what}: {list}"),
    }
}

fn nearest<'n>(written: &str, known: &[&'n str]) -> Option<&'n str> {
    let written = written.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&written, name), *name))
        .filter(|(distance, name)| *distance <= (name.len().max(written.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters, digits, `-` and `_` in labels of 1 to 63, as RFC 1123 and practice have it. A name whose
/// last label is a number is a mistyped IPv4 address, which resolvers would take for something else.
pub fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let known = ["address", "routes", "idle-timeout"];
        assert_eq!(nearest("adress", &known), Some("address"));
        assert_eq!(nearest("idle_timeout", &known), Some("idle-timeout"));
        assert_eq!(nearest("ruotes", &known), Some("routes"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn host_names() {
        for good in ["localhost", "a.example.com", "my_service", "10.example", "x1"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", "a..b", "127.0.0", "300.1.1.1", "-a", "a b", "é.fr", "a.", &"a".repeat(64)] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
