//! Which facts are findings, who can see them, and what would take them back.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use mantle_wire::url::encoded;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::facts::{AccountWidget, Facts, STATE_RULE, Session};
use crate::repair::{Change, MAX_TEXT, Step};
use crate::rooms::{MAX_CONTENT, Room, Widget, host_of, url_of};
use crate::{Account, MAX_ITEMS, Topic, directory_path, profile_path, shortened};

/// What the account shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum FindingId {
    /// Sessions whose names tell of the app, the browser, the system or the person.
    SessionNames,
    /// Encrypted rooms with a name or topic that everyone on the way can read.
    ReadableRooms,
    /// Encrypted rooms with a picture that everyone on the way can see.
    RoomPictures,
    /// An identity server in account data.
    IdentityServer,
    /// A manager of integrations in account data.
    IntegrationManager,
    /// Other widgets of the account, such as stickers.
    AccountWidgets,
    /// Widgets in rooms.
    RoomWidgets,
    /// Words that somebody is notified of.
    Keywords,
    /// Rooms with a history that everyone can read.
    OpenHistory,
    /// Rooms in the homeserver's list.
    ListedRooms,
    /// Rooms that people without an account may enter.
    GuestAccess,
    /// Name and picture, for anybody.
    PublicProfile,
    /// The time zone, for anybody.
    TimeZone,
    /// Pictures, for anybody who knows their address.
    OpenMedia,
    /// Whether the person is there.
    Presence,
    /// A network between the homeserver and everyone else.
    ContentNetwork,
    /// Servers that push notifications.
    Pushers,
    /// E-mail addresses and telephone numbers.
    Contacts,
    /// Sessions that nobody used for long.
    IdleSessions,
    /// A key backup of which the session does not know that it is the person's own.
    KeyBackup,
    /// Devices that are woken when a room's encrypted name changes.
    StatePushes,
}

const ALL: [FindingId; 21] = [
    FindingId::SessionNames,
    FindingId::ReadableRooms,
    FindingId::RoomPictures,
    FindingId::IdentityServer,
    FindingId::IntegrationManager,
    FindingId::AccountWidgets,
    FindingId::RoomWidgets,
    FindingId::Keywords,
    FindingId::OpenHistory,
    FindingId::ListedRooms,
    FindingId::GuestAccess,
    FindingId::PublicProfile,
    FindingId::TimeZone,
    FindingId::OpenMedia,
    FindingId::Presence,
    FindingId::ContentNetwork,
    FindingId::Pushers,
    FindingId::Contacts,
    FindingId::IdleSessions,
    FindingId::KeyBackup,
    FindingId::StatePushes,
];

/// Sessions unused for longer are findings.
const IDLE_MS: u64 = 90 * 24 * 60 * 60 * 1_000;

/// Who can see it; the widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Anybody, without an account.
    Everyone,
    /// People in the same rooms, and their homeservers.
    People,
    /// A server that is no homeserver.
    ThirdParty,
    /// The homeservers of everyone in the rooms.
    Homeservers,
    /// The account's own homeserver.
    Homeserver,
}

/// How much it tells; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Whom somebody talks with or what about, to many.
    High,
    /// Something of the person, to some.
    Medium,
    /// Little, or to those who know more anyway.
    Low,
}

/// What a finding is made of: a session, a room, a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "FoundItem"))]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Somebody else's text.
    pub name: String,
    /// Where it belongs: a host, or a room.
    pub of: Option<String>,
    /// Of rooms: `name` or `topic`. Of a key backup: `version`, which its name is.
    pub parts: Vec<&'static str>,
    /// Milliseconds since the epoch, where it is known.
    pub since: Option<u64>,
    /// Whether a repair takes it back.
    pub repairable: bool,
}

/// A repair that could be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "RepairOffer"))]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// How many items.
    pub steps: usize,
    /// Whether it can be taken back.
    pub undo: bool,
}

/// One thing that the account shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which.
    pub id: FindingId,
    /// Who can see it.
    pub audience: Audience,
    /// How much it tells.
    pub grade: Grade,
    /// Of all items, also of those that are not listed.
    pub count: usize,
    /// The first ones.
    pub items: Vec<Item>,
    /// The oldest, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// What Mantle can do about it.
    pub repair: Option<Offer>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "CheckUpReport"))]
