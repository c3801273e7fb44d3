//! Types of one's own (an enum, a composite) as types of Rust, in both directions. The client looks them up when it first
//! meets them.
//! `cargo run --features postgres --example postgres_types [postgres://user:password@host/database]`

#[path = "support/database.rs"]
mod database;

use aquests::{Client, Error};
use postgres_types::{FromSql, ToSql};

#[derive(Clone, Copy, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "sky", rename_all = "lowercase")]
enum Sky {
    Clear,
    Cloudy,
}

#[derive(Clone, Debug, FromSql, PartialEq, ToSql)]
#[postgres(name = "report")]
struct Report {
    city: String,
    skies: Vec<Sky>,
    rain: Option<f64>,
}

const TYPES: &str = "CREATE TYPE sky AS ENUM ('clear', 'cloudy');
    CREATE TYPE report AS (city text, skies sky[], rain float8);
    CREATE TABLE reports (report report)";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database::open()?;
    let db = &database.db;
    let mut client = Client::new()?;
    client.send(db.query(TYPES))?;
    assert_eq!(client.fetch_all()?.failed(), 0);

    let reports = [
        Report { city: "Plzeň".to_owned(), skies: vec![Sky::Clear, Sky::Cloudy], rain: Some(0.25) },
        Report { city: "Praha".to_owned(), skies: vec![Sky::Clear], rain: None },
    ];
    for report in reports.clone() {
        client.send(db.execute("INSERT INTO reports VALUES ($1)", (report,)))?;
    }
    assert_eq!(client.fetch_all()?.failed(), 0);

    client.send(db.execute("SELECT report FROM reports WHERE $1 = ANY((report).skies)", (Sky::Clear,)))?;
    client.fetch_all_with(|_, outcome| {
        let results = outcome.into_result()?.into_results();
        for (row, report) in results.rows().zip(&reports) {
            println!("{:?}, or as text {}", row.try_get::<Report>("report")?, row.try_get::<String>("report")?);
            assert_eq!(row.get::<Report>("report"), *report);
        }
        assert_eq!(results.rows().len(), 2);
        Ok::<_, Error>(())
    })?;

    client.send(db.query("DROP TABLE reports; DROP TYPE report; DROP TYPE sky"))?;
    assert_eq!(client.fetch_all()?.failed(), 0);
    Ok(())
}
