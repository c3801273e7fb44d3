//! Asks many servers many things at once, from one thread, without tokio.

mod buffer;
mod connection;
mod handler;
mod listener;
mod precise;
pub mod reactor;
mod time;
mod timers;
mod transport;

pub use aquests_protocols as protocols;
