//! One table from method and path to endpoint, under every API version.
//!
//! Paths: Client-Server API, Identity Service API and the MSCs named at the
//! rows. `r0`, `v1`, `v3` and further versions, `unstable` with or without an
//! MSC prefix, and base URLs with a path prefix all lead to the same value.

use crate::url::{Address, percent_bytes, percent_decoded};
use std::borrow::Cow;

/// Which part of Matrix, or of the web around Element, an endpoint belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// `/_matrix/client/{version}/…`
    Client,
    /// `/_matrix/client/unstable/{msc}/…`, where the MSC's own path differs from the stable one.
    Unstable,
    /// `/_matrix/media/{version}/…`
    Media,
    /// `/_matrix/identity/{v2, api/v1, versions}/…`
    Identity,
    /// `/_matrix/integrations/…`
    Integrations,
    /// `/.well-known/…`
    WellKnown,
    /// `/_matrix/federation/…`, which the version of a server is asked at.
    Federation,
    /// `/_synapse/…`
    Synapse,
    /// Files of the site that serves Element.
    Site,
}

const GET: u8 = 1;
const POST: u8 = 2;
const PUT: u8 = 4;
const DELETE: u8 = 8;
const ANY: u8 = u8::MAX;

struct Row {
    area: Area,
    methods: u8,
    /// After the version; `{}` is one segment, a final `{*}` any number.
    path: &'static str,
    endpoint: Endpoint,
}

macro_rules! routes {
    ($($(#[$doc:meta])* $endpoint:ident { $($area:ident $($method:ident)|+ $path:literal),+ $(,)? })+) => {
        /// An endpoint, whatever version it was called under.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $($(#[$doc])* $endpoint,)+
            /// Under `/_matrix/`, but not in the table. Counted.
            Unknown,
            /// Not Matrix.
            Foreign,
        }

        impl Endpoint {
            /// Each of them once.
            pub const ALL: &[Self] = &[$(Self::$endpoint,)+ Self::Unknown, Self::Foreign];

            /// Path template for the ledger; no parameter values.
            #[must_use]
            pub const fn template(self) -> &'static str {
                match self {
                    $(Self::$endpoint => first(&[$($path),+]),)+
                    Self::Unknown => "(unknown Matrix path)",
                    Self::Foreign => "(not Matrix)",
                }
            }
        }

        const ROUTES: &[Row] = &[
            $($(Row { area: Area::$area, methods: $($method)|+, path: $path, endpoint: Endpoint::$endpoint },)+)+
        ];
    };
}

