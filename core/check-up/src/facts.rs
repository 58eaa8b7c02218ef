//! What the answers say, as far as it matters.

use std::collections::BTreeSet;

use mantle_wire::url::encoded;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::members::{Members, list, members, object, read};
use crate::rooms::{MAX_CONTENT, Room, url_of};
use crate::{MAX_ANSWER, MAX_ITEMS, Response, Topic, directory_path, shortened, time};

/// The push rule by which an encrypted change of a room's state wakes nobody.
pub(crate) const STATE_RULE: &str = "org.mantle.encrypted_state";
/// Fields of a profile that hold a time zone.
const TIME_ZONES: [&str; 2] = ["m.tz", "us.cloke.msc4175.tz"];

/// Headers by which a content network that ends TLS shows itself: name, begin of its value, whose.
const NETWORKS: [(&str, &str, &str); 8] = [
    ("cf-ray", "", "Cloudflare"),
    ("server", "cloudflare", "Cloudflare"),
    ("x-amz-cf-id", "", "Amazon CloudFront"),
    ("x-fastly-request-id", "", "Fastly"),
    ("x-served-by", "cache-", "Fastly"),
    ("x-akamai-transformed", "", "Akamai"),
    ("x-azure-ref", "", "Azure Front Door"),
    ("x-vercel-id", "", "Vercel"),
];

fn network_in(headers: &str) -> Option<&'static str> {
    headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        let known =
            |(header, begin, _): &&(&str, &str, &str)| name == *header && value.starts_with(begin);
        NETWORKS.iter().find(known).map(|(_, _, whose)| *whose)
    })
}

/// All that was read.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) sessions: Vec<Session>,
    pub(crate) rooms: Vec<Room>,
    pub(crate) identity_server: Option<Map<String, Value>>,
    /// Content of `m.widgets`.
    pub(crate) widgets: Option<Map<String, Value>>,
    pub(crate) keywords: Vec<Keyword>,
    /// The account says already how changes of encrypted state are pushed, or that nothing is.
    pub(crate) is_push_decided: bool,
    pub(crate) contacts: Vec<Contact>,
    pub(crate) pushers: Vec<Pusher>,
    /// As anybody is told it.
    pub(crate) profile: Map<String, Value>,
    pub(crate) presence: Option<Presence>,
    /// Ids of rooms in the homeserver's list.
    pub(crate) listed: BTreeSet<String>,
    pub(crate) is_media_open: bool,
    pub(crate) backup: Option<Backup>,
    /// Whose network carries the homeserver's answers.
    pub(crate) network: Option<&'static str>,
}

/// An e-mail address or telephone number.
#[derive(Debug, Deserialize)]
pub(crate) struct Contact {
    pub(crate) address: String,
    #[serde(default, deserialize_with = "time")]
    pub(crate) added_at: Option<u64>,
}

/// Where notifications of a device are pushed to.
#[derive(Debug, Deserialize)]
pub(crate) struct Pusher {
    #[serde(default)]
    pub(crate) app_display_name: String,
    #[serde(default)]
    pub(crate) device_display_name: String,
    #[serde(default)]
    pub(crate) data: Map<String, Value>,
}

/// A key backup at the homeserver.
#[derive(Debug, Deserialize)]
pub(crate) struct Backup {
    pub(crate) version: String,
    /// The page's session says that neither the person's keys nor the session's signed it, and that it
    /// does not hold the backup's own key.
    #[serde(skip)]
    pub(crate) is_strange: bool,
}

/// What the page's session says of a backup.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Judgement {
    trusted: bool,
    matches_decryption_key: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Presence {
    pub(crate) presence: String,
    #[serde(default)]
    pub(crate) status_msg: Option<String>,
}

/// A session of the account.
#[derive(Debug, Deserialize)]
pub(crate) struct Session {
    #[serde(rename = "device_id")]
    pub(crate) id: String,
    #[serde(rename = "display_name", default)]
    pub(crate) name: Option<String>,
    #[serde(rename = "last_seen_ts", default, deserialize_with = "time")]
    pub(crate) last_seen: Option<u64>,
}

/// A push rule for a word.
#[derive(Debug, Deserialize)]
pub(crate) struct Keyword {
    #[serde(rename = "rule_id")]
    pub(crate) id: String,
    pub(crate) pattern: String,
    #[serde(default)]
    pub(crate) actions: Vec<Value>,
    #[serde(default)]
    pub(crate) enabled: bool,
    /// The homeserver's own, such as the one for the name of the account.
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize)]
struct AccountData {
    #[serde(rename = "type")]
    kind: String,
    content: Map<String, Value>,
}

