//! Ranges of a file, asked for and waited for. Parsers are plain `async` functions, so the
//! compiler makes the state machine that stops at every missing range.

use super::{Need, Refusal};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// First look at a file: enough for the metadata of most pictures.
const HEAD: usize = 64 * 1024;
/// Most ranges asked of one file; a file of 4 GB read through in the largest windows needs fewer.
const MAX_NEEDS: u32 = 20_000;
/// Most bytes handed out of one file, and how often all of it: no parser needs more, but one that parts
/// of a made-up file send to the same place again and again.
const MAX_READ: u64 = 16 << 20;
const MAX_PASSES: u64 = 8;
/// For parsers that go through a whole file. Browsers read large ranges much faster than small ones.
pub(super) const LONG_WINDOW: usize = 8 << 20;

/// What is at hand, and what is wanted.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) wanted: Option<Need>,
    start: u64,
    bytes: Vec<u8>,
    needs: u32,
    handed_out: u64,
}

impl Slot {
    pub(super) fn supply(&mut self, mut bytes: Vec<u8>) {
        let Some(need) = self.wanted.take() else { return };
        bytes.truncate(need.length);
        self.start = need.offset;
        self.bytes = bytes;
    }

    /// From `at` to the end of what is at hand.
    fn from(&self, at: u64) -> &[u8] {
        at.checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| self.bytes.get(skip..))
            .unwrap_or_default()
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    slot: Rc<RefCell<Slot>>,
    size: u64,
}

impl Reader {
    pub(super) fn new(slot: Rc<RefCell<Slot>>, size: u64) -> Self {
        Self { slot, size }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes, as many as there are.
    pub(super) async fn head(&self) -> Vec<u8> {
        let least = usize::try_from(self.size).unwrap_or(HEAD).min(4096);
        if least == 0 || self.ensure(0, least, HEAD).await.is_err() {
            return Vec::new();
        }
        self.slot.borrow().from(0).to_vec()
    }

    /// Exactly `length` bytes from `at`.
    pub(super) async fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, Refusal> {
        self.read_ahead(at, length, 4096).await
    }

    /// The same, asking for `window` bytes where a range is missing: for parsers that go forward.
    pub(super) async fn read_ahead(
        &self,
        at: u64,
        length: usize,
        window: usize,
    ) -> Result<Vec<u8>, Refusal> {
        self.ensure(at, length, window).await?;
        let mut slot = self.slot.borrow_mut();
        slot.handed_out += length as u64;
        if slot.handed_out / MAX_PASSES > self.size + MAX_READ / MAX_PASSES {
            return Err(Refusal::TooComplex);
        }
        slot.from(at).get(..length).map(<[u8]>::to_vec).ok_or(Refusal::Truncated)
    }

    /// Looks at the bytes from `at` on, at least one and at most `window`, without copying them.
    pub(super) async fn look<T>(
        &self,
        at: u64,
        window: usize,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Refusal> {
        self.ensure(at, 1, window).await?;
        Ok(look(self.slot.borrow().from(at)))
    }

    /// Whether there are only zeros from `from` to `to`.
    pub(super) async fn is_zero(&self, mut from: u64, to: u64) -> Result<bool, Refusal> {
        while from < to {
            let left = usize::try_from(to - from).unwrap_or(usize::MAX);
            let (seen, is_clear) = self
                .look(from, left.min(LONG_WINDOW), |bytes| {
                    let bytes = bytes.get(..left).unwrap_or(bytes);
                    (bytes.len(), bytes.iter().all(|byte| *byte == 0))
                })
                .await?;
            if !is_clear {
                return Ok(false);
            }
            from += seen as u64;
        }
        Ok(true)
    }

    async fn ensure(&self, at: u64, least: usize, window: usize) -> Result<(), Refusal> {
        let end = at.checked_add(least as u64).ok_or(Refusal::Truncated)?;
        if end > self.size {
            return Err(Refusal::Truncated);
        }
        if self.slot.borrow().from(at).len() >= least {
            return Ok(());
        }
        {
            let mut slot = self.slot.borrow_mut();
            slot.needs += 1;
            if slot.needs > MAX_NEEDS {
                return Err(Refusal::TooComplex);
            }
            // Long ones follow each other without gaps, so that the page can read the next in advance.
            let offset = if window < LONG_WINDOW { at } else { at - at % window as u64 };
            let end = end.max(offset.saturating_add(window as u64)).min(self.size);
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX);
            slot.wanted = Some(Need { offset, length });
        }
        poll_fn(|_| match self.slot.borrow().wanted {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        })
        .await;
        // The file became shorter while it was read.
        if self.slot.borrow().from(at).len() < least {
            return Err(Refusal::Truncated);
        }
        Ok(())
    }
}