const fn first(paths: &[&'static str]) -> &'static str {
    match paths {
        [path, ..] => path,
        [] => "",
    }
}

routes! {
    // Site of Element and discovery.
    /// `config.json` or `config.<host>.json` of the page's own site.
    ElementConfig { Site GET "config.json" }
    /// `/.well-known/matrix/client`.
    WellKnownClient { WellKnown GET "matrix/client" }
    /// `/.well-known/openid-configuration` of a delegated auth server.
    OpenIdConfiguration { WellKnown GET "openid-configuration" }
    /// Whether a Jitsi host wants JWT auth.
    JitsiWellKnown { WellKnown GET "element/jitsi" }
    /// `/_matrix/client/versions`.
    Versions { Client GET "versions" }
    /// `GET auth_metadata` (MSC2965).
    AuthMetadata { Client GET "auth_metadata", Client GET "auth_issuer" }
    /// `GET capabilities`.
    Capabilities { Client GET "capabilities", Client GET "retention/configuration" }
    /// `GET /_matrix/federation/v1/version`.
    FederationVersion { Federation GET "version" }

    // Session and account.
    /// `POST login`.
    Login { Client POST "login" }
    /// Login flows, token for another device.
    LoginOther { Client GET "login", Client POST "login/get_token", Client GET "login/sso/redirect", Client GET "login/sso/redirect/{}", Client GET "login/cas/redirect" }
    /// `POST register`, guests included.
    Register { Client POST "register" }
    /// `GET register/available`.
    RegisterAvailable { Client GET "register/available", Client GET "register/{}/validity" }
    /// `POST logout`, `logout/all`.
    Logout { Client POST "logout", Client POST "logout/all" }
    /// `POST refresh`.
    Refresh { Client POST "refresh" }
    /// `GET account/whoami`.
    WhoAmI { Client GET "account/whoami" }
    /// `PUT devices/{deviceId}`: renames a session.
    DeviceUpdate { Client PUT "devices/{}" }
    /// Reading and deleting devices.
    Devices { Client GET "devices", Client GET "devices/{}", Client DELETE "devices/{}", Client POST "delete_devices" }
    /// `POST account/password`.
    Password { Client POST "account/password" }
    /// `POST account/deactivate`.
    Deactivate { Client POST "account/deactivate" }
    /// `GET account/3pid`.
    ThirdPartyIds { Client GET "account/3pid" }
    /// `POST account/3pid/add`.
    ThirdPartyIdAdd { Client POST "account/3pid/add" }
    /// Legacy `POST account/3pid` with `bind`.
    ThirdPartyIdLegacy { Client POST "account/3pid" }
    /// `POST account/3pid/bind`.
    ThirdPartyIdBind { Client POST "account/3pid/bind" }
    /// `POST account/3pid/{unbind,delete}`: removes data.
    ThirdPartyIdRemove { Client POST "account/3pid/unbind", Client POST "account/3pid/delete" }
    /// `POST …/{email,msisdn}/requestToken` at the homeserver.
    RequestToken { Client POST "register/{}/requestToken", Client POST "account/3pid/{}/requestToken", Client POST "account/password/{}/requestToken" }
    /// `POST user/{userId}/openid/request_token`.
    OpenIdToken { Client POST "user/{}/openid/request_token" }
    /// `user/{userId}/account_data/m.widgets`.
    WidgetsAccountData { Client GET | PUT "user/{}/account_data/m.widgets" }
    /// `user/{userId}/account_data/m.identity_server`.
    IdentityAccountData { Client GET | PUT "user/{}/account_data/m.identity_server" }
    /// Any other global account data.
    AccountData { Client GET | PUT | DELETE "user/{}/account_data/{}" }
    /// Room account data and tags.
    RoomAccountData { Client GET | PUT | DELETE "user/{}/rooms/{}/account_data/{}", Client GET "user/{}/rooms/{}/tags", Client PUT | DELETE "user/{}/rooms/{}/tags/{}" }
    /// Sync filters.
    Filter { Client POST "user/{}/filter", Client GET "user/{}/filter/{}" }
    /// Profiles, extended fields (MSC4133) included.
    Profile { Client ANY "profile/{}", Client ANY "profile/{}/{}" }
    /// Presence.
    Presence { Client GET | PUT "presence/{}/status" }
    /// QR sign-in (MSC4108).
    Rendezvous { Client ANY "rendezvous", Client ANY "rendezvous/{}" }
    /// Cross-signing keys, with UIA.
    DeviceSigningUpload { Client POST "keys/device_signing/upload" }
    /// Other key requests.
    Keys { Client POST "keys/upload", Client POST "keys/query", Client POST "keys/claim", Client GET "keys/changes", Client POST "keys/signatures/upload" }
    /// Key backup.
    KeyBackup { Client ANY "room_keys/{*}" }
    /// Dehydrated device (MSC3814).
    DehydratedDevice { Client ANY "dehydrated_device", Client ANY "dehydrated_device/{*}" }
    /// To-device messages.
    SendToDevice { Client PUT "sendToDevice/{}/{}" }
    /// `pushrules/{scope}/content/{ruleId}`: a word to be told of.
    KeywordRule { Client ANY "pushrules/{}/content/{}" }
    /// Other push rules.
    PushRules { Client ANY "pushrules", Client ANY "pushrules/{*}" }
    /// `POST pushers/set`.
    PusherSet { Client POST "pushers/set" }
    /// `GET pushers`.
    Pushers { Client GET "pushers" }
    /// `GET notifications`.
    Notifications { Client GET "notifications" }

    // Sync.
    /// `GET sync`.
    Sync { Client GET "sync" }
    /// Sliding sync (MSC3575, MSC4186).
    SlidingSync { Unstable ANY "org.matrix.simplified_msc3575/sync", Unstable ANY "org.matrix.msc3575/sync", Client POST "sync" }
    /// `GET events`.
    Events { Client GET "events", Client GET "events/{}" }

    // Rooms.
    /// `POST createRoom`.
    CreateRoom { Client POST "createRoom" }
    /// `PUT rooms/{roomId}/state/{type}[/{key}]`.
    StateSend { Client PUT "rooms/{}/state/{}", Client PUT "rooms/{}/state/{}/{*}" }
    /// Reading state.
    StateRead { Client GET "rooms/{}/state", Client GET "rooms/{}/state/{}", Client GET "rooms/{}/state/{}/{}" }
    /// `PUT rooms/{roomId}/send/{type}/{txn}`.
    Send { Client PUT "rooms/{}/send/{}/{}" }
    /// `PUT rooms/{roomId}/redact/{event}/{txn}`.
    Redact { Client PUT "rooms/{}/redact/{}/{}" }
    /// `POST rooms/{roomId}/invite`: by MXID or, with an identity server, by e-mail.
    Invite { Client POST "rooms/{}/invite" }
    /// Membership changes.
    Membership { Client POST "join/{}", Client POST "knock/{}", Client POST "rooms/{}/join", Client POST "rooms/{}/leave", Client POST "rooms/{}/forget", Client POST "rooms/{}/kick", Client POST "rooms/{}/ban", Client POST "rooms/{}/unban" }
    /// History: responses with events of a room.
    History { Client GET "rooms/{}/messages", Client GET "rooms/{}/context/{}", Client GET "rooms/{}/event/{}", Client GET "rooms/{}/initialSync", Client GET "rooms/{}/threads", Client GET "rooms/{}/relations/{*}" }
    /// What else is asked of a room: its members, addresses, an event's place in time.
    RoomFacts { Client GET "rooms/{}/members", Client GET "rooms/{}/joined_members", Client GET "rooms/{}/aliases", Client GET "rooms/{}/timestamp_to_event" }
    /// Threads a person follows (MSC4306, MSC4308).
    ThreadSubscriptions { Client ANY "rooms/{}/thread/{}/subscription", Client GET "thread_subscriptions" }
    /// `POST rooms/{roomId}/upgrade`.
    Upgrade { Client POST "rooms/{}/upgrade" }
    /// Space hierarchy and room summaries.
    Hierarchy { Client GET "rooms/{}/hierarchy", Client GET "room_summary/{}", Unstable GET "im.nheko.summary/summary/{}", Unstable GET "im.nheko.summary/rooms/{}/summary" }
    /// Reports.
    Report { Client POST "rooms/{}/report", Client POST "rooms/{}/report/{}", Client POST "users/{}/report" }
    /// `POST rooms/{roomId}/receipt/{type}/{eventId}`.
    Receipts { Client POST "rooms/{}/receipt/{}/{}" }
    /// `POST rooms/{roomId}/read_markers`.
    ReadMarkers { Client POST "rooms/{}/read_markers" }
    /// Typing.
    Typing { Client PUT "rooms/{}/typing/{}" }
    /// `GET joined_rooms`.
    JoinedRooms { Client GET "joined_rooms" }
    /// Rooms in common with somebody (MSC2666).
    MutualRooms { Client GET "mutual_rooms", Unstable GET "uk.half-shot.msc2666/user/mutual_rooms", Unstable GET "uk.half-shot.msc2666/user/mutual_rooms/{}", Unstable GET "uk.half-shot.msc2666/user/shared_rooms/{}" }
    /// Delayed events (MSC4140).
    DelayedEvents { Client ANY "delayed_events", Client ANY "delayed_events/{*}" }

    // Search and directory.
    /// `publicRooms`: a server's room list.
    PublicRooms { Client GET | POST "publicRooms" }
    /// Whether a room stands in that list.
    DirectoryList { Client ANY "directory/list/{*}" }
    /// Addresses of rooms.
    Directory { Client ANY "directory/{*}" }
    /// `POST search`.
    Search { Client POST "search" }
    /// `POST user_directory/search`.
    UserDirectory { Client POST "user_directory/search" }

    // Calls and bridges.
    /// TURN credentials.
    TurnServer { Client GET "voip/turnServer" }
    /// `GET thirdparty/protocols`: which bridges there are.
    BridgeProtocols { Client GET "thirdparty/protocols" }
    /// `GET thirdparty/user/{protocol}`: somebody by another network's name.
    BridgeUser { Client GET "thirdparty/user/{}" }
    /// Other bridge lookups.
    Bridges { Client GET "thirdparty/{*}" }
    /// MatrixRTC foci (MSC4143).
    RtcTransports { Client GET "rtc/transports" }
    /// Tokens for them, by way of the homeserver (MSC4195).
    RtcToken { Unstable POST "io.element.msc4195/rtc/livekit/get_token", Unstable POST "io.element.msc4195/rtc/livekit/delegate_delayed_leave" }

    // Media.
    /// `POST upload`, and `PUT upload/{server}/{id}` (MSC2246).
    Upload { Media POST "upload", Media PUT "upload/{}/{}" }
    /// `POST create` (MSC2246).
    MediaCreate { Media POST "create" }
    /// Downloads and thumbnails, authenticated (MSC3916) or not.
    Download { Media GET "download/{*}", Media GET "thumbnail/{*}", Client GET "media/download/{*}", Client GET "media/thumbnail/{*}" }
    /// URL previews.
    UrlPreview { Media GET "preview_url", Client GET "media/preview_url" }
    /// Upload limits.
    MediaConfig { Media GET "config", Client GET "media/config" }

    // Identity Service API.
    /// Ping: `GET /_matrix/identity/{v2, api/v1}`.
    IdentityPing { Identity GET "" }
    /// `GET /_matrix/identity/versions`.
    IdentityVersions { Identity GET "versions" }
    /// `GET hash_details`.
    IdentityHashDetails { Identity GET "hash_details" }
    /// `POST lookup`.
    IdentityLookup { Identity POST "lookup" }
    /// v1 `GET lookup`.
    IdentityLookupV1 { Identity GET "lookup" }
    /// v1 `POST bulk_lookup`.
    IdentityBulkLookup { Identity POST "bulk_lookup" }
    /// Everything else there.
    IdentityOther { Identity ANY "{*}" }

    // Integration manager.
    /// `/_matrix/integrations/…`.
    IntegrationsApi { Integrations ANY "{*}" }

    // Server administration.
    /// Whether a user is an administrator.
    SynapseIsAdmin { Synapse GET "admin/v1/users/{}/admin" }
    /// Other `/_synapse/…`.
    SynapseApi { Synapse ANY "{*}" }
}

/// Writes that a page without a working core must not send: their bodies hold what shields take out,
/// passwords' User-Interactive Authentication included.
const PROTECTED: [Endpoint; 20] = [
    Endpoint::Login,
    Endpoint::Register,
    Endpoint::DeviceUpdate,
    Endpoint::Devices,
    Endpoint::Password,
    Endpoint::Deactivate,
    Endpoint::ThirdPartyIdAdd,
    Endpoint::ThirdPartyIdLegacy,
    Endpoint::ThirdPartyIdBind,
    Endpoint::RequestToken,
    Endpoint::OpenIdToken,
    Endpoint::WidgetsAccountData,
    Endpoint::IdentityAccountData,
    Endpoint::DeviceSigningUpload,
    Endpoint::CreateRoom,
    Endpoint::StateSend,
    Endpoint::Upgrade,
    Endpoint::Invite,
    Endpoint::PusherSet,
    Endpoint::Upload,
];

/// Methods and regular expressions (JavaScript and RE2) of the protected writes, for a page whose
/// core does not run.
#[must_use]
pub fn protected_patterns() -> Vec<(&'static str, String)> {
    const ROOM: &str = "(rooms/+([^/?#]+/+)?|[rv][0-9][^/?#]*/+|unstable/+([^/?#]+/+)?)";
    let mut patterns = Vec::new();
    for (method, bit) in [("DELETE", DELETE), ("POST", POST), ("PUT", PUT)] {
        for (area, base) in [(Area::Client, "client"), (Area::Media, "media")] {
            let paths: Vec<_> = ROUTES
                .iter()
                .filter(|route| PROTECTED.contains(&route.endpoint))
                .filter(|route| route.area == area && route.methods & bit != 0)
                .map(|route| {
                    // A room's ID that is no segment is gone, see `lacks_parameter`.
                    let (room, path) = match route.path.strip_prefix("rooms/{}/") {
                        Some(path) => (ROOM, path),
                        None => ("", route.path),
                    };
                    let path = path.replace('.', r"\.").replace('/', "/+");
                    let path = path.replace("{*}", "[^?#]*").replace("{}", "[^/?#]+");
                    format!("{room}{path}")
                })
                .collect();
            if !paths.is_empty() {
                let paths = paths.join("|");
                let pattern = format!(r"^[^?#]*\??/_matrix/+{base}/+([^?#]*/)?({paths})/*([?#]|$)");
                patterns.push((method, pattern));
            }
        }
        // Behind the question mark or number sign of a base address, whatever follows.
        let separator = "(/|%2F|%2f)+";
        let pattern = format!("^[^?#]*[?#].*{separator}_matrix{separator}client{separator}");
        patterns.push((method, pattern));
    }
    patterns
}

/// A request's path, told apart: where it leads and what stands in it.
///
/// Parameters are cut before they are decoded, so an escaped slash is part of its parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'a> {
    /// Where it leads.
    pub endpoint: Endpoint,
    area: Option<Area>,
    /// The row's path; empty where no row fits.
    pattern: &'static str,
    /// After area and version, as they stand in the address; none is empty or a dot segment.
    segments: Vec<&'a str>,
}

impl<'a> Route<'a> {
    const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, area: None, pattern: "", segments: Vec::new() }
    }

    /// What stands where the row has its n-th `{}`, as in the address; further segments of a final
    /// `{*}` count on.
    #[must_use]
    pub fn raw_parameter(&self, index: usize) -> Option<&'a str> {
        self.raw_parameters().nth(index)
    }

    /// As [`Route::raw_parameter`], percent-decoded.
    #[must_use]
    pub fn parameter(&self, index: usize) -> Option<Cow<'a, str>> {
        self.raw_parameter(index).map(percent_decoded)
    }

    /// Whether that parameter is this (decoded) text.
    #[must_use]
    pub fn is_parameter(&self, index: usize, text: &str) -> bool {
        self.raw_parameter(index).is_some_and(|segment| is_same(segment, text))
    }

    /// Whether the address hides its path: nobody but a server that wants it so writes one like that.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.area.is_none() && self.endpoint == Endpoint::Unknown
    }

    /// Whether a row of the Client-Server API fits, under any of its versions.
    #[must_use]
    pub fn is_client(&self) -> bool {
        !self.pattern.is_empty() && matches!(self.area, Some(Area::Client | Area::Unstable))
    }

    /// Whether it is below an identity server's path.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.area == Some(Area::Identity)
    }

    /// The Matrix ID in `user/{userId}/…`, by which a client names its own account.
    #[must_use]
    pub fn user(&self) -> Option<Cow<'a, str>> {
        self.pattern.starts_with("user/{}/").then(|| self.parameter(0)).flatten()
    }

    /// Whether any segment after the version is this (decoded) text: for paths that no row knows.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        self.segments.iter().any(|segment| is_same(segment, text))
    }

    /// Each of those, see [`Route::raw_parameter`].
    pub fn raw_parameters(&self) -> impl Iterator<Item = &'a str> {
        let mut expected = self.pattern.split('/');
        let mut is_rest = false;
        self.segments.iter().copied().filter(move |_| {
            let part = if is_rest { None } else { expected.next() };
            is_rest |= part == Some("{*}");
            is_rest || part == Some("{}")
        })
    }
}

