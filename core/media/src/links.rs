//! Links to media that need no signing in, in text about to be sent or copied.

use super::bytes::find_iter;
use super::decision::{Ask, Choice};
use mantle_settings::Mode;
use serde::Serialize;

const MARK: &str = "/_matrix/media/";
/// Bytes of a link before that mark, and behind it: more is looked at of none.
const MAX_BASE: usize = 512;
const MAX_PATH: usize = 2_048;

/// Such a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Byte range in the text.
    pub range: std::ops::Range<usize>,
    /// `https://host[/prefix]`.
    pub base: String,
    /// download or thumbnail.
    pub action: &'static str,
    /// `server/mediaId`.
    pub media: String,
    /// What stands behind it: a file name, and the query, which thumbnails need.
    pub tail: String,
}

impl Link {
    /// Whose media it is served by.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(host, _)| host)
    }

    /// For Matrix clients (Client-Server API, 'Matrix Content (mxc://) URIs').
    #[must_use]
    pub fn mxc(&self) -> String {
        format!("mxc://{}", self.media)
    }

    /// The same on the homeserver, for signed-in clients only.
    #[must_use]
    pub fn authenticated(&self) -> String {
        let Self { base, action, media, tail, .. } = self;
        format!("{base}/_matrix/client/v1/media/{action}/{media}{tail}")
    }
}

/// What happens to a text with such links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LinkDecision {
    /// There is none, or the shield is off.
    Pass,
    /// The ledger tells; the text stays.
    Flag,
    /// They become `mxc://`.
    Replace {
        /// Tells the person, where nothing else does.
        sentence: String,
    },
    /// The person decides: mxc, authenticated, send, or anything else for no.
    Ask {
        /// What is asked.
        question: Ask,
    },
}

/// Decides about a text; `is_copied`: it lies on the clipboard already, and has not gone anywhere.
#[must_use]
pub fn decide(mode: Mode, text: &str, is_copied: bool) -> LinkDecision {
    let links = find(text);
    let mut hosts: Vec<&str> = Vec::new();
    for link in &links {
        if !hosts.contains(&link.host()) {
            hosts.push(link.host());
        }
    }
    match mode {
        _ if hosts.is_empty() => LinkDecision::Pass,
        Mode::Off => LinkDecision::Pass,
        Mode::Flag => LinkDecision::Flag,
        Mode::Ask => LinkDecision::Ask { question: question(&hosts.join(", "), is_copied) },
        Mode::On => LinkDecision::Replace {
            sentence: "Mantle changed the link you copied: whoever had it could have opened the file without signing in. It now opens in Matrix clients only.".to_owned(),
        },
    }
}

fn question(hosts: &str, is_copied: bool) -> Ask {
    let choice = |id, label: &str, kind| Choice { id, label: label.to_owned(), kind };
    let (title, choices) = if is_copied {
        (
            "The link you copied may open a file to anyone. Keep it?",
            vec![
                choice("mxc", "Copy it as mxc:// link", "primary"),
                choice("authenticated", "Copy the form that needs signing in", "plain"),
                choice("send", "Keep it as it is", "danger"),
            ],
        )
    } else {
        (
            "This link may open a file to anyone. Send it?",
            vec![
                choice("mxc", "Send as mxc:// link", "primary"),
                choice("authenticated", "Send the form that needs signing in", "plain"),
                choice("send", "Send as it is", "danger"),
                choice("cancel", "Do not send", "plain"),
            ],
        )
    };
    Ask {
        title: title.to_owned(),
        text: vec![
            format!(
                "Whoever has the link can fetch the file from {hosts} without signing in, where that server still allows it, and the server learns the network address of everyone who opens it."
            ),
            "A mxc:// link opens in Matrix clients only; the other form asks for signing in."
                .to_owned(),
        ],
        choices,
        remember: Vec::new(),
    }
}

