//! Streamed strings and aggregates (RESP3, "Streamed strings", "Streamed aggregated data types").

use aquests_protocols::redis::{Value, parse};

use super::*;

#[test]
fn a_streamed_string_is_told_in_parts_and_ends_with_an_empty_one() {
    let run = asked3(&["A", "B"], "$?\r\n;4\r\nHell\r\n;5\r\no \r\n!\r\n;0\r\n+b\r\n");
    assert_eq!(told(&run), ["0 bulk", "0 \"Hello \\r\\n!\" done", "1 +b\\r\\n done"]);
    let run = asked3(&["A"], "$?\r\n;0\r\n");
    assert_eq!(told(&run), ["0 bulk", "0 \"\" done"]);
}

#[test]
fn parts_out_of_order_are_a_violation() {
    let error = |peer: &str| asked3(&["A"], peer).error;
    for peer in ["$?\r\n+a", "$?\r\n$", "$?\r\n.", "$?\r\n>", "$?\r\n;1\r\na\r\n:"] {
        assert_eq!(error(peer), broken(Violation::Stream), "{peer:?}");
    }
    for peer in ["$?\r\n;-", "$?\r\n;\r\n", "$?\r\n;01\r\n", "$?\r\n;x", "$?\r\n;1\n", "$?\r\n;99999999999999999999"] {
        assert_eq!(error(peer), broken(Violation::Length), "{peer:?}");
    }
    for peer in ["$?\r\n;1\r\naaa", "$?\r\n;1\r\na\ra"] {
        assert_eq!(error(peer), broken(Violation::Bulk), "{peer:?}");
    }
    for peer in [";", ".", "*1\r\n.", "*1\r\n;", "*?\r\n;"] {
        refuses(peer, Violation::Stream);
    }
}

#[test]
fn streamed_aggregates_are_told_whole_at_their_end() {
    let replies = [
        "*?\r\n:1\r\n:2\r\n.\r\n",
        "*?\r\n.\r\n",
        "~?\r\n+a\r\n.\r\n",
        "%?\r\n+a\r\n*?\r\n.\r\n+b\r\n%?\r\n.\r\n.\r\n",
        "*2\r\n$?\r\n;1\r\na\r\n;2\r\nbc\r\n;0\r\n*?\r\n$?\r\n;0\r\n|1\r\n+k\r\n+v\r\n:7\r\n.\r\n",
    ];
    let run = asked3(&["A", "B", "C", "D", "E"], replies.concat());
    let lines: Vec<_> =
        replies.iter().enumerate().map(|(id, it)| format!("{id} {} done", it.as_bytes().escape_ascii())).collect();
    assert_eq!((told(&run), run.error), (lines, None));
    let owned = |bytes: &str| parse(bytes.as_bytes(), Limits::default()).unwrap().unwrap().0.to_value();
    let empty = || Value::Array(vec![]);
    let (a, b) = (Value::Simple(b"a".into()), Value::Simple(b"b".into()));
    assert_eq!(owned(replies[3]), Value::Map(vec![(a, empty()), (b, Value::Map(vec![]))]));
    assert_eq!(owned("*3\r\n*?\r\n.\r\n*?\r\n.\r\n:1\r\n"), Value::Array(vec![empty(), empty(), Value::Integer(1)]));
    let (value, _) = parse(replies[4].as_bytes(), Limits::default()).unwrap().unwrap();
    let Value::Array(values) = value.to_value() else { panic!("{value:?}") };
    assert_eq!(values[0], Value::Bulk(b"abc".into()));
    assert_eq!(values[1].as_slice().unwrap()[1].as_i64(), Some(7));
}

#[test]
fn a_streamed_map_ends_behind_a_pair() {
    refuses("%?\r\n+a\r\n.\r\n", Violation::Stream);
    refuses("%?\r\n+a\r\n+b\r\n+c\r\n.\r\n", Violation::Stream);
    refuses("*?\r\n.x\r\n", Violation::Stream);
}
