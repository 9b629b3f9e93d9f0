//! A database with sqlx, an async crate, in straight-line code: goroutines that write and read through one pool.
//!
//! ```text
//! cargo run -p gosched-ecosystem-test --features sqlx --example sqlx [-- FILE]
//! ```

use gosched::{scope, wait};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

const WRITERS: i64 = 8;
const ROWS: i64 = 25;

#[gosched::main]
fn main() -> Result<(), sqlx::Error> {
    let file = std::env::args().nth(1);
    // A database in memory belongs to one connection.
    let connections = if file.is_some() { 4 } else { 1 };
    let options = SqliteConnectOptions::new().filename(file.as_deref().unwrap_or(":memory:"));
    let pool = SqlitePoolOptions::new().max_connections(connections).min_connections(1);
    let pool = wait(pool.connect_with(options.create_if_missing(true)))?;
    wait(sqlx::query("CREATE TABLE IF NOT EXISTS gophers (writer INTEGER, number INTEGER)").execute(&pool))?;
    scope(|s| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                s.go({
                    let pool = &pool;
                    move || write(pool, writer)
                })
            })
            .collect();
        writers.into_iter().try_for_each(|one| one.join().expect("it does not panic"))
    })?;
    let (count, sum): (i64, i64) =
        wait(sqlx::query_as("SELECT count(*), sum(number) FROM gophers").fetch_one(&pool))?;
    println!("{count} gophers, {sum} in sum");
    wait(pool.close());
    Ok(())
}

/// All rows of a writer, or none.
fn write(pool: &SqlitePool, writer: i64) -> Result<(), sqlx::Error> {
    let mut transaction = wait(pool.begin())?;
    for number in 0..ROWS {
        let insert = sqlx::query("INSERT INTO gophers VALUES (?, ?)").bind(writer).bind(number);
        wait(insert.execute(&mut *transaction))?;
    }
    wait(transaction.commit())
}
