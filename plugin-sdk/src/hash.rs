//! Hashing of numbers. Addresses, headers, cookies and paths come hashed from the host.

/// The finalizer of `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
/// 2014): a bijection of 64 bits in which each bit of the input moves about half of the output.
#[inline]
pub const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Bytes (a salt from the settings), by FNV-1a and [`mix`].
pub fn bytes(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// Maps 32 evenly spread bits to a number below `bound`, with a multiplication (Lemire, 2019).
/// The rounding favours no number by more than `bound / 2^32`.
#[inline]
pub const fn below(bits: u32, bound: u32) -> u32 {
    ((bits as u64 * bound as u64) >> 32) as u32
}
