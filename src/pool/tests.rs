use super::*;
use crate::protocols::ExchangeId;
use crate::url::Url;
use crate::version::Versions;

fn key(port: u16) -> RouteKey {
    RouteKey::http(&Url::parse(&format!("http://h:{port}/")).unwrap(), None, Versions::Any)
}

fn open(pool: &mut Pool, route: usize) -> usize {
    let connection = pool.dial(route, Moment::START);
    pool.opened(connection, Moment::START);
    pool.asks(connection);
    connection
}

#[test]
fn the_connection_used_last_is_used_again_and_the_one_idle_longest_makes_room() {
    let mut pool = Pool::default();
    let (one, two) = (pool.route(&key(1)), pool.route(&key(2)));
    let connections = [open(&mut pool, one), open(&mut pool, one), open(&mut pool, two)];
    for connection in connections {
        pool.rest(connection);
    }
    assert_eq!(pool.take_idle(one), Some(connections[1]));
    assert_eq!(pool.take_oldest_idle(), Some(connections[0]));
    assert_eq!(pool.take_idle(one), None);
    assert_eq!(pool.take_idle(two), Some(connections[2]));
    assert_eq!(pool.routes[two].coming, 1);
    pool.asks(connections[2]);
    assert_eq!(pool.routes[two].coming, 0);
    assert_eq!(pool.workers(), 3);
    for connection in connections {
        pool.closed(connection);
    }
    assert_eq!((pool.workers(), pool.idle.len()), (0, 0));
}

#[test]
fn a_request_that_comes_back_stands_where_it_stood() {
    let mut pool = Pool::default();
    let route = pool.route(&key(1));
    for age in [1, 2, 5, 3, 4, 0] {
        pool.enqueue(route, Waiting { age, id: ExchangeId(age) });
    }
    let ages: Vec<_> = pool.routes[route].queue.iter().map(|waiting| waiting.age).collect();
    assert_eq!(ages, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_route_without_a_connection_is_overtaken_only_so_often() {
    let mut pool = Pool::default();
    let (one, two) = (pool.route(&key(1)), pool.route(&key(2)));
    open(&mut pool, one);
    pool.enqueue(two, Waiting { age: 10, id: ExchangeId(0) });
    assert!(!pool.must_yield(one, 74, 1), "64 may go before it");
    assert!(pool.must_yield(one, 75, 1));
    assert!(!pool.must_yield(one, 75, 2), "there is room for another connection");
}

#[test]
fn a_route_that_nobody_uses_is_forgotten() {
    let mut pool = Pool::default();
    let route = pool.route(&key(1));
    let connection = open(&mut pool, route);
    pool.forget_if_unused(route);
    assert_eq!(pool.routes.len(), 1);
    pool.closed(connection);
    pool.forget_if_unused(route);
    assert_eq!((pool.routes.len(), pool.by_key.len()), (0, 0));
}

#[cfg(feature = "redis")]
#[test]
fn what_a_session_had_goes_where_it_led_and_nowhere_if_that_is_forgotten() {
    use crate::redis::Redis;
    let mut pool = Pool::default();
    let db = Redis::at("seed").cluster();
    let (cluster, node) = (RouteKey::redis(db.settings(), None), RouteKey::redis_at(db.settings(), "node", 7));
    let sentinel = RouteKey::redis(Redis::at("sentinel").sentinel("m", [""; 0]).settings(), None);
    for (key, home) in [(cluster, node), (sentinel.clone(), sentinel)] {
        let session = pool.session(key, None);
        assert_eq!(pool.routes[session].home(), None);
        pool.routes[session].lead(Some(("node".to_owned(), 7)));
        assert_eq!(pool.routes[session].home(), Some(home));
        pool.routes[session].lead(None);
        assert_eq!(pool.routes[session].home(), None, "it may lead to a master of yesterday");
    }
    let plain = RouteKey::redis(Redis::at("one").settings(), None);
    let session = pool.session(plain.clone(), None);
    assert_eq!(pool.routes[session].home(), Some(plain));
}

#[cfg(feature = "redis")]
#[test]
fn connections_that_retire_take_nothing_and_close_at_once_if_nothing_is_on_them() {
    let mut pool = Pool::default();
    let (one, other) = (pool.route(&key(1)), pool.route(&key(2)));
    let [idle, busy, elsewhere] = [one, one, other].map(|route| open(&mut pool, route));
    for (number, connection) in [idle, busy, elsewhere].into_iter().enumerate() {
        pool.connections[connection].key = Some(Key::new(number, 0));
    }
    pool.rest(idle);
    pool.rest(elsewhere);
    pool.connections[busy].in_flight = 1;
    assert_eq!(pool.retire_all(one), [Key::new(0, 0)], "the other one has to be answered first");
    assert_eq!(pool.take_idle(one), None);
    assert_eq!(pool.take_idle(other), Some(elsewhere));
}
