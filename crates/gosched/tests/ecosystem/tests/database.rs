//! sqlx with SQLite from goroutines. Its connections go back to their pool when they are dropped, by a task of tokio's.

#[path = "../../common/mod.rs"]
mod common;

use common::everywhere;
use gosched::{chan, go, go_async, wait};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

const WRITERS: i64 = 12;
const ROWS: i64 = 10;

/// A database of its own, in a directory that goes with it.
struct Database {
    pool: SqlitePool,
    directory: PathBuf,
}

impl Database {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("gosched-sqlx-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let options = SqliteConnectOptions::new()
            .filename(directory.join("database"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = wait(SqlitePoolOptions::new().max_connections(3).connect_with(options)).unwrap();
        wait(sqlx::query("CREATE TABLE rows (writer INTEGER, number INTEGER)").execute(&pool)).unwrap();
        Self { pool, directory }
    }

    fn count(&self) -> i64 {
        wait(sqlx::query_scalar("SELECT count(*) FROM rows").fetch_one(&self.pool)).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        wait(self.pool.close());
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Writes all rows and commits them, or rolls them back by dropping what it holds.
async fn write(pool: SqlitePool, writer: i64, commit: bool) {
    let mut transaction = pool.begin().await.unwrap();
    for number in 0..ROWS {
        let insert = sqlx::query("INSERT INTO rows VALUES (?, ?)").bind(writer).bind(number);
        insert.execute(&mut *transaction).await.unwrap();
    }
    if commit {
        transaction.commit().await.unwrap();
    }
}

#[test]
fn transactions_of_goroutines_and_stackless_ones_are_committed_or_rolled_back() {
    everywhere(|| {
        let database = Database::new();
        let all: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let body = write(database.pool.clone(), writer, writer % 3 != 0);
                if writer % 2 == 0 { go(|| wait(body)) } else { go_async(body) }
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(database.count(), WRITERS / 3 * 2 * ROWS);
    });
}

#[test]
fn a_connection_goes_back_to_the_pool_from_whichever_goroutine_drops_it() {
    everywhere(|| {
        let database = Database::new();
        let (tx, rx) = chan::bounded(0);
        let drops = go(move || rx.iter().for_each(drop));
        // More than the pool has: each has come back.
        for _ in 0..20 {
            tx.send(wait(database.pool.acquire()).unwrap()).unwrap();
        }
        drop(tx);
        drops.join().unwrap();
        // In the middle of a transaction, while unwinding.
        let pool = database.pool.clone();
        let panics = go(move || {
            let mut transaction = wait(pool.begin()).unwrap();
            wait(sqlx::query("INSERT INTO rows VALUES (1, 1)").execute(&mut *transaction)).unwrap();
            panic!("on purpose");
        });
        assert!(panics.join().is_err());
        assert_eq!(database.count(), 0);
    });
}
