//! The shields: one pure decision each, in a fixed order.
//!
//! A shield sees a request (and, where it asked for it, the body or the
//! answer) and says what it wants done. It knows no other shield. Adding one
//! means its own file, which also declares its rules, permission and questions;
//! its module and its line in [`SHIELDS`]; its rows in `leaks.rs`; and a spec.

use crate::learned::Learned;
use crate::verdict::{Action, Handler, Reply};
use mantle_settings::{EffectiveSettings, Mode, OptionInfo, Profile, Settable, general};
use mantle_wire::json::{Document, Edit, JsonError};
use mantle_wire::route::{Endpoint, Route, route};
use mantle_wire::secret::Secret;
use mantle_wire::url::{Address, Found, found, without_dot};
use serde::Serialize;
use std::borrow::Cow;

mod account_data;
mod calls;
mod captcha;
mod config;
mod device_name;
mod directory;
mod encrypted_state;
mod extras;
mod history_keys;
mod identity;
mod integrations;
mod keywords;
mod location;
mod maps;
mod media;
mod permalinks;
mod presence;
mod previews;
#[cfg(feature = "fault-injection")]
mod probe;
mod profile;
mod push;
mod receipts;
mod referrer;
mod relations;
mod request_headers;
mod room_defaults;
mod room_nicknames;
mod room_pictures;
mod search;
mod telemetry;
mod third_party;
mod typing;
mod unasked_media;
mod welcome_bot;

pub(crate) use account_data::account_and_type;
pub(crate) use calls::begins_call;

