//! Values of a policy that came as another type than they were meant as.
//!
//! Firefox reads policies from the Windows registry, which knows neither truth nor lists: it hands
//! over `1` for `true`, texts for numbers, lists of one, JSON as text, and lists as objects with the
//! keys `1`, `2`, … What such a value can only mean, it means; everything else is left as it is, and
//! whoever reads it names it.

use mantle_wire::json::{elements, members, quoted, string};
use std::borrow::Cow;

/// The object in a policy's value, which may be the only entry of a list, or JSON text.
pub(crate) fn object(json: &str) -> Cow<'_, str> {
    let json = only(json);
    match text(json) {
        Some(text) if text.starts_with(['{', '[']) && members(&text).is_ok() => {
            Cow::Owned(only(&text).to_owned())
        }
        _ => Cow::Borrowed(json),
    }
}

/// Yes or no; `None` where it may mean either.
pub(crate) fn truth(json: &str) -> Option<bool> {
    let json = only(json);
    let text = text(json);
    match text.as_deref().unwrap_or(json).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// One of these names: as a text of any case, or as yes and no where they are `on` and `off`.
pub(crate) fn name<'a>(
    json: &str,
    mut names: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let written = text(only(json));
    let known = names
        .clone()
        .find(|name| written.as_deref().is_some_and(|written| written.eq_ignore_ascii_case(name)));
    known.or_else(|| {
        let wanted = if truth(json)? { "on" } else { "off" };
        names.find(|name| *name == wanted)
    })
}

/// A text, which may have come as a number.
pub(crate) fn line(json: &str) -> Option<String> {
    let json = only(json);
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    text(json).or_else(|| is_number.then(|| json.to_owned()))
}

/// A whole number, which may have come as a text.
pub(crate) fn number(json: &str) -> Option<i64> {
    line(json)?.parse().ok()
}

/// The entries of a list, as JSON texts: of an array, of an object with the keys `1`, `2`, …, or of
/// one text with something of these between them.
pub(crate) fn entries(json: &str, separators: &[char]) -> Option<Vec<String>> {
    let json = object(json);
    let is_numbered =
        |key: &str| !key.is_empty() && key.bytes().all(|digit| digit.is_ascii_digit());
    if json.starts_with('[') {
        let entries = elements(&json).ok()?;
        return Some(entries.into_iter().map(str::to_owned).collect());
    }
    if let Some(fields) = members(&json).ok()? {
        let is_list = fields.iter().all(|field| is_numbered(&field.key));
        return is_list.then(|| fields.into_iter().map(|field| field.value.to_owned()).collect());
    }
    let text = text(&json)?;
    let is_between = |letter: char| letter.is_whitespace() || separators.contains(&letter);
    Some(text.split(is_between).filter(|entry| !entry.is_empty()).map(quoted).collect())
}

/// The entry of a list of one, however deep; anything else as it is.
fn only(mut json: &str) -> &str {
    loop {
        json = json.trim();
        match json.starts_with('[').then(|| elements(json)) {
            Some(Ok(entries)) if entries.len() == 1 => {
                json = entries.first().copied().unwrap_or_default();
            }
            _ => return json,
        }
    }
}

fn text(json: &str) -> Option<String> {
    let text = string(json.trim().as_bytes())?;
    Some(text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0').to_owned())
}
