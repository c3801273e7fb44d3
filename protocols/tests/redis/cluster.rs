//! Slots and redirects (Redis cluster specification).

use aquests_protocols::redis::{ErrorReply, Redirect, SLOTS, slot};

/// "Appendix A: CRC16 reference implementation", and what `CLUSTER KEYSLOT` of a real server says.
#[test]
fn slots_are_those_of_the_specification() {
    assert_eq!(slot(b"123456789"), 0x31c3);
    for (key, expected) in
        [("foo", 12182), ("bar", 5061), ("hello", 866), ("", 0), ("somekey", 11058), ("{user1000}.following", 3443)]
    {
        assert_eq!(slot(key.as_bytes()), expected, "{key:?}");
    }
    assert!((0..=255).all(|byte| slot(&[byte, byte]) < SLOTS));
}

/// "Hash tags": the examples.
#[test]
fn only_a_hash_tag_that_is_not_empty_counts() {
    assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
    assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
    assert_eq!([slot(b"foo{{bar}}zap"), slot(b"{bar")], [4015; 2]);
    assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    // All of it: what is between the first braces is empty, or there is no end.
    assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
    assert_eq!(slot(b"foo{}{bar}"), 8363);
    assert_ne!(slot(b"foo{bar"), slot(b"bar"));
    assert_ne!(slot(b"}foo{bar"), slot(b"bar"));
    assert_eq!(slot(b"}{bar}"), slot(b"bar"));
}

#[test]
fn redirects_are_read_from_errors() {
    let read = |text: &str| ErrorReply::new(text).as_ref().redirect().map(|redirect| format!("{redirect:?}"));
    let moved = |slot, host, port| Some(format!("{:?}", Redirect::Moved { slot, host, port }));
    assert_eq!(read("MOVED 3999 127.0.0.1:6381"), moved(3999, "127.0.0.1", 6381));
    assert_eq!(read("MOVED 16383 node.example.org:1"), moved(16383, "node.example.org", 1));
    assert_eq!(read("MOVED 0 2001:db8::1:6381"), moved(0, "2001:db8::1", 6381));
    assert_eq!(read("MOVED 0 :6381"), moved(0, "", 6381));
    assert_eq!(read("MOVED 0 ?:6381"), moved(0, "", 6381));
    let ask = format!("{:?}", Redirect::Ask { slot: 3999, host: "127.0.0.1", port: 6381 });
    assert_eq!(read("ASK 3999 127.0.0.1:6381"), Some(ask));
    assert_eq!(read("TRYAGAIN Multiple keys request during rehashing of slot"), Some("TryAgain".into()));
    assert_eq!(read("CLUSTERDOWN Hash slot not served"), Some("ClusterDown".into()));
    for none in [
        "MOVED",
        "MOVED 3999",
        "MOVED 16384 h:1",
        "MOVED -1 h:1",
        "MOVED 99999 h:1",
        "MOVED 1 h",
        "MOVED 1 h:0",
        "MOVED 1 h:65536",
        "MOVED 1 h:x",
        "MOVED x h:1",
        "MOVEDX 1 h:1",
        "moved 1 h:1",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "ERR MOVED 1 h:1",
        "",
    ] {
        assert_eq!(read(none), None, "{none:?}");
    }
    assert_eq!(ErrorReply::new(b"MOVED 1 \xff:1".to_vec()).as_ref().redirect(), None);
}
