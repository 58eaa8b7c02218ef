//! Account data that only this device needs: kept here, empty at the homeserver.
//!
//! Catalogue sections 10 and 13, trap 4: Element waits for the echo of what it writes, so the write
//! goes out, with nothing in it, as clients leave what they delete; and wherever nothing comes back in
//! an answer, what this device has of the account is put in its place. Of Element's settings, which other
//! devices need, only the list of recent searches is treated so; sections of the room list keep their
//! tags, which nobody can read anything from, and only their names are kept.

use super::{
    BodyStep, Context, EventTypes, Head, HeadStep, Info, Kept, Part, ResponseStep, Shield,
    documented,
};
use mantle_settings::{Item, OptionInfo, OptionKind};
use mantle_wire::json::{
    Document, Edit, JsonError, apply, elements, get, get_str, is_empty_object, members, quoted,
    string, utf8,
};
use mantle_wire::route::Endpoint;
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) struct AccountData;

pub(super) static INFO: Info = Info {
    id: "account-data",
    name: "Habits in account data",
    purpose: documented(
        "Keeps the rooms you visit, the rooms you searched for, the emoji you use, the names of your room list's sections and what Element writes about this device on this device.",
    ),
    loses: documented(
        "Recently visited and searched rooms, recently used emoji and names of sections are not shared between your devices, nor can one mute another.",
    ),
    why: documented(
        "They are a diary in clear at your homeserver, also for encrypted rooms; each device can keep its own.",
    ),
    options: &[OptionInfo {
        key: "types",
        title: "Account data kept on this device",
        kind: OptionKind::List { max: 20, item: Item::Type },
        default: r#"["im.vector.setting.breadcrumbs","m.recent_emoji","io.element.recent_emoji","io.element.matrix_client_information","org.matrix.msc3890.local_notification_settings"]"#,
        why: documented("What Element writes by itself, and no server or other device needs."),
    }],
    endpoints: &[
        Endpoint::Sync,
        Endpoint::SlidingSync,
        Endpoint::AccountData,
        Endpoint::RoomAccountData,
    ],
    ..Info::PLAIN
};

const SETTINGS: &str = "im.vector.web.settings";
const SEARCHES: &str = "SpotlightSearch.recentSearches";
/// By their tags, which Element makes at random; each has a name that a person chose.
const SECTIONS: &str = "RoomList.CustomSectionData";
/// What the homeserver is told instead of such a name.
const SECTION: &str = "Section";
/// Of a sound that the person chose; Element plays it by its address.
const SOUND: &str = "notificationSound";
/// What earlier versions left at the homeserver: an object with this one member.
const OLD_PLACEHOLDER: &str = "mantle";
/// And a list of searches with one entry that begins so.
const OLD_MARK: &str = "mantle ";