impl Facts {
    /// Takes an answer in; nothing when it could not be read.
    pub(crate) fn read(&mut self, topic: Topic, path: &str, response: Response<'_>) -> Option<()> {
        self.network = self.network.or_else(|| network_in(response.headers));
        // What these are refused is not shown to anybody else either.
        let is_refused = (400..500).contains(&response.status) && response.status != 429;
        if is_refused && matches!(topic, Topic::Profile | Topic::Presence | Topic::Media) {
            return Some(());
        }
        if topic == Topic::Media {
            self.is_media_open = response.status == 200;
            return self.is_media_open.then_some(());
        }
        if topic == Topic::Backup && response.status == 404 {
            return Some(());
        }
        // A list would pass for an object with all left out.
        let is_object = response.body.trim_start().starts_with('{');
        if response.status != 200 || response.body.len() > MAX_ANSWER || !is_object {
            return None;
        }
        match topic {
            Topic::Sessions => {
                self.sessions = each(&members(response.body)?, "devices")?;
            }
            Topic::Sync => {
                let sync = members(response.body)?;
                let joined = object(&object(&sync, "rooms")?, "join")?;
                for raw in list(&object(&sync, "account_data")?, "events")? {
                    if let Some(data) = read(raw.get()) {
                        self.take_account_data(data, raw.get().len());
                    }
                }
                self.rooms = Room::all(&joined);
            }
            Topic::Contacts => {
                self.contacts = each(&members(response.body)?, "threepids")?;
            }
            Topic::Pushers => {
                self.pushers = each(&members(response.body)?, "pushers")?;
            }
            Topic::Profile if response.body.len() > MAX_CONTENT => return None,
            Topic::Profile => self.profile = read(response.body)?,
            Topic::Presence => self.presence = Some(read(response.body)?),
            Topic::Directory => {
                let listed: Map<String, Value> = read(response.body)?;
                if listed.get("visibility").and_then(Value::as_str) == Some("public") {
                    let room = self.rooms.iter().find(|room| directory_path(&room.id) == path);
                    self.listed.extend(room.map(|room| room.id.clone()));
                }
            }
            // What is too long for a backup's description is none that a session could judge.
            Topic::Backup if response.body.len() > MAX_CONTENT => return None,
            Topic::Backup => self.backup = Some(read(response.body)?),
            Topic::Media => {}
        }
        Some(())
    }

    /// Takes in what the page's session says of the backup; nothing when it could not say.
    pub(crate) fn judge(&mut self, response: Response<'_>) -> Option<()> {
        if response.status != 200 {
            return None;
        }
        let judgement: Judgement = read(response.body)?;
        let backup = self.backup.as_mut()?;
        backup.is_strange = !judgement.trusted && !judgement.matches_decryption_key;
        Some(())
    }

    fn take_account_data(&mut self, AccountData { kind, content }: AccountData, length: usize) {
        match kind.as_str() {
            "m.push_rules" => {
                let rules = |kind: &str| {
                    let rules = content.get("global").and_then(|global| global.get(kind));
                    rules.and_then(Value::as_array).into_iter().flatten()
                };
                // Who has switched Mantle's own off wanted it so.
                self.is_push_decided = rules("override").any(|rule| {
                    let is = |id: &str| rule.get("rule_id").and_then(Value::as_str) == Some(id);
                    let is_on = rule.get("enabled") == Some(&Value::Bool(true));
                    is(STATE_RULE) || (is(".m.rule.master") && is_on)
                });
                self.keywords = rules("content")
                    .filter_map(|rule| Keyword::deserialize(rule).ok())
                    .filter(|rule| !rule.default && !rule.pattern.is_empty())
                    .take(MAX_ITEMS)
                    .collect();
            }
            // What is too long to be put back is not touched.
            "m.identity_server" if length <= MAX_CONTENT => self.identity_server = Some(content),
            "m.widgets" if length <= MAX_CONTENT => self.widgets = Some(content),
            _ => {}
        }
    }

    /// The identity server that other sessions of the account use.
    pub(crate) fn identity_server(&self) -> Option<&str> {
        let server = self.identity_server.as_ref()?.get("base_url")?.as_str()?;
        (!server.is_empty()).then_some(server)
    }

    /// A text of the profile.
    pub(crate) fn profile_text(&self, key: &str) -> Option<&str> {
        self.profile.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// The time zone, with the name of its field.
    pub(crate) fn time_zone(&self) -> Option<(&'static str, &str)> {
        TIME_ZONES.into_iter().find_map(|field| Some((field, self.profile_text(field)?)))
    }

    /// A small form of the person's picture.
    pub(crate) fn picture_path(&self) -> Option<String> {
        let (server, id) =
            self.profile_text("avatar_url")?.strip_prefix("mxc://")?.split_once('/')?;
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || !id.bytes().all(is_id) {
            return None;
        }
        let server = encoded(server);
        let small = "width=32&height=32&method=crop";
        Some(format!("/_matrix/media/v3/thumbnail/{server}/{id}?{small}"))
    }

    /// Widgets of the account: name of the entry, type, address; managers of integrations apart.
    pub(crate) fn account_widgets(&self, managers: bool) -> Vec<AccountWidget> {
        let entries = self.widgets.iter().flatten();
        entries
            .filter_map(|(key, entry)| {
                let content = entry.get("content")?.as_object()?;
                let kind = content.get("type").and_then(Value::as_str).unwrap_or_default();
                let is_manager = kind == "m.integration_manager";
                (is_manager == managers).then_some(())?;
                let name = content.get("name").and_then(Value::as_str).unwrap_or_default();
                Some(AccountWidget {
                    key: key.clone(),
                    name: shortened(if name.is_empty() { kind } else { name }),
                    url: url_of(content)?.to_owned(),
                })
            })
            .take(MAX_ITEMS)
            .collect()
    }
}

/// An entry of `m.widgets`.
#[derive(Debug)]
pub(crate) struct AccountWidget {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) url: String,
}

/// Of the list under this key those that can be read, at most [`MAX_ITEMS`]; `None` where there is none.
fn each<Entry: DeserializeOwned>(members: &Members<'_>, key: &str) -> Option<Vec<Entry>> {
    members.get(key)?;
    let read = list(members, key)?.into_iter().filter_map(|one| read(one.get()));
    Some(read.take(MAX_ITEMS).collect())
}