macro_rules! shields {
    ($($(#[$condition:meta])* $module:ident :: $shield:ident $(($way:literal))?;)+) => {
        /// Every shield, in the order it is asked.
        pub const SHIELDS: &[&dyn Shield] = &[$($(#[$condition])* &$module::$shield $(($way))?,)+];
        /// What each of them says of itself: without its code, which the extension's own pages do not run.
        pub(crate) const INFOS: &[&Info] = &[$($(#[$condition])* &$module::INFO,)+];
    };
}

shields! {
    integrations::Integrations;
    identity::Identity;
    device_name::DeviceName;
    calls::Calls;
    referrer::Referrer;
    request_headers::RequestHeaders;
    permalinks::Permalinks;
    config::Config;
    presence::Presence;
    typing::Typing;
    receipts::Receipts;
    telemetry::Telemetry;
    previews::Previews;
    maps::Maps;
    extras::Extras;
    directory::Directory;
    push::Push;
    welcome_bot::WelcomeBot;
    account_data::AccountData;
    search::Search;
    room_defaults::RoomDefaults;
    // Before what asks about names that stay readable.
    room_nicknames::RoomNicknames;
    profile::Profile;
    location::Location;
    captcha::Captcha;
    keywords::Keywords;
    media::Media;
    unasked_media::UnaskedMedia;
    encrypted_state::EncryptedState;
    relations::Relations;
    history_keys::HistoryKeys;
    room_pictures::RoomPictures;
    // After all that know a third party by name.
    third_party::ThirdParty;
    #[cfg(feature = "fault-injection")]
    probe::Probe("body");
    #[cfg(feature = "fault-injection")]
    probe::Probe("over");
    #[cfg(feature = "fault-injection")]
    probe::Probe("over2");
    #[cfg(feature = "fault-injection")]
    probe::Probe("back");
    #[cfg(feature = "fault-injection")]
    probe::Probe("watch");
    // Last: the others know the marker it takes away.
    #[cfg(feature = "fault-injection")]
    probe::Probe("moved");
}

/// A set of shields, by their places in [`SHIELDS`]; gives them in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShieldSet(u64);

const _: () = assert!(SHIELDS.len() <= 64, "a set of shields has 64 places");

impl ShieldSet {
    /// Those whose business requests to this endpoint may be.
    pub(crate) fn concerned_by(endpoint: Endpoint) -> Self {
        Self(CONCERNED.get(endpoint as usize).copied().unwrap_or(u64::MAX))
    }

    /// Those at these places.
    pub(crate) fn of(places: impl Iterator<Item = usize>) -> Self {
        Self(places.fold(0, |set, place| set | 1 << place))
    }

    /// Those in both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those after this place.
    pub(crate) const fn after(self, place: usize) -> Self {
        Self(self.0 & u64::MAX.wrapping_shl(place as u32).wrapping_shl(1))
    }
}

impl Iterator for ShieldSet {
    type Item = (usize, &'static dyn Shield);

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.0.trailing_zeros() as usize;
        let shield = SHIELDS.get(place)?;
        self.0 &= self.0.wrapping_sub(1);
        Some((place, *shield))
    }
}

/// For each endpoint the shields that name it.
static CONCERNED: [u64; Endpoint::ALL.len()] = concerned();

// At compile time, where what is out of bounds does not compile.
#[allow(clippy::indexing_slicing)]
const fn concerned() -> [u64; Endpoint::ALL.len()] {
    let mut table = [0; Endpoint::ALL.len()];
    let mut place = 0;
    while place < INFOS.len() {
        let endpoints = INFOS[place].endpoints;
        let mut at = 0;
        while at < endpoints.len() {
            table[endpoints[at] as usize] |= 1 << place;
            at += 1;
        }
        place += 1;
    }
    table
}

/// The public Element Web hosts that the default build protects.
pub const SITES: [&str; 4] = [
    "https://app.element.io",
    "https://staging.element.io",
    "https://develop.element.io",
    "https://chat.mozilla.org",
];

/// What people are told about a shield.
///
/// Most shields need only some fields: `Info { id: …, ..Info::PLAIN }`.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// Kebab-case id, shared by rules, policy keys and leak rows.
    pub id: &'static str,
    /// Short title.
    pub name: &'static str,
    /// One sentence: what it does; [`documented`].
    pub purpose: &'static str,
    /// One sentence: what the user loses by it; [`documented`].
    pub loses: &'static str,
    /// Mode where nobody chose.
    pub default: Mode,
    /// One line: why that default; [`documented`].
    pub why: &'static str,
    /// Mode under the strict profile where nobody chose.
    pub strict: Mode,
    /// Modes it offers, weakest first.
    pub modes: &'static [Mode],
    /// Choices beside the mode.
    pub options: &'static [OptionInfo],
    /// What holds of them while no settings have come, where that is not the default: key and JSON.
    pub unsettled: &'static [(&'static str, &'static str)],
    /// Title of its list of allowed hosts; `None`: it has none.
    pub allow: Option<&'static str>,
    /// What it has the browser do where no hook sees a request; [`declared`].
    pub rules: &'static [Rule],
    /// Where the requests go that it looks at: it is not asked about others.
    pub endpoints: &'static [Endpoint],
    /// It does nothing without the browser's permission for all sites, which the popup offers.
    pub everywhere: bool,
}

/// A `declarativeNetRequest` rule, in force while its shield is on. Those that depend on settings or
/// on the browser `extension/rules.ts` makes.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Nothing that pages of the sites start reaches these domains, nor what is below them.
    Domains(&'static [&'static str]),
    /// The same where nobody can be asked, since the page's core does not run.
    Asked(&'static [&'static str]),
    /// Nothing they start goes to a URL that this regular expression (RE2) matches.
    Addresses(&'static str),
    /// What the sites themselves serve comes with this header.
    Header(&'static str, &'static str),
}

/// Rules are generated into files that the browser reads, so the page's script goes without.
pub(crate) const fn declared(rules: &'static [Rule]) -> &'static [Rule] {
    if cfg!(all(target_arch = "wasm32", not(feature = "texts"))) { &[] } else { rules }
}

/// A text that the documentation and the popup show: they have it from the generated tables, so the
/// page's script goes without.
pub(crate) const fn documented(text: &'static str) -> &'static str {
    if cfg!(all(target_arch = "wasm32", not(feature = "texts"))) { "" } else { text }
}

impl Info {
    /// A shield that is on, never asks, and has nothing else to set.
    pub const PLAIN: Self = Self {
        id: "",
        name: "",
        purpose: "",
        loses: "",
        default: Mode::On,
        why: "",
        strict: Mode::On,
        modes: &Mode::PLAIN,
        options: &[],
        unsettled: &[],
        allow: None,
        rules: &[],
        endpoints: &[],
        everywhere: false,
    };

    /// Mode where nobody chose.
    #[must_use]
    pub const fn default_in(&self, profile: Profile) -> Mode {
        match profile {
            Profile::Recommended => self.default,
            Profile::Strict => self.strict,
        }
    }
}

/// What of each shield can be set, and beside them.
pub fn settables() -> impl Iterator<Item = Settable> {
    let shields = INFOS.iter().map(|info| {
        let has_list = info.allow.is_some();
        Settable { id: info.id, modes: info.modes, options: info.options, has_list }
    });
    shields.chain([general()])
}

/// The mode in force of the shield with this id.
#[must_use]
pub fn mode_in(policy: &EffectiveSettings, shield: &str) -> Mode {
    SHIELDS
        .iter()
        .map(|known| known.info())
        .find(|info| info.id == shield)
        .map_or(Mode::Off, |info| {
            policy.mode(info.id, info.default_in(policy.profile().value)).value
        })
}

/// For [`Shield::prompt`]: the page wants to know where the device is.
pub const POSITION: &str = "position:";

/// A request's head, routed.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Whole URL as the browser serialises it.
    pub url: &'a str,
    /// Its parts.
    pub address: Address<'a>,
    /// Where it leads.
    pub endpoint: Endpoint,
    /// What its path holds.
    pub route: Route<'a>,
    /// Whether it goes to a server that is none of the person's, whatever its path says. Only the engine
    /// knows.
    pub is_strange: bool,
}

impl<'a> Head<'a> {
    /// Parses and routes; `None` for what is no address of a server.
    #[must_use]
    pub fn new(method: &'a str, url: &'a str) -> Option<Self> {
        let address = Address::parse(url)?;
        let route = route(method, &address);
        let endpoint = route.endpoint;
        Some(Self { method, url, address, endpoint, route, is_strange: false })
    }

    /// Whether it goes to a server that is neither the page's nor a homeserver in use.
    #[must_use]
    pub fn is_of_stranger(&self) -> bool {
        self.is_strange || self.endpoint == Endpoint::Foreign
    }

    /// Whether it asks a homeserver for something by a path that a row knows.
    #[must_use]
    pub fn is_of_homeserver(&self) -> bool {
        match self.endpoint {
            Endpoint::Foreign => false,
            Endpoint::Upload
            | Endpoint::MediaCreate
            | Endpoint::MediaConfig
            | Endpoint::Download
            | Endpoint::UrlPreview => true,
            _ => self.route.is_client(),
        }
    }
}

/// A place of an integration manager, learned from config, `.well-known` or account data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Host, with port where named.
    pub host: String,
    /// Path prefix; `/` for the whole host.
    pub path_prefix: String,
}

impl Place {
    /// What an address in a text names; `None` for what lies where the page lies, and for what only a
    /// URL parser can tell.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let Found::Absolute(url) = found(text) else { return None };
        let address = Address::parse(&url)?;
        let prefix = address.path.trim_end_matches('/');
        Some(Self {
            host: address.host.to_owned(),
            path_prefix: if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() },
        })
    }

    /// Whether `address` lies below this place.
    #[must_use]
    pub fn holds(&self, address: &Address<'_>) -> bool {
        without_dot(&self.host) == without_dot(address.host)
            && address
                .path
                .strip_prefix(self.path_prefix.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// An OpenID token seen in an answer (Client-Server API, 'OpenID').
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenIdToken {
    /// The token.
    pub value: Secret,
    /// Host of the homeserver that issued it.
    pub issuer: String,
}

/// One type of account data, or some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTypes<'a> {
    /// This one.
    One(&'a str),
    /// This one, and with a dot and more behind it: some end in a device ID.
    AndBelow(&'a str),
}

impl EventTypes<'_> {
    /// Whether this type is one of them.
    #[must_use]
    pub fn is(&self, event_type: &[u8]) -> bool {
        match self {
            Self::One(one) => one.as_bytes() == event_type,
            Self::AndBelow(one) => event_type
                .strip_prefix(one.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b".")),
        }
    }
}

/// Content that stays on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// One content per key.
    pub key: String,
    /// JSON text.
    pub content: String,
}

/// What a person is asked before something leaves. All texts are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
pub struct Question {
    /// Names it among its shield's questions.
    pub id: &'static str,
    /// The question.
    pub title: &'static str,
    /// Who learns what.
    pub text: &'static str,
    /// On the button that lets it go.
    pub send: &'static str,
    /// Beside the box that lets it go from now on, for the user or room that the path names; `None`:
    /// asked each time.
    pub remember: Option<&'static str>,
}

/// What a shield may look at beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Settings in force.
    pub policy: &'a EffectiveSettings,
    /// Host of the page, empty where it has none.
    pub page_host: &'a str,
    /// Path of the page's document.
    pub page_path: &'a str,
    /// Where the page's Element lies: an address that ends with a slash.
    pub page_folder: &'a str,
    /// What servers said so far.
    pub learned: &'a Learned,
    /// What stays on this device.
    pub kept: &'a [Kept],
}

impl Context<'_> {
    /// Whether this is neither the page's own host nor one on the shield's list.
    #[must_use]
    pub fn is_foreign(&self, shield: &str, host: &str) -> bool {
        host != self.page_host && !self.policy.is_allowed(shield, host)
    }
}

/// What a shield wants, knowing only the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadStep {
    /// Not its business.
    Pass,
    /// Show it the body and headers.
    Body,
    /// Show it the answer.
    InspectResponse,
    /// Do not send; answer this.
    Reply(Action, Reply),
    /// Send only if the person agrees; not at all while the shield is on.
    Ask(&'static Question),
    /// Send to this URL of the same origin instead; shields that follow see it.
    Redirect(String),
    /// A handler in the page takes it over, after every shield's edits.
    Delegate(Handler),
    /// A handler in the page sees the answer, before any shield does.
    DelegateResponse(Handler),
}

/// What a shield wants, knowing the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyStep {
    /// Nothing.
    Pass,
    /// These edits.
    Edit(Vec<Edit>),
    /// Send this text instead.
    Replace(String),
    /// Keep parts of it on this device, and send another text.
    Keep {
        /// What is kept.
        parts: Vec<Part>,
        /// JSON text.
        sent: String,
    },
    /// Do not send; answer this.
    Reply(Action, Reply),
    /// As [`HeadStep::Ask`].
    Ask(&'static Question),
    /// The same, and with these edits where the person agrees.
    AskEdited(&'static Question, Vec<Edit>),
    /// A handler in the page takes it over, after every shield's edits.
    Delegate(Handler),
    /// A handler in the page sees the answer, before any shield does.
    DelegateResponse(Handler),
}

/// A part of a body that stays on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it replaces here.
    pub key: String,
    /// JSON text.
    pub content: String,
}

/// What a shield learned from a response, or wants changed in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseStep {
    /// Edits of the response's JSON.
    pub edits: Vec<Edit>,
    /// Whole new JSON text, where edits by path do not reach; applied first.
    pub replaced: Option<String>,
    /// Where it has bug reports sent.
    pub reports: Vec<Place>,
    /// Integration managers named in it.
    pub managers: Vec<Place>,
    /// An OpenID token in it.
    pub token: Option<String>,
    /// Hosts for calls named in it.
    pub rtc_hosts: Vec<String>,
    /// Hosts for signing in named in it.
    pub auth_hosts: Vec<String>,
    /// TURN servers named in it.
    pub turn_hosts: Vec<String>,
}

/// What a shield wants of a peer connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "PeerVerdict"))]
#[serde(rename_all = "camelCase")]
pub struct PeerStep {
    /// Only relayed traffic. In any case nothing is gathered before the call starts.
    pub relay_only: bool,
    /// For each server's URL, in their order: whether it may be contacted.
    pub kept: Vec<bool>,
    /// For the user, when the connection cannot work.
    pub sentence: Option<&'static str>,
}

/// What a shield wants loaded into a frame instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS), ts(rename = "FrameVerdict"))]
pub struct FrameStep {
    /// Absolute.
    pub url: String,
    /// For the ledger.
    #[serde(skip)]
    pub action: Action,
    /// For the user, when the frame stays empty.
    pub sentence: Option<&'static str>,
}

/// One protection.
pub trait Shield: Sync {
    /// Texts and default.
    fn info(&self) -> &'static Info;

    /// First look: method, URL, endpoint.
    fn head(&self, _head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        HeadStep::Pass
    }

    /// Second look, after [`HeadStep::Body`]. `headers` is `name: value` per line.
    ///
    /// # Errors
    /// [`JsonError`] when a body it has to read is not JSON.
    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        _body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        Ok(BodyStep::Pass)
    }

    /// What [`Shield::response`] asks the document for: paths of keys, with `/` between them.
    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        Vec::new()
    }

    /// A look at the response, after [`HeadStep::InspectResponse`]; at a sync response only by
    /// [`Shield::account_data`].
    ///
    /// # Errors
    /// [`JsonError`] never, where the document could be read.
    fn response(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        Ok(ResponseStep::default())
    }

    /// The types of the events that [`Shield::account_data`] wants to see.
    fn account_data_types<'a>(&self, _context: &Context<'a>) -> Vec<EventTypes<'a>> {
        Vec::new()
    }

    /// A look at one of the global account data events of a sync response, after
    /// [`HeadStep::InspectResponse`]: the JSON text to put in place of its content, or `None`. What it learns
    /// goes into `step`.
    ///
    /// # Errors
    /// [`JsonError`] never, since the response could be read.
    fn account_data(
        &self,
        _event_type: &str,
        _content: &str,
        _context: &Context<'_>,
        _step: &mut ResponseStep,
    ) -> Result<Option<String>, JsonError> {
        Ok(None)
    }

    /// What is added to the global account data of a sync response that has no event of any of these
    /// types: each type, and the event's JSON text.
    fn missing_account_data(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// A look at the ICE servers of a new peer connection; `None` to leave it alone.
    fn peer(&self, _urls: &[String], _context: &Context<'_>) -> Option<PeerStep> {
        None
    }

    /// A look at the address of a frame, fragment included; `None` to leave it alone.
    fn frame(&self, _url: &str, _context: &Context<'_>) -> Option<FrameStep> {
        None
    }

    /// A look at a link that is about to be followed; where to go instead, or `None`.
    fn link(&self, _url: &str, _context: &Context<'_>) -> Option<String> {
        None
    }

    /// What the person is asked before the page does something that is no request of its own: the
    /// absolute address of a link, [`POSITION`], or what a frame wants that cannot ask by itself.
    /// `None`: nothing.
    fn prompt(&self, _what: &str) -> Option<&'static Question> {
        None
    }
}