impl Shield for AccountData {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Sync | Endpoint::SlidingSync => HeadStep::InspectResponse,
            Endpoint::AccountData => {
                let event_type = event_type(head);
                let is_kept = is_kept(&event_type, context);
                let is_known = is_kept || event_type == SETTINGS;
                match head.method {
                    "PUT" if is_known => HeadStep::Body,
                    "GET" if is_known => HeadStep::InspectResponse,
                    _ => HeadStep::Pass,
                }
            }
            Endpoint::RoomAccountData
                if head.method == "PUT" && head.route.is_parameter(2, SETTINGS) =>
            {
                HeadStep::Body
            }
            _ => HeadStep::Pass,
        }
    }

    /// A homeserver that signs people in elsewhere is told where to send them back: not to which room.
    fn link(&self, url: &str, _context: &Context<'_>) -> Option<String> {
        let head = Head::new("GET", url)?;
        if head.endpoint != Endpoint::LoginOther || !head.address.path.contains("/redirect") {
            return None;
        }
        let (base, query) = url.split_once('#').map_or(url, |(url, _)| url).split_once('?')?;
        let mut is_cut = false;
        let pairs: Vec<_> = query
            .split('&')
            .map(|pair| match pair.split_once("%23") {
                Some((address, _)) if address.starts_with("redirectUrl=") => {
                    is_cut = true;
                    address
                }
                _ => pair,
            })
            .collect();
        is_cut.then(|| format!("{base}?{}", pairs.join("&")))
    }

    fn body(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let text = utf8(body)?;
        if head.endpoint == Endpoint::RoomAccountData {
            return Ok(BodyStep::Edit(vec![nameless_sound()]));
        }
        let event_type = event_type(head);
        let user = head.route.parameter(0).unwrap_or_default();
        let key = format!("{user}/{event_type}");
        if event_type == SETTINGS && !is_kept(&event_type, context) {
            let sections_key = format!("{user}/{SECTIONS}");
            return settings(text, key, sections_key, context);
        }
        let Some(members) = members(text)? else { return Ok(BodyStep::Pass) };
        // Emptied on purpose: so it is here too.
        if members.is_empty() && !context.kept.iter().any(|kept| kept.key == key) {
            return Ok(BodyStep::Pass);
        }
        let parts = vec![Part { key, content: text.to_owned() }];
        Ok(BodyStep::Keep { parts, sent: "{}".to_owned() })
    }

    fn response(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let account = head.route.parameter(0).unwrap_or_default();
        let replaced = own(&body.text(), &event_type(head), &account, context)?;
        Ok(ResponseStep { replaced, ..ResponseStep::default() })
    }

    fn account_data_types<'a>(&self, context: &Context<'a>) -> Vec<EventTypes<'a>> {
        let mut types = vec![EventTypes::One(SETTINGS)];
        types.extend(kept_types(context));
        let kept = context.kept.iter().filter_map(|kept| kept.key.rsplit_once('/'));
        types.extend(kept.map(|(_, kind)| EventTypes::One(kind)));
        types
    }

    fn account_data(
        &self,
        event_type: &str,
        content: &str,
        context: &Context<'_>,
        _step: &mut ResponseStep,
    ) -> Result<Option<String>, JsonError> {
        own(content, event_type, context.learned.account().unwrap_or_default(), context)
    }
}

/// `user/{userId}/account_data/{type}`.
fn event_type<'a>(head: &Head<'a>) -> Cow<'a, str> {
    head.route.parameter(1).unwrap_or_default()
}

/// Some types end in a dot and a device ID; those of every device count.
fn kept_types<'a>(context: &Context<'a>) -> impl Iterator<Item = EventTypes<'a>> {
    let types = context.policy.option_list(INFO.id, "types").iter();
    types.map(|kept| EventTypes::AndBelow(kept))
}

fn is_kept(event_type: &str, context: &Context<'_>) -> bool {
    kept_types(context).any(|kept| kept.is(event_type.as_bytes()))
}

/// What stands here for a placeholder; `None` for any other content.
fn own(
    content: &str,
    event_type: &str,
    account: &str,
    context: &Context<'_>,
) -> Result<Option<String>, JsonError> {
    if event_type == SETTINGS {
        let mut edits = Vec::new();
        if is_emptied_list(content)? {
            let list = kept(event_type, account, context).unwrap_or("[]");
            edits.push(Edit::replace(&[SEARCHES], list));
        }
        if let Some(names) = kept(SECTIONS, account, context)
            && let Some(sections) = named_sections(content, names)?
        {
            edits.push(Edit::set(&[SECTIONS], sections));
        }
        if !edits.is_empty() {
            let edited = apply(content.as_bytes(), &edits)?;
            return Ok(edited.and_then(|bytes| String::from_utf8(bytes).ok()));
        }
    }
    let own = kept(event_type, account, context);
    if get_str(content, &[OLD_PLACEHOLDER])?.is_some() {
        return Ok(Some(own.unwrap_or("{}").to_owned()));
    }
    let is_empty = is_empty_object(content.as_bytes());
    Ok(own.filter(|own| is_empty && *own != content).map(str::to_owned))
}

/// What becomes of Element's settings on their way out.
fn settings(
    text: &str,
    key: String,
    sections_key: String,
    context: &Context<'_>,
) -> Result<BodyStep, JsonError> {
    let (mut parts, mut edits) = (Vec::new(), vec![nameless_sound()]);
    if let Some(searches) = get(text, &[SEARCHES])? {
        match elements(searches) {
            // None yet.
            Ok(list) if list.is_empty() && !context.kept.iter().any(|kept| kept.key == key) => {}
            Ok(_) => {
                parts.push(Part { key, content: searches.to_owned() });
                edits.push(Edit::replace(&[SEARCHES], "[]"));
            }
            Err(_) => edits.push(Edit::remove(&[SEARCHES])),
        }
    }
    if let Some(sections) = get(text, &[SECTIONS])? {
        let (told, names) = nameless_sections(sections)?;
        edits.push(
            told.map_or_else(|| Edit::remove(&[SECTIONS]), |told| Edit::replace(&[SECTIONS], told)),
        );
        let kept = context.kept.iter().find(|kept| kept.key == sections_key);
        // Without any, it is a device that was never told them.
        if kept.map_or(!names.is_empty(), |kept| kept.content != names.json()) {
            parts.push(Part { key: sections_key, content: names.json() });
        }
    }
    if parts.is_empty() {
        return Ok(BodyStep::Edit(edits));
    }
    let sent = apply(text.as_bytes(), &edits)?.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(BodyStep::Keep { parts, sent: sent.unwrap_or_else(|| text.to_owned()) })
}

