//! A key whose value is a list: of tables, like `[[audit.witness]]`, or of URLs.

use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::{Fault, FaultKind, SourceLocation},
    raw_value::{RawValue, Row, leaf},
    rule::Rule,
    section::{Key, List, Section},
    urls,
};
use crate::domain::nearest;

/// Tables of one kind, at most this many.
pub(super) struct Tables(pub(super) usize);

impl<T: Section> Rule<Vec<T>> for Tables {
    fn allowed(&self) -> String {
        let mut members = Vec::new();
        T::keys(&mut members);
        let members: Vec<_> = members.iter().map(|key| format!("{} = …", leaf(key.name).1)).collect();
        format!("an array of at most {} tables `{{ {} }}`", self.0, members.join(", "))
    }

    fn list(&self) -> Option<List> {
        let mut members = Vec::new();
        T::keys(&mut members);
        Some(List::Tables { members, most: self.0 })
    }

    fn read(&self, written: &RawValue) -> Result<Vec<T>, &'static str> {
        let wrong = "not an array of tables";
        let RawValue::List(tables) = written else { return Err(wrong) };
        if tables.len() > self.0 {
            return Err("too long");
        }
        let table = |table: &RawValue| {
            let RawValue::Table(row) = table else { return Err(wrong) };
            let value = |name: &str| row.iter().find(|(member, _)| *member == name).map(|(_, value)| value.clone());
            T::read(&value).map_err(|(_, wrong)| wrong)
        };
        tables.iter().map(table).collect()
    }

    fn write(&self, value: &Vec<T>) -> RawValue {
        let row = |table: &T| {
            let mut row = Row::new();
            table.write(&mut row);
            RawValue::Table(row)
        };
        RawValue::List(value.iter().map(row).collect())
    }
}

/// The value of a key, or every fault in it with the offset of its first byte. `place` converts offsets to places.
pub(super) fn read(
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    place: &dyn Fn(&Range<usize>) -> SourceLocation,
) -> Result<RawValue, Vec<(usize, Fault)>> {
    match (&key.list, value.get_ref()) {
        (Some(List::Tables { members, most }), DeValue::Array(tables)) => {
            let mut reader = Reader { key, members, most: *most, place, seen: BTreeSet::new(), faults: Vec::new() };
            let rows = reader.tables(tables);
            return if reader.faults.is_empty() { Ok(RawValue::List(rows)) } else { Err(reader.faults) };
        }
        (Some(List::Urls { check, most }), DeValue::Array(items)) => {
            let item = |item: &Spanned<DeValue<'_>>| (RawValue::from(item.get_ref()), item.span());
            return urls::check(key, *check, *most, items.iter().map(item).collect(), place);
        }
        _ => {}
    }
    let written = RawValue::from(value.get_ref());
    match Fault::of_value(key, &written, place(&value.span())) {
        Some(fault) => Err(vec![(value.span().start, fault)]),
        None => Ok(written),
    }
}

/// Parses the value of a key from a text of TOML; an empty text is the empty list. URLs may also be written without
/// TOML, separated by commas or newlines.
pub(super) fn parse(key: &Key, text: &str, place: &SourceLocation) -> Result<RawValue, Vec<Fault>> {
    let text = text.trim();
    if let Some(List::Urls { check, most }) = &key.list
        && !text.starts_with('[')
    {
        let items = urls::split(text).into_iter().map(|url| (RawValue::from(url), 0..0)).collect();
        return urls::check(key, *check, *most, items, &|_| place.clone()).map_err(in_order);
    }
    let value = DeValue::parse(if text.is_empty() { "[]" } else { text }).map_err(|error| {
        let (key, allowed) = (Some(key.name.to_owned()), Some(key.allowed.clone()));
        vec![Fault { key, allowed, ..Fault::at(place.clone(), FaultKind::Syntax(error.message().to_owned())) }]
    })?;
    read(key, &value, &|_| place.clone()).map_err(in_order)
}

fn in_order(mut faults: Vec<(usize, Fault)>) -> Vec<Fault> {
    faults.sort_by_key(|(start, _)| *start);
    faults.into_iter().map(|(_, fault)| fault).collect()
}

struct Reader<'a> {
    key: &'a Key,
    members: &'a [Key],
    most: usize,
    place: &'a dyn Fn(&Range<usize>) -> SourceLocation,
    /// The identities of the tables so far, which must be unique.
    seen: BTreeSet<(&'static str, String)>,
    faults: Vec<(usize, Fault)>,
}

impl Reader<'_> {
    /// All tables; incomplete ones if there are faults.
    fn tables(&mut self, tables: &[Spanned<DeValue<'_>>]) -> Vec<RawValue> {
        if let Some(table) = tables.get(self.most) {
            let value = format!("an array of {}", tables.len());
            self.fault(
                &table.span(),
                FaultKind::Value { key: self.key.name.to_owned(), value, why: "too long" },
                self.key,
            );
        }
        let mut rows = Vec::new();
        for table in tables {
            if let DeValue::Table(members) = table.get_ref() {
                rows.push(RawValue::Table(self.table(members, &table.span())));
            } else {
                let (key, value) = (self.key.name.to_owned(), RawValue::from(table.get_ref()).quoted());
                self.fault(&table.span(), FaultKind::Item { key, value, why: "not a table" }, self.key);
            }
        }
        rows
    }

    fn table(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Row {
        let members = self.members;
        for part in table.keys().filter(|part| members.iter().all(|key| leaf(key.name).1 != *part.get_ref())) {
            self.unknown(part);
        }
        let mut row = Row::new();
        for member in members {
            match (table.get(leaf(member.name).1), &member.default) {
                (Some(value), _) => row.extend(self.member(member, value).map(|written| (member.name, written))),
                (None, Some(default)) => row.push((member.name, default.clone())),
                (None, None) => self.fault(span, FaultKind::Missing(member.name.to_owned()), member),
            }
        }
        row
    }

    fn member(&mut self, member: &Key, value: &Spanned<DeValue<'_>>) -> Option<RawValue> {
        let written = read(member, value, self.place).map_err(|faults| self.faults.extend(faults)).ok()?;
        if let Some(identity) = (member.identity)(&written)
            && !self.seen.insert((member.name, identity))
        {
            let (key, shown) = (member.name.to_owned(), written.quoted());
            self.fault(
                &value.span(),
                FaultKind::Value { key, value: shown, why: "of the same name as one before it" },
                member,
            );
        }
        Some(written)
    }

    fn unknown(&mut self, part: &Spanned<Cow<'_, str>>) {
        let members = self.members;
        let near = nearest(part.get_ref(), members.iter().map(|key| leaf(key.name).1));
        let suggestion = near.map(|near| format!("{}.{near}", self.key.name));
        let name = format!("{}.{}", self.key.name, part.get_ref());
        let allowed = members.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ");
        let key = suggestion.clone().or(Some(name.clone()));
        let fault = Fault::at((self.place)(&part.span()), FaultKind::UnknownKey(name));
        self.faults.push((part.span().start, Fault { key, allowed: Some(allowed), suggestion, ..fault }));
    }

    /// A fault of a key, with its allowed values.
    fn fault(&mut self, span: &Range<usize>, wrong: FaultKind, key: &Key) {
        let fault = Fault::at((self.place)(span), wrong);
        let (key, allowed) = (Some(key.name.to_owned()), Some(key.allowed.clone()));
        self.faults.push((span.start, Fault { key, allowed, ..fault }));
    }
}
