//! A body of which many things are asked, gone over once.

use super::cursor::{Cursor, JsonError, Key};
use super::read::{decoded, string, without_mark};
use std::borrow::Cow;
use std::ops::Range;

/// A response's JSON text and what stands at the paths somebody asked for beforehand.
///
/// A path is the keys that lead to a value, with `/` between them.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a [u8],
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    key: String,
    /// By their keys.
    children: Vec<usize>,
    value: Option<Range<usize>>,
}

const ROOT: usize = 0;

impl<'a> Document<'a> {
    /// Reads a body; a byte order mark does not count.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] when the body is not JSON to the browser either.
    pub fn read(
        body: &'a [u8],
        paths: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, JsonError> {
        let mut document = Self { text: without_mark(body), nodes: vec![Node::default()] };
        for path in paths {
            let mut node = ROOT;
            for key in path.as_ref().split('/') {
                node = match document.place(node, key.as_bytes()) {
                    Ok(child) => child,
                    Err(place) => document.add(node, place, key),
                };
            }
        }
        let mut cursor = Cursor::new(document.text);
        document.visit(&mut cursor, ROOT)?;
        cursor.end()?;
        Ok(document)
    }

    /// The text of the value at a path, the last one where keys repeat; `None` where there is none,
    /// or where it was not asked for.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Cow<'a, str>> {
        self.bytes(path).map(String::from_utf8_lossy)
    }

    /// The string at a path, unescaped; `None` where there is none.
    #[must_use]
    pub fn get_str(&self, path: &str) -> Option<String> {
        self.bytes(path).and_then(string)
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        decoded(self.text)
    }

    /// Whether it is an object that has members.
    #[must_use]
    pub fn has_members(&self) -> bool {
        let mut cursor = Cursor::new(self.text);
        cursor.peek() == Some(b'{') && cursor.first_key().is_ok_and(|key| key.is_some())
    }

    /// Where in the text, which is without byte order mark, the value at a path stands.
    #[must_use]
    pub fn range(&self, path: &str) -> Option<Range<usize>> {
        let mut node = ROOT;
        for key in path.split('/') {
            node = self.place(node, key.as_bytes()).ok()?;
        }
        self.nodes.get(node)?.value.clone()
    }

    fn bytes(&self, path: &str) -> Option<&'a [u8]> {
        self.text.get(self.range(path)?)
    }

    /// The child with this key, or its place among the others.
    fn place(&self, node: usize, key: &[u8]) -> Result<usize, usize> {
        let children =
            self.nodes.get(node).map(|node| node.children.as_slice()).unwrap_or_default();
        children
            .binary_search_by(|child| {
                self.nodes.get(*child).map_or(&[][..], |child| child.key.as_bytes()).cmp(key)
            })
            .map(|place| children.get(place).copied().unwrap_or(ROOT))
    }

    fn add(&mut self, node: usize, place: usize, key: &str) -> usize {
        let child = self.nodes.len();
        self.nodes.push(Node { key: key.to_owned(), ..Node::default() });
        if let Some(node) = self.nodes.get_mut(node) {
            node.children.insert(place, child);
        }
        child
    }

    fn child(&self, node: usize, key: &Key<'_>) -> Option<usize> {
        match key.is_escaped {
            true => self.place(node, key.text().as_bytes()).ok(),
            false => self.place(node, key.raw).ok(),
        }
    }

    /// Goes over the value of a node.
    fn visit(&mut self, cursor: &mut Cursor<'a>, node: usize) -> Result<(), JsonError> {
        let starts = cursor.peek();
        let start = cursor.at();
        let is_leaf = self.nodes.get(node).is_none_or(|node| node.children.is_empty());
        if is_leaf || starts != Some(b'{') {
            cursor.value()?;
        } else {
            let mut next = cursor.first_key()?;
            while let Some(key) = next {
                match self.child(node, &key) {
                    Some(child) => {
                        self.forget(child);
                        self.visit(cursor, child)?;
                    }
                    None => {
                        cursor.value()?;
                    }
                }
                next = cursor.next_key()?;
            }
        }
        if let Some(node) = self.nodes.get_mut(node) {
            node.value = Some(start..cursor.at());
        }
        Ok(())
    }

    /// Of a key that repeats, nothing counts but what its last value holds.
    fn forget(&mut self, node: usize) {
        let Some(known) = self.nodes.get_mut(node) else { return };
        if known.value.take().is_none() {
            return;
        }
        for index in 0..known.children.len() {
            let child = self.nodes.get(node).and_then(|node| node.children.get(index));
            if let Some(child) = child.copied() {
                self.forget(child);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::get;
    use super::*;
    use proptest::prelude::*;

    const PATHS: [&str; 5] = ["a", "a/b", "a/a", "b/a/b", "c"];

    fn read(body: &[u8]) -> Result<Document<'_>, JsonError> {
        Document::read(body, PATHS)
    }

    #[test]
    fn a_mark_and_broken_bytes_change_nothing() {
        let document =
            read(b"\xef\xbb\xbf {\"a\":{\"b\":\"\xff\\u00e9\"},\"\\u0063\":1e400}").unwrap();
        assert_eq!(document.get_str("a/b").unwrap(), "\u{fffd}\u{e9}");
        assert_eq!(document.get("c").unwrap(), "1e400");
        assert_eq!(document.get("b/a/b"), None);
        assert!(document.has_members());
        assert!(!read(b"{ }").unwrap().has_members() && !read(b"[1]").unwrap().has_members());
        assert!(read(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
    }

    fn objects() -> impl Strategy<Value = String> {
        let leaf =
            prop::sample::select(vec!["1", "[]", "{}", "null", "\"a\""]).prop_map(str::to_owned);
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop::sample::select(vec!["a", "b", "c", "\\u0061", "d"]);
            prop::collection::vec((key, inner), 0..5).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", members.join(", "))
            })
        })
    }

    proptest! {
        #[test]
        fn each_path_is_read_as_alone(text in objects()) {
            let document = read(text.as_bytes()).unwrap();
            for path in PATHS {
                let keys: Vec<_> = path.split('/').collect();
                let alone = get(&text, &keys).unwrap();
                let found = document.get(path);
                prop_assert_eq!(found.as_deref(), alone, "{} in {}", path, &text);
            }
        }
    }
}