pub struct Report {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// Requests that were answered.
    pub requests: u32,
    /// What the homeserver did not tell, or not so that it could be read.
    pub unread: Vec<Topic>,
}

/// Everything that is one, worst first.
pub(crate) fn findings(facts: &Facts, account: &Account) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        ALL.into_iter().filter_map(|id| finding(id, facts, account)).collect();
    found.sort_by_key(|one| (one.grade, one.audience, Reverse(one.count), one.id));
    found
}

fn finding(id: FindingId, facts: &Facts, account: &Account) -> Option<Finding> {
    use FindingId as Id;
    let (audience, grade) = match id {
        Id::SessionNames => (Audience::People, Grade::Medium),
        Id::ReadableRooms => (Audience::Homeservers, Grade::High),
        Id::RoomPictures => (Audience::Homeservers, Grade::Medium),
        Id::IdentityServer | Id::IntegrationManager => (Audience::ThirdParty, Grade::Medium),
        Id::AccountWidgets | Id::RoomWidgets | Id::StatePushes => {
            (Audience::ThirdParty, Grade::Low)
        }
        Id::Keywords | Id::Contacts => (Audience::Homeserver, Grade::Low),
        Id::OpenHistory => (Audience::Everyone, Grade::High),
        Id::PublicProfile | Id::TimeZone | Id::OpenMedia => (Audience::Everyone, Grade::Medium),
        Id::ListedRooms | Id::GuestAccess => (Audience::Everyone, Grade::Low),
        Id::Presence => (Audience::People, Grade::Medium),
        Id::ContentNetwork | Id::Pushers => (Audience::ThirdParty, Grade::Medium),
        Id::IdleSessions | Id::KeyBackup => (Audience::Homeserver, Grade::Medium),
    };
    let mut items = items(id, facts, account);
    let count = items.len();
    if count == 0 {
        return None;
    }
    let steps = steps(id, facts, account);
    let undo = steps.iter().all(Step::can_be_undone);
    let repair = (!steps.is_empty()).then_some(Offer { steps: steps.len(), undo });
    let since = items.iter().filter_map(|item| item.since).min();
    items.truncate(MAX_ITEMS);
    Some(Finding { id, audience, grade, count, items, since, repair })
}

fn items(id: FindingId, facts: &Facts, account: &Account) -> Vec<Item> {
    let plain =
        |name: String| Item { name, of: None, parts: Vec::new(), since: None, repairable: true };
    match id {
        FindingId::SessionNames => {
            telling_sessions(facts, account).map(|(_, name)| plain(shortened(name))).collect()
        }
        FindingId::ReadableRooms => {
            let convertible = convertible(account);
            readable_rooms(facts)
                .map(|room| {
                    let parts = [(&room.name, "name"), (&room.topic, "topic")];
                    let parts = parts
                        .into_iter()
                        .filter_map(|(text, part)| text.as_ref().map(|text| (part, text.since)));
                    Item {
                        since: parts.clone().map(|(_, since)| since).min(),
                        parts: parts.map(|(part, _)| part).collect(),
                        repairable: convertible.contains(room.id.as_str()),
                        ..plain(room.shown())
                    }
                })
                .collect()
        }
        FindingId::RoomPictures => private_rooms(facts)
            .filter_map(|room| {
                let since = Some(room.picture.as_ref()?.since);
                Some(Item { since, repairable: false, ..plain(room.shown()) })
            })
            .collect(),
        FindingId::IdentityServer => {
            facts.identity_server().map(|url| plain(host_of(url))).into_iter().collect()
        }
        FindingId::IntegrationManager => manager_items(&facts.account_widgets(true), plain),
        FindingId::AccountWidgets => manager_items(&facts.account_widgets(false), plain),
        FindingId::RoomWidgets => widgets(facts)
            .map(|(room, widget)| Item {
                of: Some(room.shown()),
                since: Some(widget.since),
                repairable: may_take_out(room, widget, account),
                ..plain(host_of(url_of(&widget.content).unwrap_or_default()))
            })
            .collect(),
        FindingId::Keywords => {
            facts.keywords.iter().map(|rule| plain(shortened(&rule.pattern))).collect()
        }
        FindingId::OpenHistory => own_rooms(facts, account, HISTORY)
            .filter(|room| room.open_history.is_some())
            .map(|room| Item { since: room.open_history, ..plain(room.shown()) })
            .collect(),
        FindingId::GuestAccess => own_rooms(facts, account, GUESTS)
            .filter(|room| room.open_to_guests.is_some())
            .map(|room| Item { since: room.open_to_guests, ..plain(room.shown()) })
            .collect(),
        FindingId::ListedRooms => listed_rooms(facts).map(|room| plain(room.shown())).collect(),
        FindingId::TimeZone => {
            facts.time_zone().map(|(_, zone)| plain(shortened(zone))).into_iter().collect()
        }
        FindingId::KeyBackup => facts
            .backup
            .iter()
            .filter(|backup| backup.is_strange)
            .map(|backup| {
                let parts = vec!["version"];
                Item { parts, ..fixed((shortened(&backup.version), None)) }
            })
            .collect(),
        FindingId::Contacts => facts
            .contacts
            .iter()
            .map(|one| Item { since: one.added_at, ..fixed((shortened(&one.address), None)) })
            .collect(),
        FindingId::StatePushes if pushes_state(facts) => {
            pushers(facts).map(|(name, of)| Item { of, ..plain(name) }).collect()
        }
        _ => told_items(id, facts, account).into_iter().map(fixed).collect(),
    }
}

