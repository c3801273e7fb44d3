//! An allocator that counts, per thread, for a test binary of its own:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: support::counting::Counting = support::counting::Counting;
//! ```
//!
//! Per thread, so that servers and the test harness in the same process are not counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub(crate) struct Counting;

/// What one thread did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Allocations and reallocations.
    pub(crate) allocations: u64,
    /// Bytes allocated and not given back. Negative where a thread gives back what another allocated.
    pub(crate) live: i64,
    /// The most bytes that were live.
    pub(crate) peak: i64,
}

thread_local! {
    // Constant and without a destructor: reading it allocates nothing, at any time of a thread's life.
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, live: 0, peak: 0 }) };
}

/// What this thread did so far.
pub(crate) fn counts() -> Counts {
    COUNTS.get()
}

/// Lets the peak of this thread begin anew.
pub(crate) fn forget_peak() {
    let counts = COUNTS.get();
    COUNTS.set(Counts { peak: counts.live, ..counts });
}

fn count(allocations: u64, bytes: i64) {
    let mut counts = COUNTS.get();
    counts.allocations += allocations;
    counts.live += bytes;
    counts.peak = counts.peak.max(counts.live);
    COUNTS.set(counts);
}

// SAFETY: every call goes on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
