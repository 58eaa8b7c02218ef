//! Account data that only this device needs: kept here, a placeholder at the homeserver.
//!
//! Catalogue sections 10 and 13, trap 4: Element waits for the echo of what it writes, so the write
//! goes out with a placeholder (`{"mantle": "<id>"}`), and wherever the placeholder comes back in an
//! answer, the content kept under its id is put in its place. Of Element's settings, which other
//! devices need, only the list of recent searches is treated so.

use super::{BodyStep, Context, Head, HeadStep, Info, Kept, ResponseStep, Shield, documented};
use mantle_settings::{Item, OptionInfo, OptionKind};
use mantle_wire::json::{
    Document, Edit, JsonError, apply, elements, get, get_str, members, string, utf8,
};
use mantle_wire::route::Endpoint;
use std::borrow::Cow;

pub(super) struct AccountData;

pub(super) static INFO: Info = Info {
    id: "account-data",
    name: "Habits in account data",
    purpose: documented(
        "Keeps the rooms you visit, the rooms you searched for, the emoji you use and what Element writes about this device on this device.",
    ),
    loses: documented(
        "Recently visited and searched rooms and recently used emoji are not shared between your devices, nor can one mute another.",
    ),
    why: documented(
        "They are a diary in clear at your homeserver, also for encrypted rooms; each device can keep its own.",
    ),
    options: &[OptionInfo {
        key: "types",
        title: "Account data kept on this device",
        kind: OptionKind::List { max: 20, item: Item::Type },
        default: r#"["im.vector.setting.breadcrumbs","io.element.recent_emoji","io.element.matrix_client_information","org.matrix.msc3890.local_notification_settings"]"#,
        why: documented("What Element writes by itself, and no server or other device needs."),
    }],
    endpoints: &[Endpoint::Sync, Endpoint::SlidingSync, Endpoint::AccountData],
    ..Info::PLAIN
};

const SETTINGS: &str = "im.vector.web.settings";
const SEARCHES: &str = "SpotlightSearch.recentSearches";
const PLACEHOLDER: &str = "mantle";
/// Before an id in the list of searches: no room has such a name, so an Element without Mantle leaves
/// it out.
const MARK: &str = "mantle ";

impl Shield for AccountData {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Sync | Endpoint::SlidingSync => HeadStep::Watch,
            Endpoint::AccountData => {
                let event_type = event_type(head);
                let is_kept = is_kept(&event_type, context);
                let is_known = is_kept || event_type == SETTINGS;
                match head.method {
                    "PUT" if is_known => HeadStep::Body,
                    "GET" if is_known => HeadStep::Watch,
                    _ => HeadStep::Pass,
                }
            }
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let event_type = event_type(head);
        let text = utf8(body)?;
        let user = head.route.parameter(0).unwrap_or_default();
        let key = format!("{user}/{event_type}");
        if event_type == SETTINGS && !is_kept(&event_type, context) {
            let searches = get(text, &[SEARCHES])?;
            return Ok(match searches.map(elements).transpose() {
                // Emptied, or none yet.
                Ok(None) => BodyStep::Pass,
                Ok(Some(list)) if list.is_empty() => BodyStep::Pass,
                Ok(Some(_)) => BodyStep::KeepList {
                    key,
                    content: searches.unwrap_or("[]").to_owned(),
                    member: SEARCHES,
                    mark: MARK,
                },
                Err(_) => BodyStep::Edit(vec![Edit::remove(&[SEARCHES])]),
            });
        }
        let Some(members) = members(text)? else { return Ok(BodyStep::Pass) };
        // Emptied on purpose: so it is at the homeserver too.
        if members.is_empty() {
            return Ok(BodyStep::Pass);
        }
        Ok(BodyStep::Keep { key, content: text.to_owned(), member: PLACEHOLDER })
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

    fn is_account_data_edited(&self, event_type: &str, context: &Context<'_>) -> bool {
        event_type == SETTINGS
            || is_kept(event_type, context)
            || context.kept.iter().any(|kept| is_of_type(&kept.key, event_type))
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
fn is_kept(event_type: &str, context: &Context<'_>) -> bool {
    context.policy.option_list(INFO.id, "types").iter().any(|kept| {
        event_type
            .strip_prefix(kept.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// What stands here for a placeholder; `None` for any other content.
fn own(
    content: &str,
    event_type: &str,
    account: &str,
    context: &Context<'_>,
) -> Result<Option<String>, JsonError> {
    if event_type == SETTINGS
        && let Some(id) = listed_id(content)?
    {
        let list = kept(&id, event_type, account, context).unwrap_or("[]");
        let edited = apply(content.as_bytes(), &[Edit::set(&[SEARCHES], list)])?;
        return Ok(edited.and_then(|bytes| String::from_utf8(bytes).ok()));
    }
    let Some(id) = get_str(content, &[PLACEHOLDER])? else { return Ok(None) };
    Ok(Some(kept(&id, event_type, account, context).unwrap_or("{}").to_owned()))
}

/// The id in a list that holds nothing else.
fn listed_id(content: &str) -> Result<Option<String>, JsonError> {
    let Some(list) = get(content, &[SEARCHES])? else { return Ok(None) };
    let [one] = elements(list).unwrap_or_default()[..] else { return Ok(None) };
    let text = string(one.as_bytes()).unwrap_or_default();
    Ok(text.strip_prefix(MARK).map(str::to_owned))
}

/// Whether something is kept for events of this type.
fn is_of_type(key: &str, event_type: &str) -> bool {
    key.rsplit_once('/').is_some_and(|(_, kind)| kind == event_type)
}

/// What is kept of this account under this id: JSON text.
fn kept<'a>(id: &str, event_type: &str, account: &str, context: &Context<'a>) -> Option<&'a str> {
    let is_theirs =
        |kept: &&Kept| kept.key.rsplit_once('/').is_some_and(|key| key == (account, event_type));
    let mut theirs = context.kept.iter().filter(is_theirs);
    let same_id = context.kept.iter().filter(is_theirs).find(|kept| kept.id == id);
    // Another tab's or device's placeholder: what this device has of the account is the best there is.
    same_id.or_else(|| theirs.next()).map(|kept| kept.content.as_str())
}