/// Where an address leads, and with what parameters.
///
/// A homeserver chooses the base of its addresses, so what counts is the last `/_matrix/` that an area
/// of Matrix follows, however the segments before it look; percent-encoded letters, doubled slashes and
/// dot segments are read as servers read them.
#[must_use]
pub fn route<'a>(method: &str, address: &Address<'a>) -> Route<'a> {
    let methods = match method {
        "GET" | "HEAD" => GET,
        "POST" => POST,
        "PUT" => PUT,
        "DELETE" => DELETE,
        _ => 1 << 7,
    };
    let mut segments = Vec::with_capacity(16);
    for segment in address.path.split('/') {
        if is_same(segment, "..") {
            segments.pop();
        } else if !segment.is_empty() && !is_same(segment, ".") {
            segments.push(segment);
        }
    }
    let found = area(&segments);
    let is_barred = matches!(found, Some((Area::Identity | Area::Integrations, _)));
    if !is_barred && is_hidden(address) {
        return Route::new(Endpoint::Unknown);
    }
    let Some((area, start)) = found else { return Route::new(Endpoint::Foreign) };
    segments.drain(..start);
    if let (Area::Site, [file]) = (area, segments.as_mut_slice()) {
        *file = "config.json";
    }
    let mut rest = segments.as_slice();
    let mut row = find(area, methods, rest);
    if row.is_none() && matches!(area, Area::Unstable | Area::Media) {
        // `unstable/{msc}/…` mostly repeats the path that later became stable.
        let is_msc = |segment: &str| percent_bytes(segment).any(|byte| byte == b'.');
        rest = rest.split_first().filter(|(msc, _)| is_msc(msc)).map_or(rest, |(_, on)| on);
        row = match area {
            Area::Media => find(area, methods, rest),
            _ => find(Area::Client, methods, rest).or_else(|| find(Area::Media, methods, rest)),
        };
    }
    if row.is_none() && lacks_parameter(area, methods, rest) {
        return Route::new(Endpoint::Unknown);
    }
    match row {
        Some(row) => {
            let skipped = segments.len().saturating_sub(rest.len());
            segments.drain(..skipped);
            Route { endpoint: row.endpoint, area: Some(area), pattern: row.path, segments }
        }
        None if matches!(area, Area::Site | Area::WellKnown) => Route::new(Endpoint::Foreign),
        None => Route { endpoint: Endpoint::Unknown, area: Some(area), pattern: "", segments },
    }
}

