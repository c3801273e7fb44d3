//! The terminal behind standard error: whether there is one, how large it is, and a screen of our own on it that is
//! always given back. Plain ECMA-48 sequences; what is drawn is said elsewhere, and standard output is never touched.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether words on standard error are read on a terminal that can do more than print lines.
pub(crate) fn is_there() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colours are wanted (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns and rows.
pub(crate) fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or((80, 24), |(width, height)| (width.0.max(20).into(), height.0.max(4).into()))
}

/// Our screen is up.
static UP: AtomicBool = AtomicBool::new(false);

/// Another screen, without a cursor; what was there before comes back when this is dropped, when a thread panics, and
/// when [`restore`] is called.
#[derive(Debug)]
pub(crate) struct Screen(());

impl Screen {
    pub(crate) fn open() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            // First, so that its words are not lost with our screen.
            panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        UP.store(true, Ordering::SeqCst);
        let _ = io::stderr().lock().write_all(b"\x1b[?1049h\x1b[?25l\x1b[2J");
        Screen(())
    }

    /// Shows lines from the top. They must fit.
    pub(crate) fn show(&self, lines: &[String]) {
        // In one piece, and (where the terminal knows mode 2026) seen in one piece.
        let text = format!("\x1b[?2026h\x1b[H{}\x1b[0m\x1b[K\x1b[J\x1b[?2026l", lines.join("\x1b[0m\x1b[K\r\n"));
        let mut stderr = io::stderr().lock();
        // Held together by the lock: after a restore nothing is drawn any more.
        if UP.load(Ordering::SeqCst) {
            let _ = stderr.write_all(text.as_bytes());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the screen back, if ours is up.
pub(crate) fn restore() {
    let mut stderr = io::stderr().lock();
    if UP.swap(false, Ordering::SeqCst) {
        let _ = stderr.write_all(b"\x1b[0m\x1b[?25h\x1b[?1049l");
    }
}
