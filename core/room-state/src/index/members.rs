//! Objects of which nothing may be doubtful.

use mantle_wire::json;

/// The members of an object without a key twice.
pub(crate) struct Members<'a>(Vec<json::Member<'a>>);

impl<'a> Members<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let members = json::members(text).ok()??;
        let mut keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        (keys.len() == count).then_some(Self(members))
    }

    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|member| member.key == key).map(|member| member.value)
    }

    pub(crate) fn string(&self, key: &str) -> Option<String> {
        json::exact_string(self.raw(key)?)
    }
}
