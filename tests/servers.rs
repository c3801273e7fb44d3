//! The servers that tests ask are what they are taken for. No client of ours is in here: what fails here is the machine,
//! or `tests/support`.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use support::tls::{Authority, Wanted};
use support::{Folder, Pgbouncer, PostgresServer, RedisCluster, RedisSentinel, RedisServer, must_end};

#[test]
fn a_redis_answers_and_forgets_at_a_restart() {
    must_end(|| {
        let mut redis = RedisServer::start();
        assert_eq!(redis.cli(&["SET", "key", "value"]), "OK");
        assert_eq!(redis.cli(&["GET", "key"]), "value");
        assert_eq!(redis.feed("SET a 1\nINCR a\n"), "OK\n2");
        let error = redis.try_cli(&["INCR", "key"]).expect_err("this is no number");
        assert!(error.contains("not an integer"), "{error}");
        let port = redis.port();
        redis.restart();
        assert_eq!(redis.port(), port);
        assert_eq!(redis.cli(&["DBSIZE"]), "0");
        redis.kill();
        redis.restart();
        assert_eq!(redis.cli(&["PING"]), "PONG");
        assert!(redis.socket().exists());
    });
}

#[test]
fn a_redis_that_is_held_still_goes_on_and_can_be_ended() {
    must_end(|| {
        let redis = RedisServer::start();
        redis.pause();
        redis.go_on();
        assert_eq!(redis.cli(&["PING"]), "PONG");
        redis.pause();
    });
}

#[test]
fn a_redis_wants_passwords_and_knows_users() {
    must_end(|| {
        let redis = RedisServer::builder().password("secret").user("reader", "other", "~* +get").start();
        assert_eq!(redis.cli(&["PING"]), "PONG");
        assert_eq!(redis.cli(&["ACL", "USERS"]), "default\nreader");
        let error = redis.try_cli(&["AUTH", "reader", "wrong"]).expect_err("the password is wrong");
        assert!(error.contains("WRONGPASS"), "{error}");
        assert_eq!(redis.feed("AUTH reader other\nGET a\nSET a 1\n").lines().next(), Some("OK"));
    });
}

#[test]
fn a_redis_limits_clients() {
    must_end(|| {
        let redis = RedisServer::builder().max_clients(1).start();
        // Whoever waited for its start may not be gone yet.
        let held = loop {
            let mut stream = TcpStream::connect(redis.address()).expect("the server accepts");
            let mut answer = [0; 1];
            if stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == *b"+" {
                break stream;
            }
        };
        let error = redis.try_cli(&["PING"]).expect_err("there is one client already");
        assert!(error.contains("max number of clients"), "{error}");
        drop(held);
    });
}

#[test]
fn a_redis_speaks_tls_and_asks_for_certificates() {
    must_end(|| {
        let authority = Authority::new("root");
        let server = authority.issue(&Wanted::default());
        let client = authority.issue(&Wanted { names: &["reader"], client: true, ..Wanted::default() });
        let redis = RedisServer::builder().tls(&server).client_authority(&authority.pem).start();
        assert!(redis.try_tls_cli(&authority.pem, None, &["PING"]).is_err(), "there was no certificate");
        assert_eq!(redis.try_tls_cli(&authority.pem, Some(&client), &["PING"]).as_deref(), Ok("PONG"));
        let redis = RedisServer::builder().tls(&server).start();
        assert_eq!(redis.try_tls_cli(&authority.pem, None, &["PING"]).as_deref(), Ok("PONG"));
        let stranger = Authority::new("stranger");
        assert!(redis.try_tls_cli(&stranger.pem, None, &["PING"]).is_err(), "nobody signed this");
    });
}

#[test]
fn slots_of_a_cluster_move_step_by_step() {
    must_end(|| {
        let cluster = RedisCluster::start_with(|builder| builder.password("secret"));
        let (slot, from) = (cluster.slot("{tag}"), cluster.owner(cluster.slot("{tag}")));
        let to = (from + 1) % 3;
        cluster[from].cli(&["MSET", "{tag}a", "1", "{tag}b", "2"]);
        let moved = cluster[to].try_cli(&["GET", "{tag}a"]).expect_err("another serves it");
        assert_eq!(moved, format!("MOVED {slot} {}", cluster[from].address()));

        cluster.begin_move(slot, to);
        cluster.move_keys(&["{tag}a"], to);
        let ask = cluster[from].try_cli(&["GET", "{tag}a"]).expect_err("the key went");
        assert_eq!(ask, format!("ASK {slot} {}", cluster[to].address()));
        let again = cluster[from].try_cli(&["MGET", "{tag}a", "{tag}b"]).expect_err("one of two went");
        assert!(again.starts_with("TRYAGAIN"), "{again}");
        assert_eq!(cluster[to].feed("ASKING\nGET {tag}a\n"), "OK\n1");
        assert_eq!(cluster.owner(slot), from);

        cluster.finish_move(slot, to);
        assert_eq!(cluster.owner(slot), to);
        assert_eq!(cluster[to].cli(&["MGET", "{tag}a", "{tag}b"]), "1\n2");
        let moved = cluster[from].try_cli(&["GET", "{tag}b"]).expect_err("another serves it");
        assert_eq!(moved, format!("MOVED {slot} {}", cluster[to].address()));

        cluster.begin_move(slot, from);
        cluster.abandon_move(slot, from);
        cluster.move_slot(slot, from);
        assert_eq!(cluster[from].cli(&["GET", "{tag}b"]), "2");
        cluster.wait_until_it_is_whole();
    });
}

