//! Hands bodies to a filter as the proxy does.

use crate::{BodyFilter, Delivery, Verdict};

/// What a filter is handed at once.
pub const MOST_AT_ONCE: usize = 64 << 10;

/// What comes out of a request's body that arrives in these pieces; none when the filter cut it off.
/// An answer that it gave stands in the [`Host`](super::Host).
pub fn pass_request(filter: &mut impl BodyFilter, pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let delivery = filter.deliveries().request;
    pass(delivery, pieces, |chunk, end| filter.on_request_body(chunk, end))
}

/// The same of a response's.
pub fn pass_response(filter: &mut impl BodyFilter, pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let delivery = filter.deliveries().response;
    pass(delivery, pieces, |chunk, end| filter.on_response_body(chunk, end))
}

fn pass(delivery: Delivery, pieces: &[&[u8]], mut call: impl FnMut(Vec<u8>, bool) -> Verdict) -> Option<Vec<u8>> {
    let whole = pieces.concat();
    let chunks: Vec<&[u8]> = match delivery {
        Delivery::Never => return Some(whole),
        Delivery::Whole => vec![&whole],
        Delivery::Chunks => pieces.iter().flat_map(|piece| piece.chunks(MOST_AT_ONCE)).collect(),
    };
    // The end of a body without a last piece comes by itself.
    let chunks = if chunks.is_empty() { vec![&[][..]] } else { chunks };
    let mut passed = Vec::new();
    for (position, chunk) in chunks.iter().enumerate() {
        match call(chunk.to_vec(), position + 1 == chunks.len()) {
            Verdict::Pass => passed.extend_from_slice(chunk),
            Verdict::Replace(bytes) => passed.extend_from_slice(&bytes),
            Verdict::Abort => return None,
        }
    }
    Some(passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Wishes, mock, request, request_edit};

    /// Counts into a note, shouts, and takes no `!`.
    struct Shout(Delivery);

    impl BodyFilter for Shout {
        fn deliveries(&self) -> Wishes {
            Wishes::requests(self.0)
        }

        fn on_request_body(&mut self, mut chunk: Vec<u8>, end: bool) -> Verdict {
            if chunk.contains(&b'!') {
                return Verdict::Abort;
            }
            let calls = request::note("calls").map_or(0, |calls| calls.parse::<u32>().unwrap());
            request_edit::set_note("calls", &(calls + 1).to_string()).unwrap();
            chunk.make_ascii_uppercase();
            if end {
                chunk.push(b'.');
            }
            Verdict::Replace(chunk)
        }
    }

    #[track_caller]
    fn check(delivery: Delivery, pieces: &[&[u8]], expected: Option<&[u8]>, calls: Option<&str>) {
        mock::Host::default().install();
        let passed = pass_request(&mut Shout(delivery), pieces);
        assert_eq!((passed.as_deref(), request::note("calls").as_deref()), (expected, calls));
    }

    #[test]
    fn a_body_comes_as_the_filter_wants_it() {
        check(Delivery::Never, &[b"a", b"b!"], Some(b"ab!"), None);
        check(Delivery::Chunks, &[b"a", b"b"], Some(b"AB."), Some("2"));
        check(Delivery::Whole, &[b"a", b"b"], Some(b"AB."), Some("1"));
        check(Delivery::Chunks, &[], Some(b"."), Some("1"));
        check(Delivery::Whole, &[], Some(b"."), Some("1"));
        check(Delivery::Chunks, &[b"a", b"!"], None, Some("1"));
        let long = vec![b'A'; 2 * MOST_AT_ONCE];
        let shouted = [&long[..], b"."].concat();
        check(Delivery::Chunks, &[&long], Some(&shouted), Some("2"));
    }

    #[test]
    fn what_is_not_wanted_passes() {
        assert_eq!(pass_response(&mut Shout(Delivery::Whole), &[b"a!"]), Some(b"a!".to_vec()));
    }
}
