use super::*;

fn parse(text: &str) -> Result<Postgres, Error> {
    parse_with(text, &[])
}

/// Among these variables, and a user so that there is one.
fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Postgres, Error> {
    let find = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
    Postgres::parse_in(text, &[], &|name| find(name).or_else(|| (name == "USER").then(|| "me".to_owned())))
}

fn settings(text: &str) -> Settings {
    (**parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).settings()).clone()
}

fn places(settings: &Settings) -> Vec<String> {
    settings.hosts.iter().map(Host::to_string).collect()
}

fn password(settings: &Settings, at: usize) -> Option<&str> {
    settings.hosts[at].password.as_ref().map(|secret| &*secret.0)
}

#[test]
fn a_url_says_who_where_and_how() {
    let it =
        settings("postgresql://us%40er:p%3aw@[::1]:5433,db.example.org/my%20db?sslmode=require&application_name=a+b");
    assert_eq!(it.user, "us@er");
    assert_eq!(password(&it, 0), Some("p:w"));
    assert_eq!(places(&it), ["[::1]:5433", "db.example.org:5432"]);
    assert_eq!(it.database(), "my db");
    assert_eq!(it.ssl.mode, SslMode::Require);
    assert_eq!(it.application.as_deref(), Some("a+b"));
    assert_eq!(places(&settings("postgres://%2Frun%2Fpg:5433/db")), ["/run/pg/.s.PGSQL.5433"]);
    let it = settings("postgres:///db?host=/run/pg&port=5434");
    assert_eq!(it.hosts[0].socket().as_deref(), Some(Path::new("/run/pg/.s.PGSQL.5434")));
    assert_eq!(places(&it), ["/run/pg/.s.PGSQL.5434"]);
    assert_eq!(settings("postgres://h").database(), "me", "the database is that of the user's name");
    assert_eq!(settings("postgres://h?ssl=true").ssl.mode, SslMode::Require);
}

#[test]
fn words_have_quotes_and_escapes() {
    let it = settings(r"  host = a,b port=1,2 user='o\'x' password = 'a b\\c' dbname=x\ y ");
    assert_eq!(places(&it), ["a:1", "b:2"]);
    assert_eq!((&*it.user, password(&it, 1), it.database()), ("o'x", Some(r"a b\c"), "x y"));
    assert_eq!(settings("dbname=a dbname=b").database(), "b");
    assert_eq!(places(&settings("host=h hostaddr=127.0.0.1 port=' 7 '")), ["h:7"]);
    assert_eq!(settings("host='' user=''").user, "me");
}

#[test]
fn what_is_wrong_is_said_without_the_password() {
    for (text, words) in [
        ("hunter2", "'='"),
        ("password='hunter2", "not closed"),
        ("password=hunter2 colour=blue", "'colour'"),
        ("postgres://u:hunter2@[::1/", "bracket"),
        ("postgres://u:hunter2@h:x/", "port"),
        ("postgres://u:hunter2@h:0/", "port"),
        ("postgres://u:hunter2@h,i/?port=1,2,3", "as many"),
        ("postgres://u:hunter2/@h", "port"),
        ("postgres://u:p@hunter2@h/d", "%40"),
        ("postgres://u:hunter2%zz@h/", "percent"),
        ("postgres://u:hunter2%00@h/", "percent"),
        ("postgres://u:hunter2%ff@h/", "UTF-8"),
        ("postgres://u:hunter2@h/?a", "'='"),
        ("postgres://u:hunter2@h/?password=hunter2=", "two"),
        ("postgres://u:hunter2@h/?a=b", "'a'"),
        ("host=a,b hostaddr=127.0.0.1", "as many"),
        ("host=a hostaddr=b", "hostaddr"),
        ("host=@abstract", "abstract"),
        ("sslmode=never", "sslmode"),
        ("sslmode=''", "sslmode"),
        ("sslnegotiation=direct", "sslmode"),
        ("sslrootcert=system sslmode=require", "verify-full"),
        ("sslcert=a", "together"),
        ("sslcrl=a", "sslcrl cannot be honoured"),
        ("sslpassword=hunter2", "sslpassword cannot be honoured"),
        ("requirepeer=me", "cannot be honoured"),
        ("gssencmode=require", "cannot be honoured"),
        ("replication=database", "cannot be honoured"),
        ("client_encoding=latin1", "UTF-8"),
        ("connect_timeout=soon", "connect_timeout"),
        ("keepalives=x", "keepalives"),
        ("target_session_attrs=best", "target_session_attrs"),
        ("channel_binding=x", "channel_binding"),
        ("load_balance_hosts=x", "load_balance_hosts"),
        ("ssl_max_protocol_version=TLSv1.1", "TLSv1.2"),
        ("ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2", "above"),
        ("service=none", "service"),
    ] {
        let said = parse(text).expect_err(text);
        assert!(said.to_string().contains(words), "{text}: {said}");
        assert!(!format!("{said} {said:?}").contains("hunter2"), "{text}: {said:?}");
    }
}

