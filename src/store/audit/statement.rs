//! SQL that is put together from parts, with the values that it binds.
//!
//! Searches are the only queries whose shape depends on what is asked. Which index they read is said in the text, so
//! that no statistics and no version of SQLite can make a search slow.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;

use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// A value that is bound.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// Text of any length and with any character.
    Text(Cow<'a, str>),
    /// True or false.
    Flag(bool),
    /// A number.
    Number(i64),
}

/// A statement as far as it is written.
#[derive(Debug, Clone)]
pub(super) struct Statement<'a> {
    sql: String,
    values: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    /// Begins a statement.
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Goes on with text that has one `?` for each of the values.
    #[must_use]
    pub(super) fn with(mut self, sql: &str, values: impl IntoIterator<Item = Value<'a>>) -> Self {
        self.sql.push_str(sql);
        self.values.extend(values);
        self
    }

    /// Goes on with conditions, each after an `AND`.
    #[must_use]
    pub(super) fn and(self, conditions: &[(&'static str, Value<'a>)]) -> Self {
        conditions
            .iter()
            .fold(self, |statement, (condition, value)| statement.with(" AND ", []).with(condition, [value.clone()]))
    }

    /// Its text.
    #[cfg(test)]
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The column `place` of its first row.
    pub(super) fn place(self, conn: &mut Connection) -> Result<Option<i64>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            place: i64,
        }
        Ok(self.query().get_result::<Row>(conn).optional()?.map(|row| row.place))
    }

    /// The column `name` of its first row.
    pub(super) fn name(self, conn: &mut Connection) -> Result<Option<String>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            name: String,
        }
        Ok(self.query().get_result::<Row>(conn).optional()?.map(|row| row.name))
    }

    /// The columns `place` and `record` of all its rows.
    pub(super) fn records(self, conn: &mut Connection) -> Result<Vec<(i64, Option<String>)>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            place: i64,
            #[diesel(sql_type = Nullable<Text>)]
            record: Option<String>,
        }
        Ok(self.query().load::<Row>(conn)?.into_iter().map(|row| (row.place, row.record)).collect())
    }

    fn query(self) -> BoxedSqlQuery<'a, Sqlite, SqlQuery> {
        let query = sql_query(self.sql).into_boxed();
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind::<Text, _>(text),
            Value::Flag(flag) => query.bind::<Bool, _>(flag),
            Value::Number(number) => query.bind::<BigInt, _>(number),
        })
    }
}
