//! What HTTP says, as it comes: heads, interim answers, bodies, trailers.

use super::core::Core;
use super::exchange::{Stage, Upgrade};
use crate::protocols::ExchangeId;
use crate::protocols::semantics::{Message, ResponseHead};
use crate::reactor::{At, Flow};

impl Core {
    /// A message, or a part of one.
    pub(super) fn on_http(
        &mut self,
        at: At,
        id: ExchangeId,
        message: Message<'_, ResponseHead<'_>>,
        done: bool,
    ) -> Flow {
        let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
        match message {
            Message::Informational(head) => {
                if head.status == 100 && exchange.stage == Stage::Expecting {
                    self.send_body(id, at.now);
                }
            }
            Message::Head(head) => {
                if exchange.upgrade != Upgrade::No && self.agrees(at.tag as usize, id, &head) {
                    return Flow::Continue;
                }
                let Some(exchange) = self.exchanges.get(id) else { return Flow::Cancel };
                let asks = exchange.request.streams.as_mut().and_then(|streams| streams.expect.take());
                if let Some(plain) = asks
                    && head.status == 417
                    && self.ask_no_more(at, id, plain)
                {
                    return Flow::Cancel;
                }
                if let Err(flow) = self.answer_begins(at, id, &head) {
                    return flow;
                }
            }
            Message::Data(bytes) => match self.answer_goes_on(at, id, bytes) {
                Ok(Flow::Continue) => {}
                Ok(Flow::Hold) if done => {}
                Ok(flow) | Err(flow) => return flow,
            },
            Message::Trailers(fields) => exchange.collected.set_trailers(fields),
        }
        if done {
            self.answer_ends(at, id);
        }
        Flow::Continue
    }
}
