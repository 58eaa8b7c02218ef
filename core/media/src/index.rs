//! Where keys stand in a list. One type stands for all maps and sets of an index of a picture: each
//! kind of the standard library's trees is some five kilobytes of WASM.

/// Keys, sorted, each with its place in the list that they came from.
#[derive(Debug, Default)]
pub(super) struct Index(Vec<(u32, usize)>);

impl Index {
    /// Of the keys of a list, in its order.
    pub(super) fn of(keys: impl Iterator<Item = u32>) -> Self {
        let mut pairs: Vec<(u32, usize)> = Vec::new();
        for key in keys {
            pairs.push((key, pairs.len()));
        }
        pairs.sort_unstable();
        Self(pairs)
    }

    /// The places of a key, in the list's order.
    pub(super) fn all(&self, key: u32) -> impl Iterator<Item = usize> {
        let from = self.0.partition_point(|(other, _)| *other < key);
        let rest = self.0.get(from..).unwrap_or_default().iter();
        rest.take_while(move |(other, _)| *other == key).map(|(_, place)| *place)
    }

    /// The first place of a key.
    pub(super) fn get(&self, key: u32) -> Option<usize> {
        self.all(key).next()
    }

    pub(super) fn contains(&self, key: u32) -> bool {
        self.get(key).is_some()
    }

    /// Sorted, as often as they are there.
    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().map(|(key, _)| *key)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is there twice.
    pub(super) fn is_unique(&self) -> bool {
        self.0.array_windows().all(|[one, next]| one.0 != next.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn keys_are_found_where_they_stand() {
        let index = Index::of([5, 1, 5, 3].into_iter());
        assert_eq!(index.all(5).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((index.get(3), index.get(2), index.get(9)), (Some(3), None, None));
        assert_eq!(index.keys().collect::<Vec<_>>(), [1, 3, 5, 5]);
        assert!(index.contains(1) && !index.contains(0) && !index.is_unique());
        assert!(Index::of([2, 1].into_iter()).is_unique() && Index::default().is_unique());
    }
}
