//! One settings file, parsed alone, so that every fault in it has a line and a column.

use std::{io::ErrorKind, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::{Fault, FaultKind, SourceLocation, Span},
    layer::{Entry, Layer},
    list,
    raw_value::leaf,
    section::{Key, List},
};
use crate::domain::nearest;

/// Reads one file. None: there is no such file.
pub(super) fn read(keys: &[Key], path: &Path, faults: &mut Vec<Fault>) -> Option<Layer> {
    // Reading a pipe would wait for a writer.
    let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let read = if is_special { Err(std::io::Error::other("not a file")) } else { std::fs::read(path) };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            faults.push(Fault::at(SourceLocation::Path(path.to_owned()), FaultKind::Unreadable(error.to_string())));
            return Some(Layer::new(path.display().to_string()));
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut reader =
        Reader { keys, path, text: &text, faults: Vec::new(), layer: Layer::new(path.display().to_string()) };
    reader.document(str::from_utf8(&bytes).err().map(|error| error.valid_up_to()));
    // Tables are sorted by name; people read files from top to bottom.
    reader.faults.sort_by_key(|(start, _)| *start);
    faults.extend(reader.faults.into_iter().map(|(_, fault)| fault));
    Some(reader.layer)
}

struct Reader<'a> {
    keys: &'a [Key],
    path: &'a Path,
    text: &'a str,
    faults: Vec<(usize, Fault)>,
    layer: Layer,
}

impl Reader<'_> {
    fn document(&mut self, not_utf8: Option<usize>) {
        if let Some(start) = not_utf8 {
            let wrong = FaultKind::Syntax("not UTF-8".to_owned());
            return self.fault(&(start..start + '\u{fffd}'.len_utf8()), wrong, None, None, None);
        }
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let mut last_line = 0;
        for error in &errors {
            let span = error.span().unwrap_or_default();
            let line = Span::new(self.path.to_owned(), self.text, &span).line;
            // One slip often makes several errors in its line.
            if line != last_line {
                self.fault(&span, FaultKind::Syntax(error.message().to_owned()), None, None, None);
            }
            last_line = line;
        }
        // After a syntax error, the following keys may be in the wrong table; they are checked once the file is valid
        // TOML.
        if errors.is_empty() {
            self.table(document.get_ref(), "");
        }
    }

    fn table(&mut self, table: &DeTable<'_>, section: &str) {
        for (part, value) in table {
            let name =
                if section.is_empty() { part.get_ref().to_string() } else { format!("{section}.{}", part.get_ref()) };
            let keys = self.keys;
            // A quoted name with a dot in it is not a path through sections.
            let key = keys.iter().find(|key| key.name == name && !part.get_ref().contains('.'));
            let is_section = keys.iter().any(|key| is_within(key.name, &name)) && !part.get_ref().contains('.');
            match (key, value.get_ref()) {
                (Some(key), _) => self.value(key, value),
                (None, DeValue::Table(inner)) if is_section => self.table(inner, &name),
                (None, _) if is_section => {
                    let wrong = FaultKind::NotASection(name.clone());
                    self.fault(&part.span(), wrong, Some(name.clone()), None, Some(format!("a table `[{name}]`")));
                }
                (None, written) => self.unknown(&name, section, &part.span(), is_table(written)),
            }
        }
    }

    fn value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>) {
        let place = |span: &Range<usize>| SourceLocation::Span(Span::new(self.path.to_owned(), self.text, span));
        match list::read(key, value, &place) {
            Ok(written) => self.layer.insert(key.name, Entry { value: written, place: place(&value.span()) }),
            Err(faults) => self.faults.extend(faults),
        }
    }

    fn unknown(&mut self, name: &str, section: &str, span: &Range<usize>, is_table: bool) {
        let key = leaf(name).1;
        if !section.is_empty() && self.keys.iter().any(|known| known.name == key) {
            let wrong = FaultKind::Misplaced { key: key.to_owned(), section: section.to_owned() };
            return self.fault(span, wrong, Some(key.to_owned()), None, None);
        }
        let mut known: Vec<&str> =
            if is_table { sections(self.keys) } else { self.keys.iter().map(|key| key.name).collect() };
        let in_section: Vec<&str> = known.iter().copied().filter(|key| leaf(key).0 == section).collect();
        let suggestion = nearest(leaf(name).1, in_section.iter().map(|key| leaf(key).1))
            .and_then(|near| in_section.iter().copied().find(|key| leaf(key).1 == near))
            // The right key in the wrong section, if there is only one such.
            .or_else(|| {
                known.retain(|key| leaf(key).1 == leaf(name).1);
                if let [only] = known.as_slice() { Some(*only) } else { None }
            });
        let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let allowed = if is_table { list(&sections(self.keys)) } else { list(&in_section) };
        let wrong =
            if is_table { FaultKind::UnknownSection(name.to_owned()) } else { FaultKind::UnknownKey(name.to_owned()) };
        let suggestion = suggestion.map(str::to_owned);
        self.fault(span, wrong, suggestion.clone().or(Some(name.to_owned())), suggestion, Some(allowed));
    }

    fn fault(
        &mut self,
        span: &Range<usize>,
        wrong: FaultKind,
        key: Option<String>,
        suggestion: Option<String>,
        allowed: Option<String>,
    ) {
        let place = SourceLocation::Span(Span::new(self.path.to_owned(), self.text, span));
        self.faults.push((span.start, Fault { wrong, place, key, allowed, suggestion }));
    }
}

/// Whether a key belongs to a section, or to a section of it.
pub(super) fn is_within(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Every section and every list of tables, outer ones first.
fn sections(keys: &[Key]) -> Vec<&'static str> {
    let mut sections = Vec::new();
    for key in keys {
        let dots = key.name.match_indices('.').map(|(end, _)| end);
        let is_tables = matches!(key.list, Some(List::Tables { .. }));
        for end in dots.chain(is_tables.then_some(key.name.len())) {
            let section = key.name.get(..end).unwrap_or_default();
            if !sections.contains(&section) {
                sections.push(section);
            }
        }
    }
    sections
}

fn is_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.first().is_some_and(|item| item.get_ref().is_table()),
        _ => false,
    }
}
