//! Buffers to copy through, reused by all connections of a worker. A connection holds one only
//! while bytes are on their way, so ten thousand idle connections hold none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Goes back to its worker when dropped. What it holds is left over from other connections: only
/// what was read into it may be looked at.
pub struct Buffer(Box<[u8]>);

impl Buffer {
    /// Bytes.
    pub const SIZE: usize = 64 << 10;
    /// How many a worker keeps: 4 MiB. Above that, as many connections have a slow receiver.
    const KEPT: usize = 64;

    pub fn take() -> Self {
        let free = FREE.with(|free| free.borrow_mut().pop());
        Self(free.unwrap_or_else(|| vec![0; Self::SIZE].into_boxed_slice()))
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // While the thread ends there is no list any more, and no need of one.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < Self::KEPT {
                free.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_the_next_one_taken() {
        let first = Buffer::take();
        let address = first.as_ptr();
        drop(first);
        assert_eq!(Buffer::take().as_ptr(), address);
    }

    #[test]
    fn a_worker_keeps_only_so_many() {
        drop((0..2 * Buffer::KEPT).map(|_| Buffer::take()).collect::<Vec<_>>());
        assert_eq!(FREE.with(|free| free.borrow().len()), Buffer::KEPT);
    }
}
