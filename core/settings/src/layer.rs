//! One layer of settings as somebody wrote it: the person's stored form, or the policy.
//!
//! Read leniently: what cannot be read is named and costs itself only. A lock holds over what cannot
//! be read, and wherever it is not plainly off: what an organisation locked, nobody weakens because
//! of a slip of its pen.

use crate::coerce;
use crate::schema::{Mode, Profile};
use crate::validate;
use mantle_wire::json::{JsonError, elements, members, string};
use std::borrow::Cow;

/// What a policy may name at its top.
pub(crate) const POLICY_KEYS: [&str; 6] =
    ["shields", "options", "allow", "deviceName", "profile", "sites"];

/// Whose settings a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// Its values have the types that Mantle wrote.
    Person,
    /// Its values have the types that a browser made of them; see [`coerce`].
    Organisation,
}

/// Each sentence stands whole: the pages find its translation by it.
impl Author {
    pub(crate) fn not_understood(self, key: &str) -> String {
        match self {
            Self::Person => format!(
                "Mantle does not understand “{key}” in your saved settings, so its safe default is in force."
            ),
            Self::Organisation => format!(
                "Mantle does not understand “{key}” in your organisation's policy, so its safe default is in force."
            ),
        }
    }

    pub(crate) fn stays_readable(self, types: &str) -> String {
        match self {
            Self::Person => format!(
                "“{types}” in your saved settings cannot be encrypted, because homeservers, calls or other apps need to read it; save the list of further state to encrypt without it."
            ),
            Self::Organisation => format!(
                "“{types}” in your organisation's policy cannot be encrypted, because homeservers, calls or other apps need to read it; ask your administrator to take it off the list."
            ),
        }
    }

    fn unreadable(self) -> String {
        let sentence = match self {
            Self::Person => {
                "Mantle could not read your saved settings, so the safe defaults are in force; set them again."
            }
            Self::Organisation => {
                "Mantle could not read your organisation's policy, so the safe defaults are in force; ask your administrator to correct it."
            }
        };
        sentence.to_owned()
    }
}

pub(crate) fn unknown_key(key: &str) -> String {
    format!("Your organisation's policy has “{key}”, which this version of Mantle does not know.")
}

/// What a layer says of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<T> {
    /// `None` where it cannot be read.
    pub(crate) value: Option<T>,
    pub(crate) locked: bool,
}

/// One layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) shields: Vec<(String, Entry<Mode>)>,
    pub(crate) device_name: Option<Entry<String>>,
    pub(crate) allow: Vec<(String, Vec<String>)>,
    pub(crate) profile: Option<Entry<Profile>>,
    /// By shield and key: JSON text.
    pub(crate) options: Vec<(String, String, Entry<String>)>,
    /// As [`validate::site`] writes them.
    pub(crate) sites: Vec<String>,
}

impl Layer {
    /// Never fails: what cannot be read adds a sentence to `warnings`.
    pub(crate) fn read(text: Option<&str>, author: Author, warnings: &mut Vec<String>) -> Self {
        let mut reader = Reader { author, layer: Self::default(), bad: Vec::new() };
        let Some(text) = text else { return reader.layer };
        if reader.read(text).is_err() {
            warnings.push(author.unreadable());
            return Self::default();
        }
        warnings.extend(reader.bad.iter().map(|key| author.not_understood(key)));
        reader.layer
    }

    pub(crate) fn shield(&self, id: &str) -> Option<&Entry<Mode>> {
        self.shields.iter().rev().find(|(known, _)| known == id).map(|(_, entry)| entry)
    }

    pub(crate) fn option(&self, shield: &str, key: &str) -> Option<&Entry<String>> {
        let found = self.options.iter().rev().find(|(id, name, _)| id == shield && name == key);
        found.map(|(_, _, entry)| entry)
    }

    pub(crate) fn allowed(&self, id: &str) -> &[String] {
        self.allow.iter().rev().find(|(known, _)| known == id).map_or(&[], |(_, hosts)| hosts)
    }

    /// Everything it sets of a shield: `shields`, `options` or `allow`, the shield's id, and the key.
    pub(crate) fn named(&self) -> Vec<(&'static str, String, String)> {
        let none = String::new;
        let shields = self.shields.iter().map(|(id, _)| ("shields", id.clone(), none()));
        let options = self.options.iter().map(|(id, key, _)| ("options", id.clone(), key.clone()));
        let allow = self.allow.iter().map(|(id, _)| ("allow", id.clone(), none()));
        shields.chain(options).chain(allow).collect()
    }
}

struct Reader {
    author: Author,
    layer: Layer,
    /// Keys of what cannot be read.
    bad: Vec<String>,
}

