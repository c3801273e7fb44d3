//! An allocator that counts, for test binaries of their own, of this crate and of those above it:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: counting::Counting = counting::Counting;
//! ```
//!
//! It counts per thread: tests run beside each other, and servers in the same process are not counted. What may be
//! allocated is said by the tests and never here.

#![allow(unsafe_code)] // A global allocator cannot be had without.
#![allow(dead_code)] // No binary needs all of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub(crate) struct Counting;

/// What one thread did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Allocations and reallocations.
    pub(crate) allocations: u64,
    /// Bytes that were asked for in them, given back or not.
    pub(crate) bytes: u64,
    /// Bytes allocated and not given back. Negative where a thread gives back what another allocated.
    pub(crate) live: i64,
    /// The most bytes that were live.
    pub(crate) peak: i64,
}

thread_local! {
    // Constant and without a destructor: reading it allocates nothing, at any time of a thread's life.
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, bytes: 0, live: 0, peak: 0 }) };
}

/// What this thread did so far.
pub(crate) fn counts() -> Counts {
    COUNTS.get()
}

/// Allocations while `work` runs, and the bytes that were asked for in them.
pub(crate) fn counted(work: impl FnOnce()) -> (u64, u64) {
    let before = counts();
    work();
    let after = counts();
    (after.allocations - before.allocations, after.bytes - before.bytes)
}

/// The most bytes that are in use while `work` runs, beyond those before it.
pub(crate) fn peak(work: impl FnOnce()) -> i64 {
    let before = counts();
    COUNTS.set(Counts { peak: before.live, ..before });
    work();
    counts().peak - before.live
}

fn allocated(bytes: usize, more: i64) {
    let mut counts = COUNTS.get();
    counts.allocations += 1;
    counts.bytes += bytes as u64;
    counts.live += more;
    counts.peak = counts.peak.max(counts.live);
    COUNTS.set(counts);
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size(), layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let counts = COUNTS.get();
        COUNTS.set(Counts { live: counts.live - layout.size() as i64, ..counts });
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size(), layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        allocated(size, size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
