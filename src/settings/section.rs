//! From one table of keys: the structs, the list of keys, reading and writing.

use super::raw_value::RawValue;

/// The static definition of a key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its full name: sections and key, joined by dots.
    pub(super) name: &'static str,
    /// The default value. `None`: a value is required; only for keys of the tables in a list.
    pub(super) default: Option<RawValue>,
    /// The allowed values, for an administrator.
    pub(super) allowed: String,
    /// The allowed words, if they can be enumerated.
    pub(super) choices: &'static [&'static str],
    /// Checks a value, and returns its fault.
    pub(super) check: fn(&RawValue) -> Result<(), &'static str>,
    /// The identity of a table with this value, which must be unique in its list.
    pub(super) identity: fn(&RawValue) -> Option<String>,
    /// The kind of the list, if the value is one.
    pub(super) list: Option<List>,
}

impl Key {
    /// The name of the variable that overrides it.
    pub(super) fn variable(&self) -> String {
        format!("ACGS_{}", self.name.replace('.', "__").to_uppercase())
    }
}

/// The kind of a list.
#[derive(Debug)]
pub(super) enum List {
    /// Tables.
    Tables {
        /// The keys of each.
        members: Vec<Key>,
        /// How many there may be.
        most: usize,
    },
    /// URLs.
    Urls {
        /// The fault of one item, if it has one.
        check: fn(&str) -> Result<(), &'static str>,
        /// How many there may be.
        most: usize,
    },
}

/// A table of a settings file, or each table of a list.
pub(super) trait Section: Sized {
    /// Adds its keys, in the order in which they are shown.
    fn keys(into: &mut Vec<Key>);
    /// Reads the section from merged values; the error is a key and its fault.
    fn read(value: &dyn Fn(&str) -> Option<RawValue>) -> Result<Self, (&'static str, &'static str)>;
    /// Appends its values, in the order of the keys, with secrets.
    fn write(&self, into: &mut Vec<(&'static str, RawValue)>);
    /// Adds its values, in the order of the keys, for people to see.
    fn show(&self, into: &mut Vec<(&'static str, RawValue)>);
}

/// Declares a section: each line is one key with its type, full name, default (or `none`) and rule.
macro_rules! section {
    (@default none) => { None };
    (@default $default:tt) => { Some($default.into()) };
    (
        $(#[$about:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $field:ident: $type:ty = $key:literal, $default:tt, $rule:expr; )*
        }
        $( sections { $( $(#[$inner_doc:meta])* $inner:ident: $section:ident; )* } )?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $(
                $(#[$doc])*
                #[doc = concat!(
                    "\n\nKey `", $key, "`, default `", stringify!($default), "`, allowed `", stringify!($rule), "`."
                )]
                pub $field: $type,
            )*
            $($( $(#[$inner_doc])* pub $inner: $section, )*)?
        }

        impl $crate::settings::section::Section for $name {
            fn keys(into: &mut Vec<$crate::settings::section::Key>) {
                $( into.push($crate::settings::section::Key {
                    name: $key,
                    default: section!(@default $default),
                    allowed: Rule::<$type>::allowed(&$rule),
                    choices: Rule::<$type>::choices(&$rule),
                    check: |written| Rule::<$type>::read(&$rule, written).map(drop),
                    identity: |written| Rule::<$type>::identity(&$rule, &Rule::<$type>::read(&$rule, written).ok()?),
                    list: Rule::<$type>::list(&$rule),
                }); )*
                $($( $section::keys(into); )*)?
            }

            fn read(
                value: &dyn Fn(&str) -> Option<$crate::settings::raw_value::RawValue>,
            ) -> Result<Self, (&'static str, &'static str)> {
                Ok(Self {
                    $( $field: {
                        let written = value($key).ok_or(($key, "missing"))?;
                        Rule::<$type>::read(&$rule, &written).map_err(|wrong| ($key, wrong))?
                    }, )*
                    $($( $inner: $section::read(value)?, )*)?
                })
            }

            fn write(&self, into: &mut Vec<(&'static str, $crate::settings::raw_value::RawValue)>) {
                $( into.push(($key, Rule::<$type>::write(&$rule, &self.$field))); )*
                $($( self.$inner.write(into); )*)?
            }

            fn show(&self, into: &mut Vec<(&'static str, $crate::settings::raw_value::RawValue)>) {
                $( into.push(($key, Rule::<$type>::show(&$rule, &self.$field))); )*
                $($( self.$inner.show(into); )*)?
            }
        }
    };
}

pub(super) use section;
