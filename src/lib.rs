//! Asks many servers many things at once, from one thread, without tokio.

mod buffer;
mod client;
mod connection;
mod error;
mod handler;
mod listener;
#[cfg(feature = "load")]
pub mod load;
mod logger;
mod pool;
mod precise;
pub mod reactor;
mod report;
mod resolve;
mod time;
mod timers;
mod transport;
mod url;
mod wire;

pub use aquests_protocols as protocols;
pub use client::{
    BoxError, Builder, Client, Handle, Outcome, Rejected, Request, RequestId, Response, Session, Timings,
};
pub use error::{Error, ErrorKind, Phase};
pub use http;
pub use logger::Logger;
pub use report::{Latency, Report};
pub use url::Url;