/// Whether a path of Matrix stands where no server looks for one: behind the question mark or the
/// number sign that a homeserver's base address brought along. Others are told where a picture is, and
/// a homeserver is asked what a link shows: such an address is a parameter's value, with its slashes
/// escaped, and a path that is put behind a base has none escaped.
fn is_hidden(address: &Address<'_>) -> bool {
    let holds = |part: &str| {
        let part = percent_decoded(part);
        part.contains("/_matrix/") || part.contains("/_synapse/admin/")
    };
    let is_address = |pair: &str| {
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        let scheme = |value: &str| value.starts_with("https://") || value.starts_with("http://");
        !value.contains('/') && scheme(&percent_decoded(value))
    };
    holds(address.fragment) || address.query.split('&').any(|pair| holds(pair) && !is_address(pair))
}

/// Whether a write has lost a parameter on its way through a URL parser: one that a server made up and
/// that is no segment, since it is empty, `.`, or `..`, which takes the segment before it along.
fn lacks_parameter(area: Area, methods: u8, segments: &[&str]) -> bool {
    let is_row = |row: &&Row| {
        matches!(
            (area, row.area),
            (Area::Client | Area::Unstable, Area::Client) | (Area::Media, Area::Media)
        ) && row.methods & methods & !GET != 0
    };
    ROUTES.iter().filter(is_row).any(|row| {
        let parts: Vec<_> = row.path.split('/').collect();
        let literal = parts.iter().rposition(|part| !part.starts_with('{')).unwrap_or_default();
        (1..parts.len()).filter(|at| parts.get(*at) == Some(&"{}")).any(|at| {
            // By what comes last a row is told from others.
            let kept = |from: usize| {
                let (before, after) = (parts.get(..from), parts.get(at.saturating_add(1)..));
                let is_told = !(from..=at).contains(&literal);
                before
                    .zip(after)
                    .filter(|_| is_told)
                    .map(|both| [both.0, both.1].concat().join("/"))
            };
            [at, at.saturating_sub(1)]
                .into_iter()
                .filter_map(kept)
                .any(|pattern| matches(&pattern, segments))
        })
    })
}

