//! Links to matrix.to: followed in the user's own Element, and copied so that
//! others follow them in theirs.
//!
//! Catalogue section 14; Matrix specification, appendix 'matrix.to navigation'.
//! The ID stands behind the `#`, so matrix.to's server learns no room, but who
//! opens Matrix links, when, and from where.

use super::{BodyStep, Context, Head, HeadStep, Info, ResponseStep, Shield, documented};
use mantle_settings::{OptionInfo, OptionKind};
use mantle_wire::json::{Document, Edit, JsonError, quoted, utf8};
use mantle_wire::route::Endpoint;
use mantle_wire::url::{Address, Found, found, percent_decoded};
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
    endpoints: &[
        Endpoint::ElementConfig,
        Endpoint::Send,
        Endpoint::StateSend,
        Endpoint::CreateRoom,
        Endpoint::Profile,
        Endpoint::Invite,
        Endpoint::Membership,
        Endpoint::Redact,
        Endpoint::Report,
    ],
    ..Info::PLAIN
};

const COPIED: OptionInfo = OptionInfo {
    key: "copied",
    title: "Links you copy lead to your Element's site, not to matrix.to",
    kind: OptionKind::Flag,
    default: "true",
    why: documented("Otherwise everybody who opens them tells matrix.to."),
};

/// What Element puts before `/#/room/…` in links it makes; a missing one means matrix.to. It has an
/// old name beside the present one.
const PREFIXES: [&str; 2] = ["permalink_prefix", "permalinkPrefix"];
const MATRIX_TO: &str = "https://matrix.to";

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
            return HeadStep::InspectResponse;
        }
        // What a person writes: messages, topics, reasons.
        let is_written = INFO.endpoints.contains(&head.endpoint) && head.method != "GET";
        if is_written && !context.page_host.is_empty() {
            return HeadStep::Body;
        }
        HeadStep::Pass
    }

    /// Links that Element makes say which site it is: in what a person writes they leave as
    /// matrix.to's. The page shows it what is about to be encrypted, too.
    fn body(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if memchr::memmem::find(body, context.page_folder.as_bytes()).is_none() {
            return Ok(BodyStep::Pass);
        }
        let written = utf8(body)?;
        let mut sent = written.to_owned();
        for kind in ["room", "user"] {
            let own = format!("{}#/{kind}/", context.page_folder);
            sent = sent.replace(&own, &format!("{MATRIX_TO}/#/"));
        }
        Ok(if sent == written { BodyStep::Pass } else { BodyStep::Replace(sent) })
    }

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        PREFIXES.map(Cow::Borrowed).to_vec()
    }

    fn response(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        let set = PREFIXES.iter().find_map(|prefix| body.get_str(prefix)).unwrap_or_default();
        let set = match found(&set) {
            Found::Absolute(url) => url,
            _ => set,
        };
        let own = context.page_folder.trim_end_matches('/');
        // On their way out links are known by the site's address as it is written here.
        let is_chosen = !["", MATRIX_TO, own].contains(&set.trim_end_matches('/'));
        // Element takes an empty `config.<host>.json` for "not there".
        if body.has_members() && !is_chosen {
            step.edits.push(Edit::set(&PREFIXES[..1], quoted(own)));
        }
        Ok(step)
    }

    fn link(&self, url: &str, context: &Context<'_>) -> Option<String> {
        let path = inside(url)?;
        (!context.page_host.is_empty()).then(|| format!("{}{path}", context.page_folder))
    }
}

/// Where Element shows what a matrix.to link names, however its address is spelled: whoever writes one
/// could make a stranger's link of it by a port, a name before it or a query.
fn inside(url: &str) -> Option<String> {
    let address = Address::parse(url)?;
    if !["matrix.to", "www.matrix.to"].contains(&address.host_name()) {
        return None;
    }
    let named = address.fragment.trim_start_matches('/');
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
            ("https://x@matrix.to:8443/#/@a:hs.example", Some("#/user/@a:hs.example")),
            ("https://matrix.to./?x#@a:hs.example", Some("#/user/@a:hs.example")),
            ("https://www.matrix.to//a#//!r:hs.example", Some("#/room/!r:hs.example")),
            ("https://matrix.to/", None),
            ("https://matrix.to/#/about", None),
            ("https://matrix.to.example.org/#/@a:hs.example", None),
            ("https://example.org/#/@a:hs.example", None),
            ("https://matrix.to@example.org/#/@a:hs.example", None),
        ] {
            assert_eq!(inside(url).as_deref(), path, "{url}");
        }
    }
}
