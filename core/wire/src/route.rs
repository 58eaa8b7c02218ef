//! One table from method and path to endpoint, under every API version.
//!
//! Paths: Client-Server API, Identity Service API and the MSCs named at the
//! rows. `r0`, `v1`, `v3` and further versions, `unstable` with or without an
//! MSC prefix, and base URLs with a path prefix all lead to the same value.

use crate::url::{Address, percent_decoded};

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

struct Route {
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

        const ROUTES: &[Route] = &[
            $($(Route { area: Area::$area, methods: $($method)|+, path: $path, endpoint: Endpoint::$endpoint },)+)+
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
    Capabilities { Client GET "capabilities" }

    // Session and account.
    /// `POST login`.
    Login { Client POST "login" }
    /// Login flows, token for another device.
    LoginOther { Client GET "login", Client POST "login/get_token", Client GET "login/sso/redirect", Client GET "login/sso/redirect/{}", Client GET "login/cas/redirect" }
    /// `POST register`, guests included.
    Register { Client POST "register" }
    /// `GET register/available`.
    RegisterAvailable { Client GET "register/available" }
    /// `POST logout`, `logout/all`, `refresh`.
    SessionEnd { Client POST "logout", Client POST "logout/all", Client POST "refresh" }
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
    /// Push rules.
    PushRules { Client ANY "pushrules/{*}" }
    /// Pushers and notifications.
    Pushers { Client GET "pushers", Client POST "pushers/set", Client GET "notifications" }

    // Sync.
    /// `GET sync`.
    Sync { Client GET "sync" }
    /// Sliding sync (MSC3575, MSC4186).
    SlidingSync { Unstable POST "org.matrix.simplified_msc3575/sync", Unstable POST "org.matrix.msc3575/sync", Client POST "sync" }
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
    /// History.
    History { Client GET "rooms/{}/messages", Client GET "rooms/{}/context/{}", Client GET "rooms/{}/event/{}", Client GET "rooms/{}/members", Client GET "rooms/{}/joined_members", Client GET "rooms/{}/initialSync", Client GET "rooms/{}/aliases", Client GET "rooms/{}/threads", Client GET "rooms/{}/relations/{*}", Client GET "rooms/{}/timestamp_to_event" }
    /// `POST rooms/{roomId}/upgrade`.
    Upgrade { Client POST "rooms/{}/upgrade" }
    /// Space hierarchy and room summaries.
    Hierarchy { Client GET "rooms/{}/hierarchy", Client GET "room_summary/{}", Unstable GET "im.nheko.summary/summary/{}", Unstable GET "im.nheko.summary/rooms/{}/summary" }
    /// Reports.
    Report { Client POST "rooms/{}/report", Client POST "rooms/{}/report/{}" }
    /// Receipts and read markers.
    Receipts { Client POST "rooms/{}/receipt/{}/{}", Client POST "rooms/{}/read_markers" }
    /// Typing.
    Typing { Client PUT "rooms/{}/typing/{}" }
    /// Joined rooms, mutual rooms.
    RoomLists { Client GET "joined_rooms", Client GET "mutual_rooms", Unstable GET "uk.half-shot.msc2666/user/mutual_rooms" }
    /// Delayed events (MSC4140).
    DelayedEvents { Client ANY "delayed_events", Client ANY "delayed_events/{*}" }

    // Search and directory.
    /// Aliases and the public directory.
    Directory { Client ANY "directory/{*}", Client GET | POST "publicRooms" }
    /// `POST search`.
    Search { Client POST "search" }
    /// `POST user_directory/search`.
    UserDirectory { Client POST "user_directory/search" }

    // Calls and bridges.
    /// TURN credentials.
    TurnServer { Client GET "voip/turnServer" }
    /// Bridge lookups.
    ThirdParty { Client GET "thirdparty/{*}" }
    /// MatrixRTC foci (MSC4143) and their tokens (MSC4195).
    Rtc { Client GET "rtc/transports", Unstable POST "io.element.msc4195/rtc/livekit/get_token" }

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
    /// `/_synapse/…`.
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
    Endpoint::Pushers,
    Endpoint::Upload,
];

/// Methods and regular expressions (JavaScript and RE2) of the protected writes, for a page whose
/// core does not run.
#[must_use]
pub fn protected_patterns() -> Vec<(&'static str, String)> {
    let mut patterns = Vec::new();
    for (method, bit) in [("DELETE", DELETE), ("POST", POST), ("PUT", PUT)] {
        for (area, base) in [(Area::Client, "client"), (Area::Media, "media")] {
            let paths: Vec<_> = ROUTES
                .iter()
                .filter(|route| PROTECTED.contains(&route.endpoint))
                .filter(|route| route.area == area && route.methods & bit != 0)
                .map(|route| {
                    route.path.replace('.', r"\.").replace("{*}", "[^?#]*").replace("{}", "[^/?#]+")
                })
                .collect();
            if !paths.is_empty() {
                let paths = paths.join("|");
                let pattern = format!(r"/_matrix/{base}/([^?#]*/)?({paths})/?([?#]|$)");
                patterns.push((method, pattern));
            }
        }
    }
    patterns
}

/// Where an address leads.
#[must_use]
pub fn route(method: &str, address: &Address<'_>) -> Endpoint {
    let methods = match method {
        "GET" | "HEAD" => GET,
        "POST" => POST,
        "PUT" => PUT,
        "DELETE" => DELETE,
        _ => 1 << 7,
    };
    let path = percent_decoded_where_needed(address.path);
    let path = path.as_ref();
    let Some((area, rest)) = area(path) else { return Endpoint::Foreign };
    if let Some(endpoint) = find(area, methods, rest) {
        return endpoint;
    }
    match area {
        // `unstable/{msc}/…` mostly repeats the path that later became stable.
        Area::Unstable => {
            let stable = rest
                .split_once('/')
                .filter(|(msc, _)| msc.contains('.'))
                .map_or(rest, |(_, rest)| rest);
            find(Area::Client, methods, stable)
                .or_else(|| find(Area::Media, methods, stable))
                .unwrap_or(Endpoint::Unknown)
        }
        Area::Site | Area::WellKnown => Endpoint::Foreign,
        _ => Endpoint::Unknown,
    }
}

/// Escaped slashes stay escaped: they are part of a parameter.
fn percent_decoded_where_needed(path: &str) -> std::borrow::Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| {
            let decoded = percent_decoded(segment);
            if decoded.contains('/') { segment.into() } else { decoded }
        })
        .collect();
    segments.join("/").into()
}