/// Members of a JSON object that is being written.
#[derive(Default)]
struct Object(Vec<String>);

impl Object {
    fn push(&mut self, key: &str, value: &str) {
        self.0.push(format!("{}:{value}", quoted(key)));
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn json(&self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

/// Sections as the homeserver is told them, `None` where they are no object, and their own names by
/// their tags. What has no name as a text is not a section, and stays out.
fn nameless_sections(sections: &str) -> Result<(Option<String>, Object), JsonError> {
    let (mut told, mut names) = (Object::default(), Object::default());
    let Some(sections) = members(sections)? else { return Ok((None, names)) };
    let plain = quoted(SECTION);
    for section in sections {
        let Some(name) = get_str(section.value, &["name"])? else { continue };
        told.push(&section.key, &with_name(section.value, &plain)?);
        if name != SECTION {
            names.push(&section.key, &quoted(&name));
        }
    }
    Ok((Some(told.json()), names))
}

/// The same with the names that are kept here; `None` where it stays as it is.
fn named_sections(content: &str, names: &str) -> Result<Option<String>, JsonError> {
    let Some(sections) = get(content, &[SECTIONS])? else { return Ok(None) };
    let Some(sections) = members(sections)? else { return Ok(None) };
    let names = members(names)?.unwrap_or_default();
    let names: BTreeMap<_, _> = names.iter().map(|name| (name.key.as_str(), name.value)).collect();
    let mut shown = Object::default();
    let mut is_changed = false;
    for section in sections {
        let own = names.get(section.key.as_str());
        let is_told = || Ok(get_str(section.value, &["name"])?.as_deref() == Some(SECTION));
        match own {
            Some(own) if is_told()? => {
                shown.push(&section.key, &with_name(section.value, own)?);
                is_changed = true;
            }
            _ => shown.push(&section.key, section.value),
        }
    }
    Ok(is_changed.then(|| shown.json()))
}

fn with_name(section: &str, name: &str) -> Result<String, JsonError> {
    let edited = apply(section.as_bytes(), &[Edit::replace(&["name"], name)])?;
    let edited = edited.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(edited.unwrap_or_else(|| section.to_owned()))
}

/// Takes the name of a sound's file away.
fn nameless_sound() -> Edit {
    Edit::replace(&[SOUND, "name"], r#""""#)
}

/// Whether the list of searches is one that leaves here: empty, or as earlier versions wrote it.
fn is_emptied_list(content: &str) -> Result<bool, JsonError> {
    let Some(list) = get(content, &[SEARCHES])? else { return Ok(false) };
    Ok(match elements(list).as_deref() {
        Ok([]) => true,
        Ok([one]) => string(one.as_bytes()).is_some_and(|text| text.starts_with(OLD_MARK)),
        _ => false,
    })
}

/// What is kept of this account: JSON text.
fn kept<'a>(event_type: &str, account: &str, context: &Context<'a>) -> Option<&'a str> {
    let is_theirs = |kept: &&Kept| account_and_type(&kept.key) == (account, event_type);
    context.kept.iter().find(is_theirs).map(|kept| kept.content.as_str())
}

/// Whose content is kept under this key, and what. Either may have slashes, a server's name has none.
pub(crate) fn account_and_type(key: &str) -> (&str, &str) {
    let server = key.find(':').unwrap_or_default();
    let slash = key.get(server..).and_then(|rest| rest.find('/'));
    let cut = slash.and_then(|slash| key.split_at_checked(server.saturating_add(slash)));
    cut.map_or(("", key), |(account, kept)| (account, kept.get(1..).unwrap_or_default()))
}
