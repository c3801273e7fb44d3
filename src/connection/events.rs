//! From bytes to the handler: every event in what is unread, one after the other, and what the handler wants done about
//! it. Reads and writes nothing.

use aquests_protocols::{Error, Event, ExchangeId, Input, Protocol};

use super::State;
use crate::handler::{At, Flow, Handler};
use crate::reason::Reason;
use crate::transport::Transport;

/// Why the loop over events stopped.
pub(super) enum Stop {
    NeedData,
    Paused,
    StartTls,
    Closed(Reason),
}

/// What is to be done when the event, and with it the borrow of the machine, is gone.
enum Todo {
    Next,
    Hold(ExchangeId),
    Cancel(ExchangeId),
    Switch(ExchangeId),
    Stop(Stop),
}

/// Hands all events in `bytes` to the handler.
#[allow(clippy::too_many_arguments)] // These are parts of one connection, borrowed apart.
pub(super) fn receive<P: Protocol, H: Handler<P>>(
    state: &mut State<P>,
    transport: &Transport,
    at: At,
    handler: &mut H,
    bytes: &[u8],
    eof: bool,
    used: &mut usize,
    out: &mut Vec<u8>,
    need: &mut usize,
) -> Stop {
    let State::Open(protocol) = state else { return Stop::NeedData };
    loop {
        let input = Input { bytes: &bytes[*used..], eof };
        // The event must be gone before the machine can be asked for anything else.
        let todo = {
            let (consumed, event) = match protocol.receive(input, out) {
                Ok(step) => step,
                Err(error) => return Stop::Closed(Reason::Protocol(error)),
            };
            *used += consumed;
            match event {
                Event::NeedData { at_least } => {
                    *need = at_least.max(bytes.len() - *used + 1);
                    Todo::Stop(Stop::NeedData)
                }
                Event::Progress => Todo::Next,
                Event::Paused => Todo::Stop(Stop::Paused),
                Event::Message { id, message, done } => match handler.on_message(at, Some(id), message, done) {
                    Flow::Hold if !done => Todo::Hold(id),
                    Flow::Cancel if !done => Todo::Cancel(id),
                    _ => Todo::Next,
                },
                Event::Push(message) => {
                    handler.on_message(at, None, message, true);
                    Todo::Next
                }
                Event::Failed { id, error, replay } => {
                    handler.on_failed(at, id, &Reason::Protocol(error), replay);
                    Todo::Next
                }
                Event::StartTls => Todo::Stop(Stop::StartTls),
                Event::Switched { id } => Todo::Switch(id),
                Event::Closed => Todo::Stop(Stop::Closed(Reason::Finished)),
            }
        };
        match todo {
            Todo::Next => {}
            Todo::Stop(stop) => return stop,
            Todo::Hold(id) => protocol.hold(id),
            Todo::Cancel(id) => {
                if !protocol.cancel(id, out) {
                    return Stop::Closed(Reason::Owner);
                }
            }
            Todo::Switch(id) => match handler.switched(at, id) {
                // The unread bytes stay where they are: they are the new machine's.
                Some(next) => {
                    *protocol = next;
                    protocol.connected(transport.established(), out);
                }
                None => return Stop::Closed(Reason::Finished),
            },
        }
    }
}

/// Tells the handler of every exchange that a machine leaves behind.
pub(super) fn disown<P: Protocol, H: Handler<P>>(protocol: &mut P, at: At, handler: &mut H, reason: &Reason) {
    // The rule of the end, for all machines: what was open when the stream ended was cut off.
    const CUT_OFF: &Reason = &Reason::Protocol(Error::UnexpectedEof);
    while let Some((id, replay)) = protocol.unfinished() {
        handler.on_failed(at, id, if matches!(reason, Reason::Ended) { CUT_OFF } else { reason }, replay);
    }
}
