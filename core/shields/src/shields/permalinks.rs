//! Links to matrix.to: followed in the user's own Element, and copied so that
//! others follow them in theirs.
//!
//! Catalogue section 14; Matrix specification, appendix 'matrix.to navigation'.
//! The ID stands behind the `#`, so matrix.to's server learns no room, but who
//! opens Matrix links, when, and from where.

use super::{BodyStep, Context, Head, HeadStep, Info, ResponseStep, Shield, documented};
use mantle_settings::{OptionInfo, OptionKind};
use mantle_wire::json::{Document, Edit, JsonError, get_str, quoted, utf8};
use mantle_wire::route::Endpoint;
use mantle_wire::url::percent_decoded;
use std::borrow::Cow;

pub(super) struct Permalinks;

pub(super) static INFO: Info = Info {
    id: "permalinks",
    name: "Matrix links",
    purpose: documented(
        "Opens links to matrix.to in your own Element instead of at matrix.to, and makes links you copy lead to your Element's site.",
    ),
    loses: documented(
        "Whoever opens a link you copied gets your Element's site, not a choice of clients.",
    ),
    why: documented("Element shows the same room or person without asking another server."),
    options: &[COPIED],
    endpoints: &[Endpoint::ElementConfig, Endpoint::Send],
    ..Info::PLAIN
};

const COPIED: OptionInfo = OptionInfo {
    key: "copied",
    title: "Links you copy lead to your Element's site, not to matrix.to",
    kind: OptionKind::Flag,
    default: "true",
    why: documented("Otherwise everybody who opens them tells matrix.to."),
};

/// Where a message has text with links (Client-Server API, `m.room.message`).
const TEXTS: [&[&str]; 4] = [
    &["body"],
    &["formatted_body"],
    &["m.new_content", "body"],
    &["m.new_content", "formatted_body"],
];

/// What Element puts before `/#/room/…` in links it makes; a missing one means matrix.to.
const PREFIX: &str = "permalink_prefix";

impl Shield for Permalinks {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        let is_own = !context.page_host.is_empty() && context.page_host == head.address.host;
        if head.endpoint == Endpoint::ElementConfig
            && is_own
            && context.policy.option_flag(INFO.id, COPIED.key)
        {
            return HeadStep::Watch;
        }
        if head.endpoint == Endpoint::Send && !context.page_host.is_empty() {
            return HeadStep::Body;
        }
        HeadStep::Pass
    }

    /// Links that Element makes for messages say which site it is: they leave as matrix.to's.
    fn body(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        let site = own(context);
        if memchr::memmem::find(body, site.as_bytes()).is_none() {
            return Ok(BodyStep::Pass);
        }
        let text = utf8(body)?;
        let mut edits = Vec::new();
        for path in TEXTS {
            let Some(written) = get_str(text, path)? else { continue };
            let mut sent = written.clone();
            for kind in ["room", "user"] {
                sent = sent.replace(&format!("{site}#/{kind}/"), "https://matrix.to/#/");
            }
            if sent != written {
                edits.push(Edit::replace(path, quoted(&sent)));
            }
        }
        Ok(if edits.is_empty() { BodyStep::Pass } else { BodyStep::Edit(edits) })
    }

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        vec![Cow::Borrowed(PREFIX)]
    }

    fn response(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        // Element takes an empty `config.<host>.json` for "not there".
        if body.has_members() && body.get(PREFIX).is_none_or(|prefix| prefix == "null") {
            step.edits.push(Edit::set(&[PREFIX], quoted(own(context).trim_end_matches('/'))));
        }
        Ok(step)
    }

    fn link(&self, url: &str, context: &Context<'_>) -> Option<String> {
        let path = inside(url)?;
        (!context.page_host.is_empty()).then(|| format!("{}{path}", own(context)))
    }
}

/// The folder the page's Element lies in; sites are https.
fn own(context: &Context<'_>) -> String {
    let folder = context.page_path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("https://{}{folder}/", context.page_host)
}

/// Where Element shows what a matrix.to link names.
fn inside(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let rest = rest.strip_prefix("www.").unwrap_or(rest).strip_prefix("matrix.to")?;
    let named = rest.strip_prefix("/#/").or_else(|| rest.strip_prefix("#/"))?;
    let id = named.split(['/', '?']).next().unwrap_or(named);
    let kind = match percent_decoded(id).chars().next()? {
        '@' => "user",
        '!' | '#' => "room",
        _ => return None,
    };
    Some(format!("#/{kind}/{named}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_elements_own_paths() {
        for (url, path) in [
            ("https://matrix.to/#/@a:hs.example", Some("#/user/@a:hs.example")),
            (
                "https://matrix.to/#/!r:hs.example/$e?via=hs.example",
                Some("#/room/!r:hs.example/$e?via=hs.example"),
            ),
            ("http://www.matrix.to/#/%23a%3Ahs.example", Some("#/room/%23a%3Ahs.example")),
            ("https://matrix.to/#/#a:hs.example", Some("#/room/#a:hs.example")),
            ("https://matrix.to/", None),
            ("https://matrix.to/#/about", None),
            ("https://matrix.to.example.org/#/@a:hs.example", None),
            ("https://example.org/#/@a:hs.example", None),
        ] {
            assert_eq!(inside(url).as_deref(), path, "{url}");
        }
    }
}
