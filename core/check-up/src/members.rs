//! JSON as whoever reads it in a browser does: of a key that repeats the last member counts. What is
//! derived for a type refuses such an object whole, and hides what Element shows.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of an object, unread.
pub(crate) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// A value of this type.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let value: Value = serde_json::from_str(text).ok()?;
    T::deserialize(value).ok()
}

/// The members of what is an object.
pub(crate) fn members(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}

/// The object under this key, an empty one where there is none; `None` where it is something else.
pub(crate) fn object<'a>(within: &Members<'a>, key: &str) -> Option<Members<'a>> {
    within.get(key).map_or_else(|| Some(Members::new()), |raw| members(raw.get()))
}

/// The same for a list.
pub(crate) fn list<'a>(within: &Members<'a>, key: &str) -> Option<Vec<&'a RawValue>> {
    within.get(key).map_or_else(|| Some(Vec::new()), |raw| serde_json::from_str(raw.get()).ok())
}
