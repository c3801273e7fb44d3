//! Every built-in type of PostgreSQL on a real server, in both formats: what a typed statement brings in binary must say the
//! same as what a simple query brings in text, and go back as what it was.

#![cfg(feature = "postgres")]

mod support;

use aquests::postgres::{Postgres, Results, Value};
use aquests::{Client, Error, Request};
use support::{PostgresServer, must_end};

/// Values, as one writes them in SQL.
const EXPRESSIONS: &[&str] = &[
    r#"true"#,
    r#"false"#,
    r#"1::int2"#,
    r#"'-32768'::int2"#,
    r#"1::int8"#,
    r#"4000000000::oid"#,
    r#"1e15::float8"#,
    r#"123456789012345678::float8"#,
    r#"0.1::float8"#,
    r#"1e-5::float8"#,
    r#"0.0001::float8"#,
    r#"'-0'::float8"#,
    r#"'NaN'::float8"#,
    r#"'-infinity'::float8"#,
    r#"1e6::float4"#,
    r#"999999::float4"#,
    r#"0.1::float4"#,
    r#"1e-45::float4"#,
    r#"123456.7::float4"#,
    r#"0::numeric"#,
    r#"0.000::numeric"#,
    r#"-12345.6700::numeric"#,
    r#"1e50::numeric"#,
    r#"1e-20::numeric"#,
    r#"'NaN'::numeric"#,
    r#"'-Infinity'::numeric"#,
    r#"99999999.9999::numeric"#,
    r#"10000::numeric"#,
    r#"0.0001::numeric"#,
    r#"0.00001234::numeric"#,
    r#"100000000.5::numeric"#,
    r#"'abc'::text"#,
    r#"''::text"#,
    r#"'a'::char(3)"#,
    r#"'a'::"char""#,
    r#"''::"char""#,
    r#"'abc'::name"#,
    r#"'\xdeadbeef'::bytea"#,
    r#"''::bytea"#,
    r#"'2000-02-29'::date"#,
    r#"'0001-01-01 BC'::date"#,
    r#"'4713-01-01 BC'::date"#,
    r#"'infinity'::date"#,
    r#"'-infinity'::date"#,
    r#"'5874897-12-31'::date"#,
    r#"'99999-12-31'::date"#,
    r#"'12:34:56.789'::time"#,
    r#"'24:00'::time"#,
    r#"'12:34:56+02:30'::timetz"#,
    r#"'12:34:56.5-08'::timetz"#,
    r#"'12:34:56-00:00:15'::timetz"#,
    r#"'2024-06-01 12:00:00.000001'::timestamp"#,
    r#"'0044-03-15 12:00:00.5 BC'::timestamp"#,
    r#"'infinity'::timestamp"#,
    r#"'2024-06-01 12:00:00+02'::timestamptz"#,
    r#"'-infinity'::timestamptz"#,
    r#"'1900-01-01 BC'::timestamptz"#,
    r#"'294276-12-31 23:59:59.999999'::timestamptz"#,
    r#"'1 year 2 mons -3 days 04:05:06.789'::interval"#,
    r#"'-1 year -1 mon +3 days -04:05:06.5'::interval"#,
    r#"'0'::interval"#,
    r#"'1 day'::interval"#,
    r#"'-1 day 1 hour'::interval"#,
    r#"'1 mon -1 sec'::interval"#,
    r#"'100000 hours'::interval"#,
    r#"'-13 months'::interval"#,
    r#"'-1 mon 1 day'::interval"#,
    r#"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"#,
    r#"'127.0.0.1'::inet"#,
    r#"'10.1.2.3/8'::inet"#,
    r#"'10.0.0.0/8'::cidr"#,
    r#"'10.0.0.1/32'::cidr"#,
    r#"'::1'::inet"#,
    r#"'2001:db8::/32'::cidr"#,
    r#"'::ffff:1.2.3.4'::inet"#,
    r#"'::1.2.3.4'::inet"#,
    r#"'fe80::1:0:0:1'::inet"#,
    r#"'08:00:2b:01:02:03'::macaddr"#,
    r#"'08:00:2b:01:02:03:04:05'::macaddr8"#,
    r#"B'10110'"#,
    r#"B''::varbit"#,
    r#"B'1'::bit(1)"#,
    r#"'16/B374D848'::pg_lsn"#,
    r#"'(1,2.5)'::point"#,
    r#"'(1,2),(3,4)'::box"#,
    r#"'[(1,2),(3,4)]'::path"#,
    r#"'((1,2),(3,4))'::path"#,
    r#"'{1,2,3}'::line"#,
    r#"'(1,2),(3,4)'::lseg"#,
    r#"'((1,2),(3,4))'::polygon"#,
    r#"'<(1,2),3>'::circle"#,
    r#"'{"a": [1, 2]}'::json"#,
    r#"'{"a": [1, 2]}'::jsonb"#,
    r#"'<a>b</a>'::xml"#,
    r#"'{1,NULL,3}'::int[]"#,
    r#"'{}'::int[]"#,
    r#"'{{1,2},{3,4}}'::int[]"#,
    r#"'[0:1]={1,2}'::int[]"#,
    r#"'{a,"b c","NULL",null,"","q\"b\\s"}'::text[]"#,
    r#"'{1.5,NaN}'::numeric[]"#,
    r#"'{2000-01-01,infinity}'::date[]"#,
    r#"'{"2000-01-01 00:00:00"}'::timestamp[]"#,
    r#"'{"(1,2),(3,4)";"(5,6),(7,8)"}'::box[]"#,
    r#"'{"(1,2)"}'::point[]"#,
    r#"'{"{\"a\": 1}"}'::jsonb[]"#,
    r#"'{t,f}'::bool[]"#,
    r#"'[1,10)'::int4range"#,
    r#"'empty'::int4range"#,
    r#"'(,5)'::int8range"#,
    r#"'[2000-01-01,)'::daterange"#,
    r#"'[1.5,2.5]'::numrange"#,
    r#"'["2000-01-01 00:00:00","2001-01-01 00:00:00")'::tsrange"#,
    r#"'["2000-01-01 00:00:00+00","2001-01-01 00:00:00+00")'::tstzrange"#,
    r#"array['[1,2)'::int4range, 'empty'::int4range]"#,
    r#"'{[1,2),[5,6)}'::int4multirange"#,
    r#"'happy'::mood"#,
    r#"'{happy,sad}'::mood[]"#,
    r#"'(1,x)'::pair"#,
    r#"7::dom"#,
    r#"row(1,'a')"#,
    r#"'so "so"'::mood"#,
    r#"'{"so \"so\"",NULL}'::mood[]"#,
    r#"'(,)'::pair"#,
    r#"'(1,"")'::pair"#,
    r#"'(1,"a ""(,)\\\\ b")'::pair"#,
    r#"array['(1,"b c")', NULL]::pair[]"#,
    r#"array[7, NULL]::dom[]"#,
    r#"array['(1,2),(3,4)', '(5,6),(7,8)']::boxes[]"#,
    r#"row('{sad,NULL}', row(1, 'a b'), 7)::moods"#,
    r#"row(NULL, NULL, NULL)::moods"#,
    r#"'[1.5,)'::floats"#,
    r#"'{[1,2),(5,6]}'::floats_multirange"#,
    r#"array['[1,2)'::floats]"#,
    r#"row(12.34, 'sad')::wealth"#,
    r#"'{}'::datemultirange"#,
    r#"'{["2000-01-01 00:00:00","2001-01-01 00:00:00")}'::tsmultirange"#,
    r#"array['{[1,2)}'::int8multirange]"#,
    r#"null::int"#,
    r#"NULL"#,
    r#"12.34::money"#,
    r#"'cat & dog'::tsquery"#,
    r#"'a fat cat'::tsvector"#,
    r#"'pg_class'::regclass"#,
    r#"'int4'::regtype"#,
    r#"'1 2 3'::int2vector"#,
    r#"'1 2'::oidvector"#,
    r#"'123'::xid"#,
    r#"'10:20:10,14'::pg_snapshot"#,
    r#"'(0,1)'::tid"#,
    r#"'=r/postgres'::aclitem"#,
    r#"'$.a'::jsonpath"#,
];