#[test]
fn nothing_shows_a_password() {
    let db = parse("postgres://u:hunter2@h/db").unwrap();
    assert!(!format!("{db:?}").contains("hunter2"), "{db:?}");
    assert_ne!(db, db.clone().user("u", "other"), "connections of other passwords are others");
    assert_eq!(db, db.clone().user("u", "hunter2"));
}

#[test]
fn values_that_ask_for_nothing_special_are_taken() {
    let text = "keepalives=1 keepalives_idle=10 gssencmode=prefer krbsrvname=x sslcompression=0 sslsni=1 \
                client_encoding=UTF8 replication=off ssl_min_protocol_version=TLSv1.2 connect_timeout=-1 sslcrl=''";
    let it = settings(text);
    assert_eq!((it.connect_timeout, it.ssl.only), (None, None));
    assert_eq!(settings("ssl_min_protocol_version=tlsv1.3").ssl.only, Some(OnlyTls::Tls13));
    assert_eq!(settings("connect_timeout=3").connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(settings("sslrootcert=system").ssl.mode, SslMode::VerifyFull);
}

#[test]
fn variables_say_what_the_text_does_not() {
    let variables = [
        ("PGHOST", "a,b"),
        ("PGPORT", "7"),
        ("PGUSER", "you"),
        ("PGPASSWORD", "hunter2"),
        ("PGDATABASE", "db"),
        ("PGSSLMODE", "disable"),
        ("PGTARGETSESSIONATTRS", "read-write"),
        ("PGAPPNAME", "app"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGCHANNELBINDING", "disable"),
    ];
    let db = parse_with("", &variables).unwrap();
    let it = db.settings();
    assert_eq!(places(it), ["a:7", "b:7"]);
    assert_eq!((&*it.user, password(it, 1), it.database()), ("you", Some("hunter2"), "db"));
    assert_eq!((it.ssl.mode, it.target, it.binding), (SslMode::Disable, Target::ReadWrite, ChannelBinding::Disable));
    assert_eq!((it.application.as_deref(), it.options.as_deref()), (Some("app"), Some("-c geqo=off")));
    let db = parse_with("postgres://me:other@h:9/x?sslmode=prefer", &variables).unwrap();
    let it = db.settings();
    assert_eq!((places(it), &*it.user, password(it, 0)), (vec!["h:9".to_owned()], "me", Some("other")));
    assert_eq!((it.database(), it.ssl.mode), ("x", SslMode::Prefer));
    let db = parse_with("", &[("PGTZ", "UTC"), ("PGGEQO", "Default")]).unwrap();
    assert_eq!(db.settings().parameters, [("timezone".to_owned(), "UTC".to_owned())]);
    assert_eq!(parse_with("", &[("PGREQUIRESSL", "1")]).unwrap().settings().ssl.mode, SslMode::Require);
}

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aquests-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    #[cfg(unix)]
    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
#[test]
fn the_first_line_that_fits_has_the_password() {
    let folder = Folder::new("pgpass");
    let text =
        "# h:1:db:me:comment\nbroken\nh:1:db:you:one\nh\\:x:1:db:me:two\nh:1:*:me:t\\:h\\\\ree:rest\n*:*:*:*:four\n";
    folder.write(".pgpass", text, 0o600);
    let home = folder.0.to_str().unwrap();
    for (text, expected) in [
        ("host=h port=1 dbname=db", "t:h\\ree"),
        ("host=h port=1 dbname=db user=you", "one"),
        ("host=h:x port=1 dbname=db", "two"),
        ("host=h port=2", "four"),
        ("host=h port=1 password=mine", "mine"),
    ] {
        let db = parse_with(text, &[("HOME", home)]).unwrap();
        assert_eq!(password(db.settings(), 0), Some(expected), "{text}");
    }
    let db = parse_with("host=x,h port=1 dbname=db", &[("HOME", home)]).unwrap();
    assert_eq!((password(db.settings(), 0), password(db.settings(), 1)), (Some("four"), Some("t:h\\ree")));
}

#[cfg(unix)]
#[test]
fn a_password_file_that_others_can_read_is_left_alone() {
    let folder = Folder::new("open");
    for (mode, expected) in [(0o600, Some("x")), (0o400, Some("x")), (0o640, None), (0o604, None)] {
        let path = folder.write("secrets", "*:*:*:*:x", 0o600);
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let db = parse_with("host=h", &[("PGPASSFILE", &path)]).unwrap();
        assert_eq!(password(db.settings(), 0), expected, "mode {mode:o}");
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(password(parse("host=h passfile=/none/such").unwrap().settings(), 0), None);
}

#[cfg(unix)]
#[test]
fn a_service_stands_before_the_variables_and_behind_the_text() {
    let folder = Folder::new("service");
    let text = "# services\n[other]\nhost=wrong\n\n[mine]\nhost=h\nport=7\ndbname=db\n[bad]\ncolour=blue\n";
    let path = folder.write("services", text, 0o644);
    let variables = [("PGSERVICEFILE", &*path), ("PGHOST", "wrong"), ("PGSYSCONFDIR", "/none/such")];
    let db = parse_with("service=mine dbname=said", &variables).unwrap();
    assert_eq!((places(db.settings()), db.settings().database()), (vec!["h:7".to_owned()], "said"));
    for (text, words) in [("service=bad", "line 10"), ("service=none", "'none'")] {
        let said = parse_with(text, &variables).expect_err(text).to_string();
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn an_address_is_judged_when_it_is_used() {
    for (address, expected) in [
        ("127.0.0.1:5433", &["127.0.0.1:5433"][..]),
        ("h", &["h:5432"]),
        ("[::1]:1", &["[::1]:1"]),
        ("::1", &["[::1]:5432"]),
        ("/run/pg", &["/run/pg/.s.PGSQL.5432"]),
        ("/run/pg:1", &["/run/pg/.s.PGSQL.1"]),
        ("a:1, b", &["a:1", "b:5432"]),
    ] {
        let db = Postgres::at(address, "db").user("u", "p");
        db.settings().check().unwrap_or_else(|error| panic!("{address}: {error}"));
        assert_eq!(places(db.settings()), expected, "{address}");
    }
    for address in ["", "h:", "h:0", "h:99999", "a,,b", "[::1", "[::1]x", "a b"] {
        assert!(Postgres::at(address, "db").user("u", "").settings().check().is_err(), "{address}");
    }
    assert!(Postgres::at("h", "db").settings().check().is_err(), "nobody is no user");
    assert!(Postgres::at("h", "d\0b").user("u", "").settings().check().is_err(), "NUL ends a name");
}

/// Where `psql` goes with this connection string and these variables, and nothing else; nowhere if it does not like them.
fn tried_by_psql(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    // What Debian has in the path chooses a server by itself, and tells libpq.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut real: Vec<_> = versions.map(|entry| entry.path().join("bin/psql")).filter(|path| path.exists()).collect();
    real.sort();
    let mut command = std::process::Command::new(real.pop().unwrap_or_else(|| "psql".into()));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    command.env("HOME", "/none/such").env("PGSYSCONFDIR", "/none/such").envs(variables.iter().copied());
    // A text without a sign in it would be a database's name.
    let output = command.args(["--no-psqlrc", "--no-password", "--command=", "--dbname", text]).output();
    let output = output.expect("psql must be there: apt-get install postgresql-client");
    let said = String::from_utf8(output.stderr).unwrap();
    let mut tried: Vec<String> = Vec::new();
    for line in said.lines() {
        let parts: Vec<_> = line.split('"').collect();
        if line.contains("connection to server on socket") {
            tried.push(parts[1].to_owned());
        } else if line.contains("connection to server at") {
            let port = line.split("port ").nth(1).and_then(|rest| rest.split(" failed").next()).unwrap().trim();
            let host = if parts[1].contains(':') { format!("[{}]", parts[1]) } else { parts[1].to_owned() };
            tried.push(format!("{host}:{port}"));
        }
    }
    assert!(!output.status.success(), "{text}: nobody listens there, and yet psql says {said}");
    // A name has more than one address.
    tried.dedup();
    tried
}

/// Places as libpq names them: by the address where there is one.
fn reached(settings: &Settings) -> Vec<String> {
    let named = |host: &Host| match &host.place {
        Place::Host { address: Some(address), .. } => std::net::SocketAddr::new(*address, host.port).to_string(),
        _ => host.to_string(),
    };
    settings.hosts.iter().map(named).collect()
}

#[test]
fn a_text_is_for_postgresql_if_it_is_a_url_or_words() {
    for text in ["postgres://", "POSTGRESQL://h/d", "host=h", "service=s", " dbname = 'a b'", "hots=h password=p"] {
        assert!(Postgres::is_connection_string(text), "{text}");
    }
    for text in
        ["", "http://h/?host=x", "redis://h", "h", "=h", " = h", "h:1?user=x", "h?user=x", "h#a=b", "/a/=", "dbname"]
    {
        assert!(!Postgres::is_connection_string(text), "{text}");
    }
}

#[test]
fn a_password_is_in_no_error_about_the_words_around_it() {
    for (text, words) in [
        ("hots=h password=hunter2", "'hots' is not an option"),
        ("password=hunter2 hots=h", "'hots' is not an option"),
        ("passwd=hunter2", "'passwd' is not an option"),
        ("password = hunter2 h", "without '='"),
        ("host=h hunter2", "without '='"),
        ("u:hunter2@h/d?sslmode=require", "is not an option"),
        ("postgres://u:hunter2@h/d?colour=blue", "'colour' is not an option"),
        ("postgres://u:hunter2/h", "a port is a number"),
        ("POSTGRES://u:hunter2@h/d?colour=blue", "'colour' is not an option"),
    ] {
        let said = parse(text).expect_err(text).to_string();
        assert!(said.contains(words) && !said.contains("hunter2"), "{text}: {said}");
    }
    assert_eq!(settings("POSTGRES://u:p@h:1/d?sslmode=require").ssl.mode, SslMode::Require);
}

#[test]
fn what_nobody_says_is_as_the_program_wants_it() {
    let mode = |text: &str, variables: &[(&str, &str)]| {
        let find = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
        let db = Postgres::parse_in(text, &[("sslmode", "verify-full"), ("user", "me")], &find).unwrap();
        db.settings().ssl.mode
    };
    assert_eq!(mode("host=h", &[]), SslMode::VerifyFull);
    assert_eq!(mode("host=h sslmode=allow", &[]), SslMode::Allow);
    assert_eq!(mode("postgres://h?sslmode=allow", &[]), SslMode::Allow);
    assert_eq!(mode("host=h", &[("PGSSLMODE", "disable")]), SslMode::Disable);
    assert!(Postgres::parse_or("host=h", [("colour", "blue")]).is_err());
}

#[test]
fn versions_of_the_protocol_are_those_of_libpq() {
    use ProtocolVersion::{V3_0, V3_2};
    for (text, expected) in [
        ("", (V3_0, V3_0)),
        ("max_protocol_version=latest", (V3_0, V3_2)),
        ("max_protocol_version=3.2", (V3_0, V3_2)),
        ("max_protocol_version=3.0", (V3_0, V3_0)),
        ("min_protocol_version=3.2", (V3_2, V3_2)),
        ("min_protocol_version=3.0", (V3_0, V3_0)),
        ("min_protocol_version=latest max_protocol_version=latest", (V3_2, V3_2)),
        ("postgres://h?min_protocol_version=3.2", (V3_2, V3_2)),
    ] {
        assert_eq!(settings(text).versions, expected, "{text}");
    }
    let variables = [("PGMINPROTOCOLVERSION", "3.0"), ("PGMAXPROTOCOLVERSION", "3.2")];
    assert_eq!(parse_with("", &variables).unwrap().settings().versions, (V3_0, V3_2));
    for wrong in ["3.1", "3", "2.0", "4.0", "3.9999", "''", "Latest"] {
        for keyword in ["min_protocol_version", "max_protocol_version"] {
            let error = parse(&format!("{keyword}={wrong}")).unwrap_err();
            assert!(error.to_string().ends_with(&format!("is no value for {keyword}")), "{error}");
        }
    }
    let error = parse("min_protocol_version=3.2 max_protocol_version=3.0").unwrap_err().to_string();
    assert_eq!(error, "min_protocol_version is above max_protocol_version");
    let db = Postgres::at("h", "d").user("u", "").protocol_versions(V3_2, V3_0);
    assert_eq!(db.settings().check().unwrap_err().to_string(), error);
}

#[test]
fn libpq_goes_to_the_same_places() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("postgres://127.0.0.1:1", &[]),
        ("postgresql://u:p@127.0.0.1:1/db", &[]),
        ("postgres://127.0.0.1:1,[::1]:2,localhost:3/db", &[]),
        ("postgres://127.0.0.1,[::1]/?port=1", &[]),
        ("postgres://127.0.0.1:1,[::1]/?port=1,2,3", &[]),
        ("postgres://%2Fnone%2Fsuch:7/db", &[]),
        ("postgres:///db?host=/none/such", &[]),
        ("postgres:///?host=/none/such,127.0.0.1&port=1", &[]),
        ("postgres://?host=/none/such&", &[]),
        ("postgres://u@/db?host=/none/such&user=x", &[]),
        ("postgres://127.0.0.1:1?ssl=true&x", &[]),
        ("postgres://127.0.0.1:1?host=", &[("PGPORT", "2"), ("PGHOST", "/none/such")]),
        ("postgres://127.0.0.1:1?port=2=3", &[]),
        ("postgres://127.0.0.1:1?colour=blue", &[]),
        ("postgres://127.0.0.1:1/a%zz", &[]),
        ("postgres://127.0.0.1:1/a%00", &[]),
        ("postgres://[]:1/", &[]),
        ("postgres://[::1:1/", &[]),
        ("postgres://[::1]x:1/", &[]),
        ("postgres://127.0.0.1:0/", &[]),
        ("postgres://127.0.0.1:65536/", &[]),
        ("postgres://127.0.0.1:1x/", &[]),
        ("postgres://127.0.0.1:%31/", &[]),
        ("postgres://127.0.0.1:1/?sslmode=never", &[]),
        ("host=127.0.0.1 port=1", &[]),
        ("host = 127.0.0.1 port =1", &[]),
        ("host=127.0.0.1,localhost port=1,", &[("PGPORT", "9")]),
        ("host=127.0.0.1,localhost port=1,2,3", &[]),
        ("host='127.0.0.1' port='1' dbname='a\\'b\\\\' user=a\\ b", &[]),
        ("host=127.0.0.1 port=' 1 '", &[]),
        ("host=127.0.0.1 port=1 port=2", &[]),
        ("host=127.0.0.1 port=1 dbname='a", &[]),
        ("host=127.0.0.1 port=1 dbname", &[]),
        ("host=127.0.0.1 port=1 =x", &[]),
        ("host=x hostaddr=127.0.0.1 port=1", &[]),
        ("hostaddr=127.0.0.1,::1 port=1", &[]),
        ("host=x,y hostaddr=127.0.0.1 port=1", &[]),
        ("hostaddr=nowhere port=1", &[]),
        ("host=/none/such port=7 sslmode=''", &[]),
        ("host=/none/such port=7 target_session_attrs=primary channel_binding=disable", &[]),
        ("host=/none/such port=7 target_session_attrs=slave", &[]),
        ("host=/none/such port=7 channel_binding=x", &[]),
        ("host=/none/such port=7 service=none", &[]),
        ("host=/none/such port=7", &[("PGSSLMODE", "x")]),
        ("dbname=db", &[("PGHOST", "/none/such"), ("PGPORT", "7")]),
        ("dbname=db", &[("PGHOST", "127.0.0.1,/none/such"), ("PGPORT", "1,2")]),
        ("port=3 user=x", &[("PGHOSTADDR", "127.0.0.1")]),
        ("host=/none/such user=x", &[("PGPORT", "x")]),
    ];
    for (text, variables) in cases {
        let ours = parse_with(text, variables).map(|db| reached(db.settings())).unwrap_or_default();
        assert_eq!(ours, tried_by_psql(text, variables), "{text} with {variables:?}");
    }
}