/// What Mantle can only tell of.
fn told_items(id: FindingId, facts: &Facts, account: &Account) -> Vec<(String, Option<String>)> {
    let alone = |name: &str| (shortened(name), None);
    match id {
        FindingId::PublicProfile => ["displayname", "avatar_url"]
            .into_iter()
            .filter_map(|key| facts.profile_text(key).map(alone))
            .collect(),
        FindingId::OpenMedia if facts.is_media_open => {
            facts.profile_text("avatar_url").map(alone).into_iter().collect()
        }
        FindingId::Presence => {
            let shown = facts.presence.iter().filter(|known| known.presence != "offline");
            let said = facts.presence.iter().filter_map(|known| known.status_msg.as_deref());
            let said = said.filter(|text| !text.is_empty()).map(alone);
            shown.map(|known| alone(&known.presence)).chain(said).collect()
        }
        FindingId::ContentNetwork => facts.network.map(alone).into_iter().collect(),
        FindingId::Pushers => pushers(facts).collect(),
        FindingId::IdleSessions => {
            let idle = facts.sessions.iter().filter(|session| {
                let last_seen = session.last_seen.unwrap_or(account.now);
                last_seen != 0 && last_seen < account.now.saturating_sub(IDLE_MS)
            });
            let named = |session: &Session| match session.name.as_deref() {
                Some(name) if !name.is_empty() => shortened(name),
                _ => shortened(&session.id),
            };
            idle.map(|session| (named(session), None)).collect()
        }
        _ => Vec::new(),
    }
}

/// What notifications go to: app or device, and the host of its push server.
fn pushers(facts: &Facts) -> impl Iterator<Item = (String, Option<String>)> {
    facts.pushers.iter().map(|pusher| {
        let url = pusher.data.get("url").and_then(Value::as_str);
        let names = [&pusher.app_display_name, &pusher.device_display_name];
        let name = names.into_iter().find(|name| !name.is_empty());
        (name.map_or_else(String::new, |name| shortened(name)), url.map(host_of))
    })
}

/// Whether an encrypted change of a room's state is pushed like a message: it has the same type.
fn pushes_state(facts: &Facts) -> bool {
    let is_there = facts.rooms.iter().any(|room| room.has_encrypted_state);
    is_there && !facts.is_push_decided && !facts.pushers.is_empty()
}

fn fixed((name, of): (String, Option<String>)) -> Item {
    Item { name, of, parts: Vec::new(), since: None, repairable: false }
}

const HISTORY: &str = "m.room.history_visibility";
const GUESTS: &str = "m.room.guest_access";