/// Types of its own.
const SETUP: &str = "CREATE TYPE mood AS ENUM ('happy', 'sad', 'so \"so\"'); CREATE TYPE pair AS (a int, b text); \
    CREATE DOMAIN dom AS int; CREATE DOMAIN boxes AS box; CREATE TYPE moods AS (a mood[], b pair, c dom); \
    CREATE TYPE floats AS RANGE (subtype = float8); CREATE TYPE wealth AS (a money, b mood);";

fn ask(client: &mut Client, request: impl Into<Request>) -> Results {
    client.send(request).expect("it can be sent");
    let mut results = None;
    client
        .fetch_all_with(|_, outcome| {
            results = Some(outcome.into_result()?.into_results());
            Ok::<_, Error>(())
        })
        .expect("it was answered");
    results.expect("there was an outcome").into_result().expect("the server did it")
}

fn connect(server: &PostgresServer) -> (Client, Postgres) {
    let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
    (Client::new().unwrap(), db.parameter("TimeZone", "UTC"))
}

/// NaN is not the same as itself.
fn same(one: &Value, two: &Value) -> bool {
    one == two || format!("{one:?}") == format!("{two:?}")
}

#[test]
fn every_type_says_the_same_in_text_and_in_binary() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = connect(&server);
        ask(&mut client, db.query(SETUP));
        for expression in EXPRESSIONS {
            let sql = format!("SELECT {expression} AS v");
            let (text, binary) = (ask(&mut client, db.query(sql.as_str())), ask(&mut client, db.execute(sql, ())));
            let (text, binary) = (text.rows().next().unwrap(), binary.rows().next().unwrap());
            assert_eq!(text.text(0), binary.text(0), "{expression}");
            let (one, two) = (text.map(), binary.map());
            assert!(same(&one["v"], &two["v"]), "{expression}: {one:?} and {two:?}");
            assert_eq!(text.columns()[0].type_().oid(), binary.columns()[0].type_().oid(), "{expression}");
        }
    });
}

#[test]
fn every_type_is_taken_as_text_and_comes_back() {
    must_end(|| {
        let server = PostgresServer::start();
        let (mut client, db) = connect(&server);
        ask(&mut client, db.query(SETUP));
        let mut taken = 0;
        for expression in EXPRESSIONS {
            let known =
                ask(&mut client, db.query(format!("SELECT {expression} AS v, pg_typeof({expression})::text AS t")));
            let row = known.rows().next().unwrap();
            // Pseudo-types are of no table and no parameter.
            let (Some(text), type_) = (row.text(0), row.get::<String>("t")) else { continue };
            if ["record", "unknown"].contains(&type_.as_str()) {
                continue;
            }
            // Without its length: `bit` and `character` would be cut to one.
            let type_ = match type_.as_str() {
                "bit" => "varbit",
                "character" => "bpchar",
                other => other,
            };
            let sql = format!("SELECT $1::{type_} AS v");
            let back = ask(&mut client, db.execute(sql.as_str(), (text.to_string(),)));
            assert_eq!(back.rows().next().unwrap().text(0).as_deref(), Some(&*text), "{expression} as {type_}");
            taken += 1;
        }
        assert!(taken > 100, "{taken}");
    });
}
