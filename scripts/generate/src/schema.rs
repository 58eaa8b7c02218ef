//! What administrators may set, from the shields' tables: Chrome's schema and the reference page.
//!
//! Chrome drops a whole key at the top when anything in it breaks the schema, and the extension
//! never hears of it. So the schema says types only; values are judged by the core, which names
//! what it cannot use.

use mantle_settings::{
    DEFAULT_DEVICE_NAME, GENERAL, GENERAL_OPTIONS, Item, MAX_DEVICE_NAME, Mode, OptionInfo,
    OptionKind, Profile,
};
use mantle_shields::shields::SHIELDS;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

const LOCK: &str = "true: the user cannot change it.";

/// Chrome's `storage.managed_schema`.
/// <https://developer.chrome.com/docs/extensions/reference/manifest/storage>
pub(crate) fn managed_schema() -> Value {
    let mut shields = Map::new();
    let mut options = Map::new();
    let mut allow = Map::new();
    for info in SHIELDS.iter().map(|shield| shield.info()) {
        let about = format!("{} Modes: {}.", info.purpose, modes(info.modes));
        shields.insert(info.id.into(), lockable(info.name, &about, "mode", string()));
        if !info.options.is_empty() {
            options.insert(info.id.into(), options_schema(info.name, info.options));
        }
        if let Some(title) = info.allow {
            allow
                .insert(info.id.into(), titled(list(), title, "Host names, with :port if needed."));
        }
    }
    options.insert(GENERAL.into(), options_schema("Mantle itself", &GENERAL_OPTIONS));
    let profile = format!("Which defaults hold: {}.", profiles());
    let sites = "https origins, with a path at most, where Mantle works once it has access.";
    json!({
        "type": "object",
        "properties": {
            "shields": object("Shields", shields),
            "options": object("Choices beside a shield's mode", options),
            "allow": object("Hosts a shield lets pass", allow),
            "deviceName": lockable("Name of sessions", "What sessions are called.", "value", string()),
            "profile": lockable("Profile", &profile, "value", string()),
            "sites": titled(list(), "Sites", sites),
        },
    })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn list() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn object(title: &str, properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "title": title, "properties": properties })
}

fn titled(mut schema: Value, title: &str, description: &str) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("title".into(), title.into());
        fields.insert("description".into(), description.into());
    }
    schema
}

fn lockable(title: &str, description: &str, key: &str, value: Value) -> Value {
    let locked = json!({ "type": "boolean", "description": LOCK });
    let properties = json!({ key: value, "locked": locked });
    titled(json!({ "type": "object", "properties": properties }), title, description)
}

fn options_schema(title: &str, options: &[OptionInfo]) -> Value {
    let properties = options.iter().map(|option| {
        let value = match option.kind {
            OptionKind::Choice(_) | OptionKind::Text { .. } => string(),
            OptionKind::Number { .. } => json!({ "type": "integer" }),
            OptionKind::Flag => json!({ "type": "boolean" }),
            OptionKind::List { .. } => list(),
        };
        let about = format!("{}. Default: {}.", values(option), option.default);
        (option.key.to_owned(), lockable(option.title, &about, "value", value))
    });
    object(title, properties.collect())
}

/// `docs/policy.md`.
pub(crate) fn policy_page() -> String {
    let mut page = String::from(
        "# Policy keys\n\nGenerated from the tables in `core`; do not edit. [enterprise.md](enterprise.md) shows how a policy \
         reaches the browsers.\n\n\
         Each value may be locked: `{ \"value\": …, \"locked\": true }`, and for a shield's mode `{ \"mode\": …, \"locked\": true }`. \
         In Firefox the plain value is enough where nothing is locked; Chrome wants the object. \
         A locked shield also keeps the user from its options and its list of allowed hosts.\n\n\
         What a value of another type can only mean, it means: `1` or `\"true\"` for `true`, `\"30\"` for 30, one text for a list of one, \
         a list of one for its entry. A lock that says neither yes nor no holds, also where the value beside it cannot be read, and the \
         options page names it. Hosts are written as browsers show them in addresses: names in other scripts in their `xn--` form.\n\n\
         | key | values | default | what it does |\n| --- | --- | --- | --- |\n",
    );
    let _ = writeln!(
        page,
        "| `profile` | {} | `recommended` | which defaults hold where nothing is set |\n\
         | `deviceName` | text, 1 to {MAX_DEVICE_NAME} characters | `{DEFAULT_DEVICE_NAME}` | what sessions are called |\n\
         | `sites` | list of https origins (http for `localhost` and other loopback addresses), with a path at most | none | Elements beside those built in; see [access](enterprise.md#6-access-to-your-element) |",
        profiles(),
    );
    for option in &GENERAL_OPTIONS {
        option_line(&mut page, GENERAL, option);
    }
    for info in SHIELDS.iter().map(|shield| shield.info()) {
        let strict = if info.strict == info.default {
            String::new()
        } else {
            format!(" (strict: `{}`)", info.strict.name())
        };
        let _ = writeln!(
            page,
            "| `shields.{}` | {} | `{}`{strict} | {} |",
            info.id,
            modes(info.modes),
            info.default.name(),
            info.purpose,
        );
        for option in info.options {
            option_line(&mut page, info.id, option);
        }
        if let Some(title) = info.allow {
            let _ = writeln!(
                page,
                "| `allow.{}` | list of host names, with `:port` where needed | none | {title} |",
                info.id
            );
        }
    }
    page
}

fn option_line(page: &mut String, id: &str, option: &OptionInfo) {
    let (key, title, default) = (option.key, option.title, option.default);
    let values = values(option);
    let _ = writeln!(page, "| `options.{id}.{key}` | {values} | `{default}` | {title} |");
}

fn values(option: &OptionInfo) -> String {
    match option.kind {
        OptionKind::Choice(choices) => {
            let named = choices.iter().map(|(value, label)| format!("`{value}` ({label})"));
            named.collect::<Vec<_>>().join(", ")
        }
        OptionKind::Text { max } => format!("text, at most {max} characters"),
        OptionKind::Number { min, max } => format!("number from {min} to {max}"),
        OptionKind::Flag => "`true`, `false`".to_owned(),
        OptionKind::List { max, item } => {
            let items = match item {
                Item::Host => "hosts",
                Item::Type => "types",
                Item::State => {
                    "types of state; those that homeservers, calls or other apps need to read are left out and named"
                }
            };
            format!("list of at most {max} {items}")
        }
    }
}

fn modes(modes: &[Mode]) -> String {
    modes.iter().map(|mode| format!("`{}`", mode.name())).collect::<Vec<_>>().join(", ")
}

fn profiles() -> String {
    let names = Profile::ALL.iter().map(|profile| format!("`{}`", profile.name()));
    names.collect::<Vec<_>>().join(", ")
}