/// Rooms in which the person may change state of a type.
fn own_rooms<'a>(
    facts: &'a Facts,
    account: &'a Account,
    kind: &'a str,
) -> impl Iterator<Item = &'a Room> {
    facts.rooms.iter().filter(move |room| room.may_send(&account.user, kind))
}

fn listed_rooms(facts: &Facts) -> impl Iterator<Item = &Room> {
    facts.rooms.iter().filter(|room| facts.listed.contains(&room.id))
}

fn manager_items(entries: &[AccountWidget], plain: impl Fn(String) -> Item) -> Vec<Item> {
    let item =
        |entry: &AccountWidget| Item { of: Some(host_of(&entry.url)), ..plain(entry.name.clone()) };
    entries.iter().map(item).collect()
}

/// What a repair does, in order, as far as it may be kept.
pub(crate) fn steps(id: FindingId, facts: &Facts, account: &Account) -> Vec<Step> {
    let user = encoded(&account.user);
    let data = |kind: &str| format!("/_matrix/client/v3/user/{user}/account_data/{kind}");
    let mut steps: Vec<Step> = match id {
        FindingId::SessionNames => telling_sessions(facts, account)
            .map(|(id, name)| {
                let path = format!("/_matrix/client/v3/devices/{}", encoded(id));
                let before = json!({ "display_name": name });
                let after = json!({ "display_name": account.session_name });
                Step::Change(Change::new(name, path, before, after))
            })
            .collect(),
        FindingId::ReadableRooms => {
            let convertible = convertible(account);
            readable_rooms(facts)
                .filter(|room| convertible.contains(room.id.as_str()))
                .map(|room| Step::Convert { label: room.shown(), room: room.id.clone() })
                .collect()
        }
        FindingId::OpenHistory => own_rooms(facts, account, HISTORY)
            .filter(|room| room.open_history.is_some())
            .map(|room| state_step(room, HISTORY, "history_visibility", "world_readable", "shared"))
            .collect(),
        FindingId::GuestAccess => own_rooms(facts, account, GUESTS)
            .filter(|room| room.open_to_guests.is_some())
            .map(|room| state_step(room, GUESTS, "guest_access", "can_join", "forbidden"))
            .collect(),
        FindingId::ListedRooms => listed_rooms(facts)
            .map(|room| {
                let before = json!({ "visibility": "public" });
                let after = json!({ "visibility": "private" });
                let path = directory_path(&room.id);
                Step::Change(Change::new(&room.shown(), path, before, after))
            })
            .collect(),
        FindingId::TimeZone => {
            let step = |(field, zone): (&str, &str)| {
                let before = Value::Object(Map::from_iter([(field.to_owned(), json!(zone))]));
                let path = if field == "m.tz" {
                    format!("{}/{field}", profile_path(&account.user))
                } else {
                    let unstable = "/_matrix/client/unstable/uk.tcpip.msc4133/profile";
                    format!("{unstable}/{user}/{field}")
                };
                Step::Change(Change::new(zone, path, before, Value::Null))
            };
            facts.time_zone().map(step).into_iter().collect()
        }
        FindingId::IdentityServer => {
            let server = facts.identity_server().map(host_of);
            let content = facts.identity_server.clone().map(Value::Object);
            server
                .zip(content)
                .map(|(host, before)| {
                    // The specification's way to say that there is none; an absent one lets the
                    // client take its own.
                    let after = json!({ "base_url": null });
                    let path = data("m.identity_server");
                    Step::Change(Change::new(&host, path, before, after).whole())
                })
                .into_iter()
                .collect()
        }
        FindingId::IntegrationManager => widgets_step(facts, true, data("m.widgets")),
        FindingId::AccountWidgets => widgets_step(facts, false, data("m.widgets")),
        FindingId::RoomWidgets => widgets(facts)
            .filter(|(room, widget)| may_take_out(room, widget, account))
            .map(|(room, widget)| {
                let (room_id, kind) = (encoded(&room.id), &widget.kind);
                let key = encoded(&widget.key);
                let path = format!("/_matrix/client/v3/rooms/{room_id}/state/{kind}/{key}");
                let before = Value::Object(widget.content.clone());
                let host = host_of(url_of(&widget.content).unwrap_or_default());
                Step::Change(Change::new(&host, path, before, json!({})).whole())
            })
            .collect(),
        FindingId::Keywords => facts
            .keywords
            .iter()
            .map(|rule| {
                let id = encoded(&rule.id);
                let path = format!("/_matrix/client/v3/pushrules/global/content/{id}");
                let before = json!({ "pattern": rule.pattern, "actions": rule.actions });
                let change = Change::new(&rule.pattern, path.clone(), before, Value::Null);
                // A rule that is put back is in force at first.
                Step::Change(if rule.enabled {
                    change
                } else {
                    change.then(format!("{path}/enabled"), json!({ "enabled": false }))
                })
            })
            .collect(),
        FindingId::StatePushes if pushes_state(facts) => {
            let path = format!("/_matrix/client/v3/pushrules/global/override/{STATE_RULE}");
            let is = |key: &str, pattern: &str| json!({ "kind": "event_match", "key": key, "pattern": pattern });
            // Messages have no state key.
            let conditions = json!([is("type", "m.room.encrypted"), is("state_key", "*")]);
            let after = json!({ "conditions": conditions, "actions": [] });
            let label = pushers(facts).next().map(|(name, _)| name).unwrap_or_default();
            vec![Step::Change(Change::new(&label, path, Value::Null, after))]
        }
        _ => Vec::new(),
    };
    let mut room = MAX_TEXT / 2;
    steps.truncate(MAX_ITEMS);
    steps.retain(|step| {
        let size = step.size();
        let fits = size <= room && size <= MAX_CONTENT * 2;
        room -= if fits { size } else { 0 };
        fits
    });
    steps
}