/// Whether a segment, percent-decoded, is this text.
#[inline]
fn is_same(segment: &str, text: &str) -> bool {
    // An escape takes the place of a byte by three.
    let escapes = segment.len().saturating_sub(text.len());
    match escapes {
        0 => segment == text,
        _ => escapes <= text.len().saturating_mul(2) && percent_bytes(segment).eq(text.bytes()),
    }
}

/// The area, and where what follows its version begins.
fn area(segments: &[&str]) -> Option<(Area, usize)> {
    let after = |at: usize, count: usize| segments.get(at.saturating_add(count)).copied();
    // The browser's own rules block these wherever they stand, and so does a page without a core.
    for (at, segment) in segments.iter().enumerate().rev() {
        let Some(next) = after(at, 1).filter(|_| is_same(segment, "_matrix")) else { continue };
        for (name, area) in BARRED_AREAS {
            if is_same(next, name) {
                return Some(versioned(area, segments, at.saturating_add(2)));
            }
        }
    }
    let mut is_matrix = false;
    for (at, segment) in segments.iter().enumerate().rev() {
        let Some(next) = after(at, 1) else {
            is_matrix |= is_same(segment, "_matrix");
            continue;
        };
        if is_same(segment, "_matrix") {
            is_matrix = true;
            for (name, area) in AREAS {
                if is_same(next, name) {
                    return Some(versioned(area, segments, at.saturating_add(2)));
                }
            }
        } else if is_same(segment, ".well-known") {
            let from = at.saturating_add(1);
            let rest = segments.get(from..).unwrap_or_default();
            if find(Area::WellKnown, ANY, rest).is_some() {
                return Some((Area::WellKnown, from));
            }
        } else if is_same(segment, "_synapse") && is_same(next, "admin") {
            return Some((Area::Synapse, at.saturating_add(1)));
        }
    }
    if is_matrix {
        return Some((Area::Client, segments.len()));
    }
    if let Some(at) = segments.iter().position(|segment| is_same(segment, "_synapse")) {
        return Some((Area::Synapse, at.saturating_add(1)));
    }
    let (at, file) = segments.iter().enumerate().next_back()?;
    let file = percent_decoded(file);
    (file.starts_with("config.") && file.ends_with(".json")).then_some((Area::Site, at))
}

const BARRED_AREAS: [(&str, Area); 2] =
    [("identity", Area::Identity), ("integrations", Area::Integrations)];

const AREAS: [(&str, Area); 3] =
    [("client", Area::Client), ("media", Area::Media), ("federation", Area::Federation)];

/// The area, and where its paths begin after `api/` and a version, as servers write them.
fn versioned(area: Area, segments: &[&str], mut at: usize) -> (Area, usize) {
    let is = |at: usize, name: &str| segments.get(at).is_some_and(|one| is_same(one, name));
    if matches!(area, Area::Integrations) {
        return (area, at);
    }
    // Synapse still answers to `api/v1`.
    if is(at, "api") {
        at = at.saturating_add(1);
    }
    let is_unstable = is(at, "unstable");
    if is_unstable || segments.get(at).is_some_and(|version| is_version(version)) {
        at = at.saturating_add(1);
    }
    let is_split = is_unstable && matches!(area, Area::Client);
    (if is_split { Area::Unstable } else { area }, at)
}

/// `r0`, `v1`, `v3`, `v2_alpha` and what may follow them.
fn is_version(segment: &str) -> bool {
    let mut letters = percent_bytes(segment);
    matches!(letters.next(), Some(b'r' | b'v')) && matches!(letters.next(), Some(b'0'..=b'9'))
}

/// Rows by their first segment and, where the second is a parameter, their third: chains of rows, in
/// the order of the table, whose keys share a remainder.
struct Index {
    first: [u8; BUCKETS],
    next: [u8; ROUTES.len()],
}

const BUCKETS: usize = 128;
const NO_ROW: u8 = u8::MAX;
const _: () = assert!(ROUTES.len() < NO_ROW as usize);

static INDEX: Index = Index::new();

// At compile time, where what is out of bounds does not compile.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
impl Index {
    const fn new() -> Self {
        let mut index = Self { first: [NO_ROW; BUCKETS], next: [NO_ROW; ROUTES.len()] };
        let mut row = ROUTES.len();
        while row > 0 {
            row -= 1;
            let bucket = pattern_key(ROUTES[row].path.as_bytes()) as usize % BUCKETS;
            index.next[row] = index.first[bucket];
            index.first[bucket] = row as u8;
        }
        index
    }
}

/// FNV-1a.
const EMPTY_KEY: u32 = 0x811c_9dc5;

