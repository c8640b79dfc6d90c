//! Makes queries slow: they wait for a table until the test lets them go on.

use std::thread;

use crate::harness::{postgres::psql, until};
use crate::nodes::Fleet;

/// Somebody who holds a table.
pub struct TableLock(thread::JoinHandle<()>);

impl TableLock {
    /// Nobody reads the table from now on.
    #[track_caller]
    pub fn take(fleet: &Fleet, table: &str) -> Self {
        let url = fleet.superuser_url();
        let held = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)");
        let holder = thread::spawn(move || drop(psql(&url, &held)));
        let held = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'";
        until("locked", || fleet.sql(held) == "1");
        Self(holder)
    }

    /// Lets everybody go on.
    #[track_caller]
    pub fn release(self, fleet: &Fleet) {
        fleet.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'");
        self.0.join().unwrap();
    }
}