/// State of a room with one member.
fn state_step(room: &Room, kind: &str, key: &str, before: &str, after: &str) -> Step {
    let path = format!("/_matrix/client/v3/rooms/{}/state/{kind}/", encoded(&room.id));
    let content = |value: &str| Value::Object(Map::from_iter([(key.to_owned(), json!(value))]));
    Step::Change(Change::new(&room.shown(), path, content(before), content(after)))
}

/// Account data without its managers, or without its other widgets.
fn widgets_step(facts: &Facts, managers: bool, path: String) -> Vec<Step> {
    let entries = facts.account_widgets(managers);
    let (Some(content), false) = (&facts.widgets, entries.is_empty()) else { return Vec::new() };
    let before: Map<String, Value> = entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), content.get(&entry.key)?.clone())))
        .collect();
    let hosts: Vec<String> = entries.iter().take(3).map(|entry| host_of(&entry.url)).collect();
    let change = Change::new(&hosts.join(", "), path, Value::Object(before), json!({}));
    vec![Step::Change(change.entries())]
}

fn telling_sessions<'a>(
    facts: &'a Facts,
    account: &'a Account,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    facts.sessions.iter().filter_map(|session| {
        let name = session.name.as_deref()?;
        let tells = !name.trim().is_empty() && name != account.session_name;
        tells.then_some((session.id.as_str(), name))
    })
}

/// Encrypted rooms that not everyone may read anyway.
fn private_rooms(facts: &Facts) -> impl Iterator<Item = &Room> {
    facts.rooms.iter().filter(|room| room.is_encrypted && !room.is_public)
}

fn readable_rooms(facts: &Facts) -> impl Iterator<Item = &Room> {
    private_rooms(facts).filter(|room| room.name.is_some() || room.topic.is_some())
}

fn convertible(account: &Account) -> BTreeSet<&str> {
    account.convertible.iter().map(String::as_str).collect()
}

fn widgets(facts: &Facts) -> impl Iterator<Item = (&Room, &Widget)> {
    facts.rooms.iter().flat_map(|room| room.widgets.iter().map(move |widget| (room, widget)))
}

/// Only what the person put in: others' widgets are others' to take out.
fn may_take_out(room: &Room, widget: &Widget, account: &Account) -> bool {
    widget.sender == account.user && room.may_send(&account.user, &widget.kind)
}
