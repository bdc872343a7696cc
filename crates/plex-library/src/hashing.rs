//! The hash of everything that passes, made by a thread of its own: reading and comparing go on meanwhile.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes handed over at once.
const BATCH: usize = 512 * 1024;

/// Batches that may wait to be hashed.
const WAITING: usize = 4;

/// A BLAKE3 in the making.
#[derive(Debug)]
pub(crate) struct Hashing {
    batch: Vec<u8>,
    full: SyncSender<Arc<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<blake3::Hash>,
}

impl Hashing {
    pub(crate) fn begin() -> Self {
        let (full, work) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let (done, empty) = sync_channel(WAITING + 2);
        let thread = std::thread::spawn(move || {
            let mut hash = blake3::Hasher::new();
            for batch in work {
                hash.update(&batch);
                // What is shared goes back by itself, and nobody takes anything back any more at the very end.
                if let Ok(batch) = Arc::try_unwrap(batch) {
                    _ = done.try_send(batch);
                }
            }
            hash.finalize()
        });
        Self {
            batch: Vec::with_capacity(2 * BATCH),
            full,
            empty,
            thread,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    /// As [`Hashing::update`], of bytes that need not be copied.
    pub(crate) fn update_shared(&mut self, bytes: &Arc<Vec<u8>>) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
        // As in `hand_over`.
        _ = self.full.send(Arc::clone(bytes));
    }

    fn hand_over(&mut self) {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.clear();
        // It fails only if the thread panicked, which `finish` passes on.
        _ = self.full.send(Arc::new(std::mem::replace(&mut self.batch, next)));
    }

    pub(crate) fn finish(mut self) -> blake3::Hash {
        self.hand_over();
        drop(self.full);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_hash_of_the_whole() {
        let whole: Vec<u8> = (0..5_000_003_u32).map(|n| ((n * 31) >> 3) as u8).collect();
        for size in [1000, 4096, 700_000, 5_000_003] {
            let mut hashing = Hashing::begin();
            whole.chunks(size).for_each(|piece| hashing.update(piece));
            assert_eq!(hashing.finish(), blake3::hash(&whole), "{size}");
        }
        assert_eq!(Hashing::begin().finish(), blake3::hash(b""));
        let mut hashing = Hashing::begin();
        for (n, piece) in whole.chunks(100_000).enumerate() {
            match n % 3 {
                0 => hashing.update(piece),
                _ => hashing.update_shared(&Arc::new(piece.to_vec())),
            }
        }
        assert_eq!(hashing.finish(), blake3::hash(&whole));
    }
}
