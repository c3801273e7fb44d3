//! A client against a server, in memory.

use super::{Dice, Run, Side, in_context, show};
use crate::Protocol;

/// A client's and a server's machine, and the wire between them.
///
/// See the [module](super#example) for an example.
pub struct Pair<C: Protocol + 'static, S: Protocol + 'static, T, U> {
    client: Side<C, T>,
    server: Side<S, U>,
}

/// What went over the wire in one direction.
#[derive(Default)]
struct Sent {
    bytes: Vec<u8>,
    /// The receiver was told that the sender is over.
    eof: bool,
}

/// So many pieces at most: two machines that answer each other without end are a fault of one of them.
const PIECES: usize = 1 << 22;

impl<C: Protocol + 'static, S: Protocol + 'static, T, U> Pair<C, S, T, U> {
    /// What each does is in its [`Side::acting`].
    pub fn new(client: Side<C, T>, server: Side<S, U>) -> Self {
        Self { client, server }
    }

    /// Carries bytes both ways, in pieces that follow from `seed`, until nothing moves; a side that is over hangs up.
    /// Then accounts for every exchange of both.
    pub fn run(self, seed: u64) -> (Run<T>, Run<U>) {
        let test = |[to_server, to_client]: &mut [Sent; 2]| {
            let Self { mut client, mut server } = self;
            let mut dice = Dice::new(seed);
            client.receive(b"", false);
            server.receive(b"", false);
            for _ in 0..PIECES {
                let moved = carry(&mut client, &mut server, to_server, &mut dice);
                if !carry(&mut server, &mut client, to_client, &mut dice) && !moved {
                    return (client.finish(), server.finish());
                }
            }
            panic!("client and server find no end");
        };
        in_context(&mut Default::default(), test, |[to_server, to_client]| {
            let (client, server) = (show(&to_server.bytes), show(&to_client.bytes));
            format!("seed {seed}, the client sent {client}, the server sent {server}")
        })
    }
}

/// One piece, or the end.
fn carry<A: Protocol + 'static, B: Protocol + 'static, T, U>(
    from: &mut Side<A, T>,
    to: &mut Side<B, U>,
    sent: &mut Sent,
    dice: &mut Dice,
) -> bool {
    if from.out.is_empty() {
        let ends = from.is_over() && !sent.eof;
        if ends {
            sent.eof = true;
            to.receive(b"", true);
        }
        return ends;
    }
    let piece: Vec<u8> = from.out.drain(..dice.piece(from.out.len())).collect();
    sent.bytes.extend_from_slice(&piece);
    to.receive(&piece, false);
    true
}
