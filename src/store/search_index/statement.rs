//! SQL assembled from parts, with the values to bind.
//!
//! Searches are the only queries whose shape depends on their parameters. The text names the index to be used, so that
//! no statistics and no version of SQLite can make a search slow.

use std::borrow::Cow;
use std::fmt::Write as _;

use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::store::connection::{Backend, Connection};
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

/// A statement in the making.
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

    /// Appends text with one `?` for each of the values.
    #[must_use]
    pub(super) fn with(mut self, sql: &str, values: impl IntoIterator<Item = Value<'a>>) -> Self {
        self.sql.push_str(sql);
        self.values.extend(values);
        self
    }

    /// Appends conditions, each after an `AND`.
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
        Ok(self.query(conn).get_result::<Row>(conn).optional()?.map(|row| row.place))
    }

    /// The column `name` of its first row.
    pub(super) fn name(self, conn: &mut Connection) -> Result<Option<String>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            name: String,
        }
        Ok(self.query(conn).get_result::<Row>(conn).optional()?.map(|row| row.name))
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
        Ok(self.query(conn).load::<Row>(conn)?.into_iter().map(|row| (row.place, row.record)).collect())
    }

    /// The columns `name`, `number` and `denials` of all its rows.
    pub(super) fn counts(self, conn: &mut Connection) -> Result<Vec<(String, i64, i64)>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            name: String,
            #[diesel(sql_type = BigInt)]
            number: i64,
            #[diesel(sql_type = BigInt)]
            denials: i64,
        }
        Ok(self.query(conn).load::<Row>(conn)?.into_iter().map(|row| (row.name, row.number, row.denials)).collect())
    }

    fn query(self, conn: &Connection) -> BoxedSqlQuery<'a, Backend, SqlQuery> {
        let numbered = numbered(&self.sql);
        let is_postgres = matches!(conn, Connection::Postgres(_));
        let query = sql_query(if is_postgres { without_hints(&numbered) } else { numbered }).into_boxed();
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) if is_postgres => query.bind::<Text, _>(storable(text)),
            Value::Text(text) => query.bind::<Text, _>(text),
            Value::Flag(flag) => query.bind::<Bool, _>(flag),
            Value::Number(number) => query.bind::<BigInt, _>(number),
        })
    }
}

/// With `$1`, `$2`, … in place of each `?`: both databases take that.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (number, part) in (1..).zip(parts) {
        let _ = write!(text, "${number}{part}");
    }
    text
}

/// Removes SQLite's index hints.
fn without_hints(sql: &str) -> String {
    let sql = sql.replace(" NOT INDEXED", "").replace("CROSS JOIN", "JOIN");
    let mut parts = sql.split(" INDEXED BY ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The name of the index goes too.
        text.push_str(part.find(' ').and_then(|end| part.get(end..)).unwrap_or_default());
    }
    text
}

/// As PostgreSQL can store it, which has no text with a zero in it.
pub(super) fn storable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_to_either_database_in_its_own_way() {
        let sql = numbered("SELECT e.x FROM t AS e INDEXED BY t_x WHERE e.x = ? AND e.y > ? LIMIT ?");
        assert_eq!(sql, "SELECT e.x FROM t AS e INDEXED BY t_x WHERE e.x = $1 AND e.y > $2 LIMIT $3");
        assert_eq!(without_hints(&sql), "SELECT e.x FROM t AS e WHERE e.x = $1 AND e.y > $2 LIMIT $3");
        let sql = "SELECT v.p FROM v CROSS JOIN t AS e NOT INDEXED ON TRUE";
        assert_eq!(without_hints(sql), "SELECT v.p FROM v JOIN t AS e ON TRUE");
    }
}