impl Reader {
    /// Keys of version 1 keep their meaning in later versions, so the number is no gate.
    fn read(&mut self, text: &str) -> Result<(), JsonError> {
        let fields = members(text)?.ok_or(JsonError::Malformed { at: 0 })?;
        for field in fields {
            let key = field.key.as_str();
            match key {
                "shields" => self.each(key, field.value, |this, id, json| {
                    let entry =
                        this.lockable(&format!("shields.{id}"), "mode", json, Self::mode)?;
                    this.layer.shields.push((id.to_owned(), entry));
                    Ok(())
                })?,
                "options" => self.each(key, field.value, |this, id, json| {
                    this.each(&format!("options.{id}"), json, |this, key, json| {
                        let name = format!("options.{id}.{key}");
                        let entry =
                            this.lockable(&name, "value", json, |_, json| Some(json.to_owned()))?;
                        this.layer.options.push((id.to_owned(), key.to_owned(), entry));
                        Ok(())
                    })
                })?,
                "allow" => self.each(key, field.value, |this, id, json| {
                    let hosts = this.list(&format!("allow.{id}"), json, validate::host)?;
                    this.layer.allow.push((id.to_owned(), hosts));
                    Ok(())
                })?,
                "deviceName" => {
                    let name = |this: &Self, json: &str| validate::device_name(&this.text(json)?);
                    self.layer.device_name =
                        Some(self.lockable(key, "value", field.value, name)?);
                }
                "profile" => {
                    let entry = self.lockable(key, "value", field.value, Self::profile)?;
                    self.layer.profile = Some(entry);
                }
                "sites" => {
                    let url = |text: &str| Some(validate::site(text)?.url);
                    self.layer.sites = self.list(key, field.value, url)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Hands over each member of an object.
    fn each(
        &mut self,
        name: &str,
        json: &str,
        mut take: impl FnMut(&mut Self, &str, &str) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        let json = self.object(json);
        match members(&json)? {
            Some(fields) => fields.iter().try_for_each(|field| take(self, &field.key, field.value)),
            None => {
                self.bad.push(name.to_owned());
                Ok(())
            }
        }
    }

    /// `value`, or `{<key>: value, "locked": true}` as policy writes it.
    fn lockable<T>(
        &mut self,
        name: &str,
        key: &str,
        json: &str,
        read: impl Fn(&Self, &str) -> Option<T>,
    ) -> Result<Entry<T>, JsonError> {
        let json = self.object(json);
        let Some(fields) = members(&json)? else {
            let value = read(self, &json);
            self.bad.extend(value.is_none().then(|| name.to_owned()));
            return Ok(Entry { value, locked: false });
        };
        let (mut value, mut locked, mut is_clear) = (None, false, true);
        for field in fields {
            if field.key == key {
                value = read(self, field.value);
            } else if self.author == Author::Organisation {
                let is_lock = field.key == "locked";
                is_clear &= is_lock;
                if is_lock || field.key.to_ascii_lowercase().contains("lock") {
                    let truth = coerce::truth(field.value);
                    is_clear &= truth.is_some();
                    locked |= truth.unwrap_or(true);
                }
            }
        }
        self.bad.extend((value.is_none() || !is_clear).then(|| name.to_owned()));
        Ok(Entry { value, locked })
    }

    /// What `read` makes of the texts of a list; a bad entry costs itself only.
    fn list(
        &mut self,
        name: &str,
        json: &str,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, JsonError> {
        let entries = match self.author {
            Author::Organisation => coerce::entries(json, &[',', ';']),
            Author::Person if json.starts_with('[') => {
                Some(elements(json)?.into_iter().map(str::to_owned).collect())
            }
            Author::Person => None,
        };
        let mut is_clear = entries.is_some();
        let mut good = Vec::new();
        for entry in entries.unwrap_or_default() {
            match self.text(&entry).and_then(|text| read(&text)) {
                Some(read) => good.push(read),
                None => is_clear = false,
            }
        }
        self.bad.extend((!is_clear).then(|| name.to_owned()));
        Ok(good)
    }

    fn object<'a>(&self, json: &'a str) -> Cow<'a, str> {
        match self.author {
            Author::Person => Cow::Borrowed(json),
            Author::Organisation => coerce::object(json),
        }
    }

    fn text(&self, json: &str) -> Option<String> {
        match self.author {
            Author::Person => string(json.trim().as_bytes()),
            Author::Organisation => coerce::line(json),
        }
    }

    fn mode(&self, json: &str) -> Option<Mode> {
        Mode::from_name(self.name(json, Mode::ALL.map(Mode::name))?.as_str())
    }

    fn profile(&self, json: &str) -> Option<Profile> {
        Profile::from_name(self.name(json, Profile::ALL.map(Profile::name))?.as_str())
    }

    fn name<const N: usize>(&self, json: &str, names: [&'static str; N]) -> Option<String> {
        match self.author {
            Author::Person => string(json.trim().as_bytes()),
            Author::Organisation => coerce::name(json, names.into_iter()).map(str::to_owned),
        }
    }
}