/// The area and what follows its version.
fn area(path: &str) -> Option<(Area, &str)> {
    if let Some((_, rest)) = path.split_once("/_matrix/") {
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        return Some(match name {
            "client" => client(rest),
            "media" => (Area::Media, unstable_media(after_version(rest))),
            "identity" => (Area::Identity, identity(rest)),
            "integrations" => (Area::Integrations, rest),
            _ => (Area::Client, ""),
        });
    }
    if let Some((_, rest)) = path.split_once("/.well-known/") {
        return Some((Area::WellKnown, rest));
    }
    if let Some(rest) = path.strip_prefix("/_synapse/") {
        return Some((Area::Synapse, rest));
    }
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    (file.starts_with("config.") && file.ends_with(".json")).then_some((Area::Site, "config.json"))
}

fn client(rest: &str) -> (Area, &str) {
    // Synapse still answers to `api/v1`.
    let rest = rest.strip_prefix("api/").unwrap_or(rest);
    match rest.split_once('/') {
        Some(("unstable", after)) => (Area::Unstable, after),
        Some((version, after)) if is_version(version) => (Area::Client, after),
        _ => (Area::Client, rest),
    }
}

fn after_version(rest: &str) -> &str {
    match rest.split_once('/') {
        Some((version, after)) if is_version(version) || version == "unstable" => after,
        _ => rest,
    }
}

fn unstable_media(rest: &str) -> &str {
    rest.split_once('/').filter(|(msc, _)| msc.contains('.')).map_or(rest, |(_, rest)| rest)
}

fn identity(rest: &str) -> &str {
    let rest = rest.strip_prefix("api/").unwrap_or(rest);
    match rest.split_once('/') {
        Some((version, after)) if is_version(version) => after,
        None if is_version(rest) => "",
        _ => rest,
    }
}

/// `r0`, `v1`, `v3`, `v2_alpha` and what may follow them.
fn is_version(segment: &str) -> bool {
    let mut letters = segment.chars();
    matches!(letters.next(), Some('r' | 'v')) && matches!(letters.next(), Some('0'..='9'))
}

fn find(area: Area, methods: u8, path: &str) -> Option<Endpoint> {
    let path = path.strip_suffix('/').unwrap_or(path);
    ROUTES
        .iter()
        .find(|route| {
            route.area == area && route.methods & methods != 0 && matches(route.path, path)
        })
        .map(|route| route.endpoint)
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        if expected == "{*}" {
            return true;
        }
        match segments.next() {
            Some(segment) if expected == "{}" || expected == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(method: &str, url: &str) -> Endpoint {
        route(method, &Address::parse(url).unwrap())
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
        assert_eq!(at("GET", "https://x/_matrix/federation/v1/version"), Endpoint::Unknown);
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

    #[test]
    fn special_account_data_comes_before_the_general() {
        let base = "https://x/_matrix/client/v3/user/@a:x/account_data";
        assert_eq!(at("PUT", &format!("{base}/m.widgets")), Endpoint::WidgetsAccountData);
        assert_eq!(at("PUT", &format!("{base}/m.identity_server")), Endpoint::IdentityAccountData);
        assert_eq!(at("PUT", &format!("{base}/m.direct")), Endpoint::AccountData);
    }

    proptest! {
        #[test]
        fn every_route_finds_itself(index in 0..ROUTES.len(), version in "(r0|v1|v3)", segment in "[!@$a-zA-Z0-9:._~-]{1,12}") {
            let route = &ROUTES[index];
            let path = route.path.replace("{*}", &segment).replace("{}", &segment);
            let path = match route.area {
                Area::Client => format!("/_matrix/client/{version}/{path}"),
                Area::Unstable => format!("/_matrix/client/unstable/{path}"),
                Area::Media => format!("/_matrix/media/{version}/{path}"),
                Area::Identity => format!("/_matrix/identity/{version}/{path}"),
                Area::Integrations => format!("/_matrix/integrations/{path}"),
                Area::WellKnown => format!("/.well-known/{path}"),
                Area::Synapse => format!("/_synapse/{path}"),
                Area::Site => format!("/{path}"),
            };
            let method = if route.methods & GET != 0 { "GET" } else if route.methods & POST != 0 { "POST" } else if route.methods & PUT != 0 { "PUT" } else { "DELETE" };
            let found = at(method, &format!("https://hs.example.org{path}"));
            // A parameter may happen to spell a more special route; it never falls out of the table.
            prop_assert!(!matches!(found, Endpoint::Unknown | Endpoint::Foreign), "{}", path);
        }

        #[test]
        fn any_text_is_no_panic(method in ".{0,6}", url in ".{0,80}") {
            if let Some(address) = Address::parse(&url) {
                let _ = route(&method, &address);
            }
        }
    }
}