const fn key_with(key: u32, byte: u8) -> u32 {
    (key ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// Key of a row: its first segment, a third one after `{}`; nothing for rows that begin with `{*}`.
#[allow(clippy::indexing_slicing)]
const fn pattern_key(path: &[u8]) -> u32 {
    let mut key = EMPTY_KEY;
    let mut at = 0;
    if path.is_empty() || path[0] == b'{' {
        return key;
    }
    while at < path.len() && path[at] != b'/' {
        key = key_with(key, path[at]);
        at += 1;
    }
    let is_followed =
        at + 4 < path.len() && path[at + 1] == b'{' && path[at + 2] == b'}' && path[at + 4] != b'{';
    if is_followed {
        at += 4;
        key = key_with(key, b'/');
        while at < path.len() && path[at] != b'/' {
            key = key_with(key, path[at]);
            at += 1;
        }
    }
    key
}

fn key_of(key: u32, segment: &str) -> u32 {
    if segment.contains('%') {
        return percent_bytes(segment).fold(key, key_with);
    }
    segment.bytes().fold(key, key_with)
}

fn find(area: Area, methods: u8, segments: &[&str]) -> Option<&'static Row> {
    let first = segments.first().map(|first| key_of(EMPTY_KEY, first));
    let third = first.zip(segments.get(2)).map(|(key, third)| key_of(key_with(key, b'/'), third));
    let keys = [third, first, Some(EMPTY_KEY)];
    keys.into_iter().flatten().find_map(|key| {
        let mut at = *INDEX.first.get(key as usize % BUCKETS)?;
        while let Some(row) = ROUTES.get(usize::from(at)) {
            let is_it = row.area == area && row.methods & methods != 0;
            if is_it && matches(row.path, segments) {
                return Some(row);
            }
            at = *INDEX.next.get(usize::from(at))?;
        }
        None
    })
}

fn matches(pattern: &str, segments: &[&str]) -> bool {
    let mut segments = segments.iter();
    if !pattern.is_empty() {
        for expected in pattern.split('/') {
            if expected == "{*}" {
                return true;
            }
            match segments.next() {
                Some(segment) if expected == "{}" || is_same(segment, expected) => {}
                _ => return false,
            }
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(method: &str, url: &str) -> Endpoint {
        route(method, &Address::parse(url).unwrap()).endpoint
    }

    /// Bases that a homeserver may give itself, or a proxy have.
    const BASES: [&str; 22] = [
        "",
        "/",
        "/base",
        "/two/parts",
        "//double//",
        "/a/../b/./c",
        "/_matrix",
        "/_matrix/x",
        "/_matrix/client",
        "/_matrix/client/v3",
        "/_matrix/client/v3/directory",
        "/_matrix/client/v3/room_keys",
        "/_matrix/client/v3/rooms/!r:x/state/m.room.name",
        "/_matrix/client/unstable/org.matrix.msc9999",
        "/_matrix/media/v3/download",
        "/%5Fmatrix/%63lient/v3",
        "/a%2F_matrix%2Fclient",
        "/_synapse/admin",
        "/_synapse/admin/v1/users/x/admin",
        "/.well-known/matrix/client",
        "/config.json",
        "/unstable/v3/api",
    ];

    fn path_of(area: Area, version: &str, path: &str) -> String {
        match area {
            Area::Client => format!("/_matrix/client/{version}/{path}"),
            Area::Unstable => format!("/_matrix/client/unstable/{path}"),
            Area::Media => format!("/_matrix/media/{version}/{path}"),
            Area::Identity => format!("/_matrix/identity/{version}/{path}"),
            Area::Integrations => format!("/_matrix/integrations/{path}"),
            Area::Federation => format!("/_matrix/federation/{version}/{path}"),
            Area::WellKnown => format!("/.well-known/{path}"),
            Area::Synapse => format!("/_synapse/{path}"),
            Area::Site => format!("/{path}"),
        }
    }

    fn method_of(row: &Row) -> &'static str {
        [("GET", GET), ("POST", POST), ("PUT", PUT)]
            .into_iter()
            .find(|(_, bit)| row.methods & bit != 0)
            .map_or("DELETE", |(method, _)| method)
    }

    /// The path with the letters that `mask` says percent-encoded, and slashes doubled on demand.
    fn disguised(path: &str, mask: u64, is_doubled: bool) -> String {
        let mut written = String::new();
        for (at, byte) in path.bytes().enumerate() {
            let is_chosen = mask >> (at % 64) & 1 == 1;
            match byte {
                b'/' if is_doubled => written.push_str("//"),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'!' | b'@' | b':' | b'$' if is_chosen => {
                    written.push_str(&match mask & 1 {
                        0 => format!("%{byte:02x}"),
                        _ => format!("%{byte:02X}"),
                    });
                }
                _ => written.push(char::from(byte)),
            }
        }
        written
    }

    #[test]
    fn parameters_are_cut_before_they_are_decoded() {
        let url =
            "https://hs/_matrix/x/_matrix/client/v3/rooms/%21r%2Fs/state/m.room.n%61me/a%20b/c%2Fd";
        let found = route("PUT", &Address::parse(url).unwrap());
        assert_eq!(found.endpoint, Endpoint::StateSend);
        let parameters: Vec<_> = (0..5).map(|at| found.parameter(at)).collect();
        let expected = [Some("!r/s"), Some("m.room.name"), Some("a b"), Some("c/d"), None]
            .map(|one| one.map(Cow::from));
        assert_eq!(parameters, expected);
        assert_eq!(found.raw_parameter(1), Some("m.room.n%61me"));
        assert!(found.is_parameter(1, "m.room.name") && !found.is_parameter(1, "m.room"));
    }

    #[test]
    fn a_parameter_that_is_called_like_matrix_is_none_of_its_paths() {
        for (method, path, endpoint) in [
            ("PUT", "devices/_matrix", Endpoint::DeviceUpdate),
            ("PUT", "rooms/!r:x/state/m.room.name/_matrix", Endpoint::StateSend),
            ("PUT", "rooms/!r:x/state/_synapse/_matrix", Endpoint::StateSend),
            ("PUT", "rooms/!r:x/state/.well-known/matrix", Endpoint::StateSend),
        ] {
            assert_eq!(
                at(method, &format!("https://hs/_matrix/client/v3/{path}")),
                endpoint,
                "{path}"
            );
        }
    }

    #[test]
    fn a_base_that_has_a_query_or_a_fragment_hides_no_matrix_path() {
        fn route<'a>(method: &str, url: &'a str) -> Route<'a> {
            super::route(method, &Address::parse(url).unwrap())
        }
        for url in [
            "https://hs/?/_matrix/client/v3/login",
            "https://hs/?/_matrix/media/v3/upload",
            "https://hs/?x/_matrix/media/v3/upload",
            "https://hs/?x/_synapse/admin/v1/users/x/admin",
            "https://hs/x?%2F_matrix%2Fclient%2Fv3%2Fsync=&a=b",
            "https://hs/?x=https://y/_matrix/client/v3/login",
            "https://hs/_matrix/client/v3/keys/upload?x/_matrix/client/v3/createRoom",
            "https://hs/#/_matrix/client/v3/login",
            "https://hs/x?y#z/_matrix/client/v3/login",
        ] {
            let route = route("POST", url);
            assert_eq!(route.endpoint, Endpoint::Unknown, "{url}");
            assert!(route.is_hidden(), "{url}");
        }
        for base in ["?x", "?u=https://x.example", "?a=b&u=https%3A%2F%2Fx.example", "#x", "?"] {
            for path in
                ["media/v3/preview_url?url=x", "media/v3/thumbnail/x/y", "client/v1/media/x"]
            {
                let url = format!("https://hs/{base}/_matrix/{path}");
                assert!(route("GET", &url).is_hidden(), "{url}");
            }
        }
        for url in ["https://hs/_matrix/client/v3/x/y", "https://hs/_matrix/", "https://hs/?x"] {
            assert!(!route("POST", url).is_hidden(), "{url}");
        }
        // An address that is a parameter's value is written with escapes, unlike a path put behind a base.
        for path in ["media/v3/x", "client/v1/media/download/x/y", "client/versions"] {
            let value = format!("https%3A%2F%2Fhs%2F_matrix%2F{}", path.replace('/', "%2F"));
            assert_eq!(
                at("GET", &format!("https://x/?w=1&url={value}")),
                Endpoint::Foreign,
                "{path}"
            );
            let url = format!("https://hs/_matrix/client/v1/media/preview_url?url={value}&ts=1");
            assert_eq!(at("GET", &url), Endpoint::UrlPreview, "{path}");
        }
    }

    #[test]
    fn every_version_and_prefix_leads_to_the_same_endpoint() {
        for version in [
            "r0",
            "v1",
            "v3",
            "v11",
            "unstable",
            "unstable/org.matrix.msc9999",
            "v2_alpha",
            "api/v1",
        ] {
            for base in ["https://hs.example.org", "https://hs.example.org:8448/some/prefix"] {
                let url = format!("{base}/_matrix/client/{version}/login");
                assert_eq!(at("POST", &url), Endpoint::Login, "{url}");
                let url = format!("{base}/_matrix/client/{version}/rooms/!r:x/state/m.room.name/");
                assert_eq!(at("PUT", &url), Endpoint::StateSend, "{url}");
                assert_eq!(at("PUT", &format!("{url}a/b")), Endpoint::StateSend, "{url}");
                let url = format!("{base}/_matrix/client/{version}/user/@a:x/openid/request_token");
                assert_eq!(at("POST", &url), Endpoint::OpenIdToken, "{url}");
            }
        }
    }

    #[test]
    fn escapes_do_not_hide_an_endpoint() {
        assert_eq!(at("POST", "https://x/_matrix/client/v3/%6Cogin"), Endpoint::Login);
        assert_eq!(at("POST", "https://x/%5Fmatrix/client/v3/login"), Endpoint::Login);
        assert_eq!(at("PUT", "https://x/_matrix/client/v3/devices/a%2Fb"), Endpoint::DeviceUpdate);
    }

    #[test]
    fn identity_paths_v1_and_v2() {
        for (method, path, endpoint) in [
            ("GET", "v2", Endpoint::IdentityPing),
            ("GET", "v2/", Endpoint::IdentityPing),
            ("GET", "api/v1", Endpoint::IdentityPing),
            ("GET", "versions", Endpoint::IdentityVersions),
            ("GET", "v2/hash_details", Endpoint::IdentityHashDetails),
            ("POST", "v2/lookup", Endpoint::IdentityLookup),
            ("GET", "api/v1/lookup?medium=email", Endpoint::IdentityLookupV1),
            ("POST", "api/v1/bulk_lookup", Endpoint::IdentityBulkLookup),
            ("POST", "v2/account/register", Endpoint::IdentityOther),
            ("POST", "api/v1/validate/email/requestToken", Endpoint::IdentityOther),
            ("PATCH", "v3/something/new", Endpoint::IdentityOther),
        ] {
            assert_eq!(
                at(method, &format!("https://is/_matrix/identity/{path}")),
                endpoint,
                "{path}"
            );
        }
    }

    #[test]
    fn unstable_paths_of_their_own() {
        let base = "https://x/_matrix/client/unstable";
        assert_eq!(
            at("POST", &format!("{base}/org.matrix.simplified_msc3575/sync")),
            Endpoint::SlidingSync
        );
        assert_eq!(
            at("GET", &format!("{base}/org.matrix.msc2965/auth_metadata")),
            Endpoint::AuthMetadata
        );
        assert_eq!(
            at("GET", &format!("{base}/org.matrix.msc2946/rooms/!r/hierarchy")),
            Endpoint::Hierarchy
        );
        assert_eq!(
            at("GET", &format!("{base}/org.matrix.msc3916/media/download/s/i")),
            Endpoint::Download
        );
        assert_eq!(
            at("POST", "https://x/_matrix/media/unstable/fi.mau.msc2246/create"),
            Endpoint::MediaCreate
        );
    }

    #[test]
    fn unknown_and_foreign_are_values() {
        assert_eq!(at("POST", "https://x/_matrix/client/v3/brand/new"), Endpoint::Unknown);
        assert_eq!(at("GET", "https://x/_matrix/federation/v1/query/directory"), Endpoint::Unknown);
        assert_eq!(at("PROPFIND", "https://x/_matrix/client/v3/login"), Endpoint::Unknown);
        assert_eq!(at("GET", "https://x/_matrix/"), Endpoint::Unknown);
        assert_eq!(at("GET", "https://x/bundles/app.js"), Endpoint::Foreign);
        assert_eq!(
            at("GET", "https://x/app/config.chat.example.org.json?cachebuster=1"),
            Endpoint::ElementConfig
        );
        assert_eq!(at("GET", "https://x/.well-known/matrix/client"), Endpoint::WellKnownClient);
        assert_eq!(at("GET", "https://x/.well-known/matrix/server"), Endpoint::Foreign);
    }

    /// What a page without a core makes of a URL, as `extension/page/core/fallback.ts` does.
    fn without_a_core(refuse: &[(&str, regex_lite::Regex)], method: &str, url: &str) -> bool {
        let mut plain = String::new();
        let mut rest = url;
        while let Some((before, after)) = rest.split_once('%') {
            plain.push_str(before);
            let code = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match code.filter(|code| code.is_ascii_alphanumeric() || b"-._~".contains(code)) {
                Some(code) => {
                    plain.push(char::from(code));
                    rest = after.get(2..).unwrap_or_default();
                }
                None => {
                    plain.push('%');
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        refuse.iter().any(|(one, pattern)| *one == method && pattern.is_match(&plain))
    }

    /// Segments of which addresses are made that look like what they are not.
    const PARTS: [&str; 30] = [
        "_matrix",
        "_matrix",
        "_matrix",
        "client",
        "client",
        "media",
        "identity",
        "integrations",
        "v3",
        "r0",
        "v1",
        "api",
        "unstable",
        "org.matrix.msc1",
        "login",
        "register",
        "createRoom",
        "rooms",
        "!r:x",
        "state",
        "m.room.name",
        "invite",
        "upgrade",
        "devices",
        "ABC",
        "user",
        "account_data",
        "m.widgets",
        "upload",
        "pushers",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn a_router_is_never_less_strict_than_a_page_without_a_core(
            parts in proptest::collection::vec(0..PARTS.len(), 1..12),
            method in proptest::sample::select(&["POST", "PUT", "DELETE", "GET"][..]),
            mask in any::<u64>(),
            is_doubled in any::<bool>(),
            end in proptest::sample::select(&["", "/", "?x=/_matrix/client/v3/login", "?/_matrix/client/v3/login", "?%2F_matrix%2Fclient%2Fv3=", "#/_matrix/client/v3", "#/login"][..]),
        ) {
            let refuse: Vec<_> = protected_patterns()
                .into_iter()
                .map(|(method, pattern)| (method, regex_lite::Regex::new(&pattern).unwrap()))
                .collect();
            let parts: Vec<_> = parts.iter().map(|at| PARTS[*at]).collect();
            let path = format!("/{}", parts.join("/"));
            let url = format!("https://hs.example.org{}{end}", disguised(&path, mask, is_doubled));
            let endpoint = at(method, &url);
            let barred = parts.windows(2).any(|pair| {
                pair[0] == "_matrix" && ["identity", "integrations"].contains(&pair[1])
            });
            let is_refused = without_a_core(&refuse, method, &url);
            let is_barred = matches!(endpoint, Endpoint::IntegrationsApi)
                || format!("{endpoint:?}").starts_with("Identity") && endpoint != Endpoint::IdentityAccountData;
            prop_assert_eq!(barred, is_barred, "{} {}: {:?}", method, &url, endpoint);
            if is_refused && !barred {
                // What no row knows is judged by what it carries.
                let is_seen = PROTECTED.contains(&endpoint) || endpoint == Endpoint::Unknown;
                prop_assert!(is_seen, "{} {}: {:?}", method, url, endpoint);
            }
            if PROTECTED.contains(&endpoint) && method != "GET" {
                prop_assert!(is_refused, "{} {} would leave without a core", method, url);
            }
        }
    }

    #[test]
    fn special_account_data_comes_before_the_general() {
        let base = "https://x/_matrix/client/v3/user/@a:x/account_data";
        assert_eq!(at("PUT", &format!("{base}/m.widgets")), Endpoint::WidgetsAccountData);
        assert_eq!(at("PUT", &format!("{base}/m.identity_server")), Endpoint::IdentityAccountData);
        assert_eq!(at("PUT", &format!("{base}/m.direct")), Endpoint::AccountData);
    }

    proptest! {
        #[test]
        fn no_base_and_no_spelling_leads_elsewhere(
            index in 0..ROUTES.len(),
            base in proptest::sample::select(&BASES[..]),
            version in "(r0|v1|v3)",
            segment in "([!@$a-zA-Z0-9:_~-]{1,12}|_matrix|client)",
            mask in any::<u64>(),
            is_doubled in any::<bool>(),
            is_slashed in any::<bool>(),
        ) {
            let row = &ROUTES[index];
            // No site serves Element from below a homeserver's paths.
            prop_assume!(row.area != Area::Site || !base.contains("matrix") && !base.contains("_synapse"));
            // What stands behind `/_synapse/` is told from a base's by being of its administration.
            let any = if row.area == Area::Synapse { "admin/{}" } else { "{}" };
            let pattern = row.path.replace("{*}", any);
            let path = path_of(row.area, &version, &pattern.replace("{}", &segment));
            let plain = format!("https://hs.example.org{path}");
            let plain = Address::parse(&plain).unwrap();
            let expected = route(method_of(row), &plain);
            // A parameter may happen to spell a more special route; it never falls out of the table.
            prop_assert!(!matches!(expected.endpoint, Endpoint::Unknown | Endpoint::Foreign), "{}", path);
            if expected.pattern == row.path {
                let count = pattern.matches("{}").count() + usize::from(any.len() > 2 && row.path.ends_with("{*}"));
                let parameters: Vec<_> = expected.raw_parameters().collect();
                prop_assert_eq!(parameters.len(), count, "{}", path);
                prop_assert!(parameters.iter().all(|one| *one == segment || *one == "admin"));
            }
            let slash = if is_slashed && row.area != Area::Site { "/" } else { "" };
            let url = format!("https://hs.example.org{base}{}{slash}", disguised(&path, mask, is_doubled));
            let address = Address::parse(&url).unwrap();
            let found = route(method_of(row), &address);
            prop_assert_eq!(found.endpoint, expected.endpoint, "{}", url);
            for at in 0..5 {
                prop_assert_eq!(found.parameter(at), expected.parameter(at), "{}", url);
            }
        }

        #[test]
        fn any_text_is_no_panic(method in ".{0,6}", url in ".{0,80}") {
            if let Some(address) = Address::parse(&url) {
                let _ = route(&method, &address);
            }
        }
    }
}