/// Every link to unauthenticated media, in order. JSON's `\/` is not looked through: no client
/// writes it.
#[must_use]
pub fn find(text: &str) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for at in find_iter(text.as_bytes(), MARK.as_bytes()) {
        if let Some(link) = link_at(text, at)
            && links.last().is_none_or(|last| last.range.end <= link.range.start)
        {
            links.push(link);
        }
    }
    links
}

/// The text with every link in another form.
#[must_use]
pub fn replace(text: &str, form: impl Fn(&Link) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for link in find(text) {
        out.push_str(text.get(at..link.range.start).unwrap_or_default());
        out.push_str(&form(&link));
        at = link.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

fn link_at(text: &str, at: usize) -> Option<Link> {
    let behind = text.get(at + MARK.len()..)?;
    let version = ["r0", "v1", "v3", "unstable"]
        .into_iter()
        .find(|version| behind.strip_prefix(version).is_some_and(|rest| rest.starts_with('/')))?;
    let path = behind.get(version.len() + 1..)?;
    let action = ["download", "thumbnail"]
        .into_iter()
        .find(|action| path.strip_prefix(action).is_some_and(|rest| rest.starts_with('/')))?;
    let path_start = at + MARK.len() + version.len() + 1 + action.len() + 1;
    let nearest = text.ceil_char_boundary(at.saturating_sub(MAX_BASE));
    let before = text.get(nearest..at)?;
    let start = before.rfind(|c: char| is_end(c) || !c.is_ascii()).map_or(0, |end| {
        end + before.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    // Of "a,https://b" the last one.
    let scheme = nearest + start + last_scheme(before.get(start..)?)?;
    let behind = text.get(path_start..)?;
    let behind = behind.get(..behind.floor_char_boundary(MAX_PATH))?;
    // Where another link begins, this one has ended.
    let path = behind.get(..first_scheme(behind).unwrap_or(behind.len()))?;
    let (server, rest) = path.split_once('/')?;
    if !server.chars().all(|c| is_in_id(c) || c == ':') {
        return None;
    }
    let id = rest.get(..rest.find(|c| !is_in_id(c)).unwrap_or(rest.len()))?;
    let behind = rest.get(id.len()..)?;
    let tail = if behind.starts_with(['/', '?', '#']) { tail_of(behind) } else { "" };
    // A sentence's end is none of the link's.
    let id = if tail.is_empty() { id.trim_end_matches('.') } else { id };
    if server.is_empty() || id.is_empty() {
        return None;
    }
    let end = path_start + server.len() + 1 + id.len() + tail.len();
    Some(Link {
        range: scheme..end,
        base: text.get(scheme..at)?.to_owned(),
        action,
        media: format!("{server}/{id}"),
        tail: tail.to_owned(),
    })
}

/// File name, query and fragment, up to what ends a link.
fn tail_of(behind: &str) -> &str {
    let end = behind.find(|c: char| is_end(c) || !c.is_ascii()).unwrap_or(behind.len());
    let tail = behind.get(..end).unwrap_or_default();
    tail.trim_end_matches(['.', ',', '!', ';', ':', '?', '*'])
}

fn schemes(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices("://").filter_map(|(at, _)| {
        let before = text.get(..at)?;
        let is_scheme = |name: &str| {
            let start = at.checked_sub(name.len())?;
            before.get(start..)?.eq_ignore_ascii_case(name).then_some(start)
        };
        is_scheme("https").or_else(|| is_scheme("http"))
    })
}

fn last_scheme(text: &str) -> Option<usize> {
    schemes(text).last()
}

fn first_scheme(text: &str) -> Option<usize> {
    schemes(text).next()
}

/// Characters of media IDs and server names, escapes included.
fn is_in_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '%' | '=' | '+')
}

/// What no link in text or HTML within JSON goes past.
fn is_end(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '"' | '\\' | '<' | '>' | '(' | ')' | '[' | ']' | '\'' | '`' | '|' | '{' | '}' | '^'
        )
}
