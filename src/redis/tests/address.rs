//! Addresses, URLs, and what is made of them.

use super::*;

fn parsed(url: &str) -> Settings {
    let db = Redis::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    Settings::clone(db.settings())
}

fn login(user: Option<&str>, password: &[u8]) -> Option<Login> {
    Some(Login { user: user.map(|user| user.as_bytes().to_vec()), password: password.to_vec() })
}

#[test]
fn an_address_has_a_port_or_gets_one() {
    for (text, host, port) in [
        ("127.0.0.1:7000", "127.0.0.1", 7000),
        ("Redis.example.org", "redis.example.org", 6379),
        ("[::1]:1", "::1", 1),
        ("[FE80::1]", "fe80::1", 6379),
    ] {
        assert_eq!(Redis::at(text).settings().place, Place::Host(host.into(), port), "{text}");
        assert_eq!(Redis::at(text).settings().wrong, None, "{text}");
    }
}

#[test]
fn what_is_no_address_is_kept_until_a_command_is_sent() {
    for (text, words) in [
        ("", "no host"),
        (":6379", "no host"),
        ("h:", "port"),
        ("h:0", "port"),
        ("h:+1", "port"),
        ("h:65536", "port"),
        ("h:1x", "port"),
        ("::1", "without brackets"),
        ("[::1", "does not close"),
        ("[::1]x", "port"),
        ("a b", "valid host"),
        ("a/b", "valid host"),
        ("a\r\nb", "valid host"),
        ("redis://h", "port"),
        ("u:hunter2@h", "'@'"),
    ] {
        let db = Redis::at(text);
        let said = db.settings().wrong.clone().unwrap_or_else(|| panic!("'{text}' was taken"));
        assert!(said.contains(words), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_url_says_everything() {
    let settings = parsed("redis://us%65r:p%40s%3As@Redis.example.org:7000/12?protocol=2&client_name=app%2D1");
    assert_eq!(settings.place, Place::Host("redis.example.org".into(), 7000));
    assert_eq!(settings.login, login(Some("user"), b"p@s:s"));
    assert_eq!((settings.database, settings.version), (12, Version::Resp2));
    assert_eq!(settings.client_name.as_deref(), Some("app-1"));
    for (url, place, user) in [
        ("redis://", "localhost:6379", None),
        ("redis://h/", "h:6379", None),
        ("valkey://:pw@h", "h:6379", login(None, b"pw")),
        ("REDIS://:p@w:x@[::1]:7", "[::1]:7", login(None, b"p@w:x")),
        ("redis://h?username=u&password=pw", "h:6379", login(Some("u"), b"pw")),
        ("redis://:%ff%00@h", "h:6379", login(None, b"\xff\0")),
        ("redis://h?pass=a+b", "h:6379", login(None, b"a+b")),
        ("unix:///run/redis.sock", "/run/redis.sock", None),
        ("redis+unix://:pw@/run/re%20dis.sock?db=3", "/run/re dis.sock", login(None, b"pw")),
    ] {
        let settings = parsed(url);
        assert_eq!(settings.place.to_string(), place, "{url}");
        assert!(settings.login == user, "{url}: {:?}", settings.login);
    }
    assert_eq!(parsed("unix:///s?db=3").database, 3);
    // As redis-py has it: the parameter is stronger than the path.
    assert_eq!(parsed("redis://h/1?db=3").database, 3);
    assert_eq!(parsed("redis://h").version, Version::Resp3);
}

#[cfg(feature = "tls")]
#[test]
fn a_scheme_says_whether_there_is_tls() {
    for (url, tls) in [("redis://h", false), ("rediss://h", true), ("valkeys://h", true), ("unix:///s", false)] {
        assert_eq!(parsed(url).tls, tls, "{url}");
    }
    assert!(Redis::unix_socket("/s").tls().settings().wrong.is_some());
}

#[test]
fn a_bad_url_says_why_and_no_secret() {
    for (url, words) in [
        ("hunter2@h", "begins with"),
        ("http://:hunter2@h", "scheme"),
        ("redis://:hunter2@h:x", "port"),
        ("redis://:hunter2@h/x", "database"),
        ("redis://:hunter2@h/1/2", "database"),
        ("redis://:hunter2@h/-1", "database"),
        ("redis://:hunter2@h/+1", "database"),
        ("redis://:hunter2@h/99999999999", "database"),
        ("redis://:hunter2#@h", "fragment"),
        ("redis://:hunter2%@h", "password"),
        ("redis://:hunter2%4@h", "password"),
        ("redis://:hunter2%zz@h", "password"),
        ("redis://hunter2@h", "no password"),
        ("redis://:hunter2@h?protocol=4", "protocol"),
        ("redis://:hunter2@h?timeout=4", "parameter"),
        ("redis://:p?hunter2@h", "port"),
        ("redis://h?hunter2@h", "parameter"),
        ("hunter2://h", "scheme"),
        ("redis://:hunter2@h?client_name=a%20b", "'a b' is no name"),
        ("redis://:hunter2@h?client_name=%ff", "UTF-8"),
        ("redis://:hunter2@h?db=", "database"),
        ("redis://:hunter2/x@h", "port"),
        ("unix://run/redis.sock", "slash"),
        ("unix://:hunter2@", "no path"),
    ] {
        let error = Redis::parse(url).expect_err(url);
        assert_eq!(error.kind(), crate::ErrorKind::InvalidRequest, "{url}");
        let said = format!("{error} {error:?}");
        assert!(said.contains(words), "{url}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn settings_do_not_show_the_password() {
    let db = Redis::at("h").user("reporter", "hunter2");
    let shown = format!("{db:?} {:?}", db.settings());
    assert!(shown.contains("reporter") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_is_set_is_kept_and_a_clone_is_not_changed() {
    let db = Redis::at("h");
    let other = db.clone().database(3).pipeline(0).client_name("a").limits(Limits::default().depth(1)).cluster();
    assert_eq!(db, Redis::at("h:6379"));
    assert_ne!(db, other);
    let settings = other.settings();
    assert_eq!((settings.database, settings.pipeline, settings.client_name.as_deref()), (3, 1, Some("a")));
    assert_eq!(
        (settings.limits, &settings.topology),
        (Limits::default().depth(1), &Topology::Cluster { seeds: Vec::new() })
    );
    let db = Redis::at("h:26379").sentinel("mymaster", ["b", "c:1"]);
    let sentinels = vec![Place::Host("b".into(), 26379), Place::Host("c".into(), 1)];
    assert_eq!(db.settings().topology, Topology::Sentinel { master: "mymaster".into(), sentinels });
    assert!(Redis::at("h").sentinel("m", ["a:b"]).settings().wrong.is_some());
    assert!(Redis::at("h").client_name("a b").settings().wrong.is_some());
}

#[test]
fn a_machine_says_hello_as_it_was_told() {
    use crate::protocols::{Established, Protocol};
    for (db, said) in [
        (Redis::at("h"), "HELLO 3"),
        (Redis::at("h").protocol(Version::Resp2), ""),
        (Redis::at("h").password("pw").client_name("a").database(2), "HELLO 3 AUTH default pw SETNAME a SELECT 2"),
        (Redis::at("h").user("u", "pw").protocol(Version::Resp2), "AUTH u pw"),
    ] {
        let (mut machine, mut out) = (db.settings().machine(), Vec::new());
        machine.connected(Established::default(), &mut out);
        let lines = String::from_utf8(out).unwrap();
        let words: Vec<_> =
            lines.split("\r\n").filter(|line| !line.starts_with(['*', '$']) && !line.is_empty()).collect();
        assert_eq!(words.join(" "), said);
    }
    let mut machine = Redis::at("h").protocol(Version::Resp2).settings().machine();
    machine.connected(Established::default(), &mut Vec::new());
    assert_eq!(machine.slots(), 128);
}