#[test]
fn a_sentinel_names_another_master_when_it_is_told_and_when_the_master_dies() {
    must_end(|| {
        let sentinel = RedisSentinel::start();
        assert_eq!(sentinel.master(), 0);
        assert_eq!(sentinel.servers()[0].feed("SET key value\nWAIT 1 0\n"), "OK\n1");
        sentinel.failover();
        assert_eq!(sentinel.master(), 1);
        assert_eq!(sentinel.servers()[1].cli(&["GET", "key"]), "value");

        let mut sentinel = RedisSentinel::start_with(|builder| builder.password("secret"));
        sentinel.lose_master();
        assert_eq!(sentinel.master(), 1);
        sentinel.servers()[1].cli(&["SET", "key", "value"]);
    });
}

#[test]
fn a_postgres_lets_each_user_in_by_its_own_way() {
    must_end(|| {
        let postgres = PostgresServer::start();
        for user in ["password", "md5", "scram"] {
            let answer = postgres.psql_as(user, "password=secret", "SELECT current_user");
            assert_eq!(answer.as_deref(), Ok(user));
            let error = postgres.psql_as(user, "password=wrong", "SELECT 1").expect_err("the password is wrong");
            assert!(error.contains("password authentication failed"), "{user}: {error}");
            // Other ways would let it in too.
            let way = postgres
                .psql(&format!("SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE '{user}' = ANY (user_name)"));
            assert_eq!(way, if user == "scram" { "scram-sha-256" } else { user });
        }
        assert_eq!(postgres.psql("SELECT substr(rolpassword, 1, 3) FROM pg_authid WHERE rolname = 'md5'"), "md5");
        assert_eq!(postgres.psql_as("trust", "", "SELECT 1").as_deref(), Ok("1"));
        let error = postgres.psql_as("reject", "password=secret", "SELECT 1").expect_err("it is turned away");
        assert!(error.contains("pg_hba.conf rejects connection"), "{error}");
        let error = postgres.psql_as("trust", "sslmode=require", "SELECT 1").expect_err("there is no TLS");
        assert!(error.contains("server does not support SSL"), "{error}");
        assert!(postgres.socket().exists());
    });
}

#[test]
fn a_postgres_speaks_tls_and_believes_certificates() {
    must_end(|| {
        let authority = Authority::new("root");
        let identity = authority.issue(&Wanted::default());
        let client = authority.issue(&Wanted { names: &["cert"], client: true, ..Wanted::default() });
        let postgres = PostgresServer::builder().tls(&identity).client_authority(&authority.pem).start();
        let folder = Folder::new();
        for (name, text) in [("root.pem", &authority.pem), ("client.pem", &client.chain), ("client.key", &client.key)] {
            folder.write(name, text);
        }
        let path = folder.path().display();
        let key = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.path().join("client.key"), key).expect("the key is ours");

        let whole = format!("sslmode=verify-full sslrootcert={path}/root.pem");
        let plain =
            postgres.psql_as("secure", "sslmode=disable password=secret", "SELECT 1").expect_err("TLS is a must");
        assert!(plain.contains("no encryption"), "{plain}");
        let bound = format!("{whole} channel_binding=require password=secret");
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(postgres.psql_as("secure", &bound, sql).as_deref(), Ok("TLSv1.3"));
        assert!(postgres.psql_as("cert", &whole, "SELECT 1").is_err(), "there was no certificate");
        let shown = format!("{whole} sslcert={path}/client.pem sslkey={path}/client.key");
        assert_eq!(postgres.psql_as("cert", &shown, "SELECT current_user").as_deref(), Ok("cert"));
    });
}

#[test]
fn a_postgres_goes_on_after_a_restart_and_a_crash() {
    must_end(|| {
        let mut postgres = PostgresServer::builder().config("max_connections = 20").start();
        assert_eq!(postgres.psql("SHOW max_connections"), "20");
        assert_eq!(postgres.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (7); SELECT a FROM t"), "7");
        let port = postgres.port();
        postgres.restart();
        assert_eq!((postgres.port(), postgres.psql("SELECT a FROM t").as_str()), (port, "7"));
        postgres.kill();
        postgres.restart();
        assert_eq!(postgres.psql("SELECT 1"), "1");
        postgres.pause();
        postgres.go_on();
        assert_eq!(postgres.psql("SELECT 1"), "1");
        postgres.pause();
    });
}

#[test]
fn backends_of_a_postgres_can_be_ended() {
    must_end(|| {
        let postgres = PostgresServer::start();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| postgres.psql_as("trust", "", "SELECT pg_sleep(1000)"));
            while postgres.backends() == 0 {
                thread::yield_now();
            }
            assert_eq!(postgres.terminate_backends(), 1);
            let error = sleeper.join().expect("it ends").expect_err("it was ended");
            assert!(error.contains("terminating connection due to administrator command"), "{error}");
        });
    });
}

#[test]
fn a_pgbouncer_lends_one_connection_to_many() {
    must_end(|| {
        let postgres = PostgresServer::start();
        let pgbouncer = Pgbouncer::before(&postgres, "default_pool_size = 1");
        let backend = || pgbouncer.psql_as("scram", "SELECT pg_backend_pid()").expect("it answers");
        assert_eq!(backend(), backend());
        assert_eq!(postgres.backends(), 1);
        assert!(pgbouncer.admin("SHOW POOLS").contains("test|scram"));
        assert!(pgbouncer.psql_as("reject", "SELECT 1").is_err(), "nobody of that name may log in");
        assert_eq!(pgbouncer.psql_as("md5", "SELECT current_user").as_deref(), Ok("md5"));
    });
}
