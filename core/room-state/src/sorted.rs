//! Maps and sets as sorted vectors. The standard library's trees are some ten kilobytes of WASM for
//! each type of key and value; these are one, and everything kept here is bounded to a few thousand.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// A map in the order of its keys.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Map<K, V>(Vec<(K, V)>);

/// A set in its order.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Set<T>(Vec<T>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(&self.0).finish()
    }
}

impl<K: Ord, V> Map<K, V> {
    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of the key that `compare` calls equal; for keys made of parts, which need not be put
    /// together for that.
    pub(super) fn find(&self, compare: impl Fn(&K) -> Ordering) -> Option<&V> {
        let at = self.0.binary_search_by(|(known, _)| compare(known)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.position(key).is_ok()
    }

    /// The value that was there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, known)| std::mem::replace(known, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The value, made where there is none.
    pub(super) fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.position(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, make()));
                at
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or put there just now")]
        &mut self.0[at].1
    }

    /// The value, the default where there is none.
    pub(super) fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.or_insert_with(key, V::default)
    }
}

impl<K, V> Map<K, V> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn pop_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut map = Self::new();
        for (key, value) in items {
            map.insert(key, value);
        }
        map
    }
}

/// A map with a bound in entries and in bytes: what was put in first gives way.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: Map<K, Kept<V>>,
    most: usize,
    most_bytes: usize,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    cost: usize,
    number: u64,
}

impl<K: Ord + Clone, V> Bounded<K, V> {
    pub(super) const fn new(most: usize, most_bytes: usize) -> Self {
        Self { entries: Map::new(), most, most_bytes, bytes: 0, next: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|kept| &kept.value)
    }

    /// As of [`Map::find`].
    pub(super) fn find(&self, compare: impl Fn(&K) -> Ordering) -> Option<&V> {
        self.entries.find(compare).map(|kept| &kept.value)
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key).map(|kept| &mut kept.value)
    }

    pub(super) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// Puts it in as the latest. What gave way: the oldest, or itself where it is larger than all.
    pub(super) fn insert(&mut self, key: K, value: V, cost: usize) -> Vec<K> {
        self.remove(&key);
        self.next += 1;
        self.bytes += cost;
        self.entries.insert(key, Kept { value, cost, number: self.next });
        let mut out = Vec::new();
        while (self.entries.len() > self.most || self.bytes > self.most_bytes)
            && let Some((oldest, _)) = self.entries.iter().min_by_key(|(_, kept)| kept.number)
        {
            let oldest = oldest.clone();
            self.remove(&oldest);
            out.push(oldest);
        }
        out
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let kept = self.entries.remove(key)?;
        self.bytes -= kept.cost;
        Some(kept.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, kept)| (key, &kept.value))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, kept)| (key, &mut kept.value))
    }
}

impl<T: Ord> Set<T> {
    /// True when it is new.
    pub(super) fn insert(&mut self, item: T) -> bool {
        match self.0.binary_search(&item) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, item);
                true
            }
        }
    }

    pub(super) fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.position(item).is_ok()
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, item: &Q)
    where
        T: Borrow<Q>,
    {
        if let Ok(at) = self.position(item) {
            self.0.remove(at);
        }
    }

    fn position<Q: Ord + ?Sized>(&self, item: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|known| known.borrow().cmp(item))
    }
}

impl<T> Set<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut set = Self::new();
        set.extend(items);
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_came_first_gives_way_at_either_bound() {
        let mut kept = Bounded::new(3, 100);
        assert_eq!(kept.insert("b", 1, 10), [""; 0]);
        kept.insert("c", 2, 10);
        kept.insert("a", 3, 10);
        // Put in anew, it is the latest.
        kept.insert("b", 4, 10);
        assert_eq!(kept.insert("d", 5, 10), ["c"]);
        assert_eq!(kept.insert("e", 6, 85), ["a", "b"]);
        assert_eq!(kept.insert("f", 7, 101), ["d", "e", "f"]);
        assert!(kept.is_empty());
        assert_eq!(kept.bytes, 0);
    }

    proptest! {
        #[test]
        fn they_behave_like_trees(steps in prop::collection::vec(("[ab]{0,2}", any::<Option<u8>>()), 0..40)) {
            let (mut map, mut tree) = (Map::new(), BTreeMap::new());
            let (mut set, mut tree_set) = (Set::new(), BTreeSet::new());
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        prop_assert_eq!(set.insert(key.clone()), tree_set.insert(key.clone()));
                        prop_assert_eq!(map.insert(key.clone(), value), tree.insert(key.clone(), value));
                        prop_assert_eq!(map.get(&key), Some(&value));
                    }
                    None => {
                        set.remove(&key);
                        tree_set.remove(&key);
                        prop_assert_eq!(map.remove(&key), tree.remove(&key));
                        prop_assert!(!map.contains_key(&key) && !set.contains(&key));
                        prop_assert_eq!(*map.or_default(key.clone()), 0);
                        map.remove(&key);
                    }
                }
                prop_assert!(map.iter().eq(tree.iter()));
                prop_assert!(set.iter().eq(tree_set.iter()));
            }
        }
    }
}
