//! Every shield, alone and with all others, in worlds that a hostile server makes: its base address,
//! its configuration, its first sync. No decision is less strict there than in an honest world.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used)]

use mantle_shields::Engine;
use mantle_shields::shields::SHIELDS;
use mantle_shields::verdict::flag;
use mantle_wire::route::{Endpoint, route};
use mantle_wire::url::Address;
use std::collections::{BTreeMap, BTreeSet};

const SITE: &str = "https://chat.example.org/app/";
const HS: &str = "https://hs.example.org";

/// What a homeserver may call its base, as a URL parser leaves it; Element puts paths behind it.
const BASES: [&str; 29] = [
    "https://hs.example.org",
    "https://hs.example.org:8448",
    "https://hs.example.org.",
    "https://user:password@hs.example.org",
    "https://xn--bcher-kva.example",
    "https://[2001:db8::1]:8008",
    "http://127.0.0.1:8008",
    "https://hs.example.org/base",
    "https://hs.example.org//",
    "https://hs.example.org/_matrix/client/v3",
    "https://hs.example.org/%5Fmatrix/x",
    "https://hs.example.org/config.json",
    "https://hs.example.org/_synapse/admin",
    "https://hs.example.org/.well-known/matrix/client",
    "https://hs.example.org/?",
    "https://hs.example.org/?x",
    "https://hs.example.org/?x=",
    "https://hs.example.org/?a=b&c",
    "https://hs.example.org/base?%2F",
    "https://hs.example.org/#",
    "https://hs.example.org/#x",
    "https://hs.example.org/base?x#",
    "https://hs.example.org/?u=https://x.example",
    "https://hs.example.org/_matrix/client/v3/keys/upload?",
    "https://hs.example.org/_matrix/client/v3/sync#",
    // Element's own host, a manager's, an identity server's.
    "https://chat.example.org",
    "https://chat.example.org/app/bundles",
    "https://scalar.vector.im",
    "https://vector.im",
];

/// What some shield looks for in a body.
const TELLING: [&str; 3] = [
    r##"{"initial_device_display_name":"x on y","display_name":"x on y","id_server":"is.example","id_access_token":"t","bind_email":true,"name":"Plans","topic":"Plans","preset":"public_chat","visibility":"public","invite":["@riot-bot:matrix.org"],"m.read":"$e","medium":"email","address":"a@example.org","body":"https://chat.example.org/app/#/room/!r:x","search_term":"a","pattern":"word","presence":"online","typing":true,"recent_rooms":["!r:x"],"SpotlightSearch.recentSearches":["x"],"w":{"type":"m.integration_manager","content":{"url":"https://m.example/"}},"base_url":"https://is.example","candidates":[{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host"}],"kind":"http","data":{"format":"x","url":"https://push.example","brand":"x"},"lang":"de","device_display_name":"x on y","app_display_name":"x","m.relates_to":{}}"##,
    r#"{"membership":"join","displayname":"A"}"#,
    "",
];

/// Requests to each endpoint, without the homeserver's base.
fn requests() -> Vec<(&'static str, String)> {
    const AREAS: [&str; 7] = [
        "_matrix/client/v3",
        "_matrix/client/unstable",
        "_matrix/media/v3",
        "_matrix/identity/v2",
        "_matrix/integrations",
        "_matrix/federation/v1",
        "_synapse",
    ];
    const PARAMETERS: [&str; 9] = [
        "@x:y",
        "m.room.name",
        "m.call.candidates",
        "avatar_url",
        "m.room.member",
        "m.read",
        "m.room.message",
        "m.room.encrypted",
        "io.element.recent_emoji",
    ];
    let mut requests = Vec::new();
    let mut seen = BTreeSet::new();
    for endpoint in Endpoint::ALL {
        for area in AREAS {
            for parameter in PARAMETERS {
                let path = endpoint.template().replace("{*}", parameter).replace("{}", parameter);
                for method in ["GET", "POST", "PUT", "DELETE"] {
                    let path = format!("/{area}/{path}");
                    let url = format!("{HS}{path}");
                    if route(method, &Address::parse(&url).unwrap()).endpoint == *endpoint
                        && seen.insert((method, path.clone()))
                    {
                        for query in ["", "?user_id=x&server=y&url=z&timeout=0&set_presence=online"]
                        {
                            requests.push((method, format!("{path}{query}")));
                        }
                    }
                }
            }
        }
    }
    requests
}

/// Requests to others than the homeserver.
const OTHERS: [(&str, &str); 16] = [
    ("GET", "https://scalar.vector.im/api/register"),
    ("POST", "https://scalar-staging.vector.im/api/register"),
    ("GET", "https://m.example/widgets?scalar_token=x"),
    ("GET", "https://m.example/_matrix/integrations/v1/account"),
    ("GET", "https://vector.im/_matrix/identity/v2/hash_details"),
    ("POST", "https://is.example/_matrix/identity/api/v1/sign-ed25519?mxid=x&token=y"),
    ("POST", "https://rageshakes.element.io/api/submit"),
    ("POST", "https://posthog.element.io/capture"),
    ("GET", "https://api.maptiler.com/maps/streets/style.json?key=x"),
    ("GET", "https://api.klipy.com/v2/search?q=cats"),
    ("GET", "https://meet.element.io/.well-known/element/jitsi"),
    ("POST", "https://sfu.evil.example/sfu/get"),
    ("GET", "https://evil.example/x"),
    ("POST", "https://evil.example/x"),
    ("GET", "https://evil.example/_synapse/x"),
    ("GET", "https://evil.example/config.x.json"),
];

const FRAMES: [&str; 4] = [
    "https://evil.example/widget?x=a-token-of-openid",
    "https://m.example/widget#scalar_token=x",
    "https://meet.element.io/room#config.x=y&userInfo.displayName=A",
    "https://chat.example.org/app/jitsi.html#conferenceDomain=meet.element.io&displayName=A&roomName=Plans",
];

const LINKS: [&str; 3] = [
    "https://matrix.to/#/!r:x",
    "https://hs.example.org/_matrix/client/v3/login/sso/redirect?redirectUrl=https%3A%2F%2Fchat.example.org%2F%23%2Froom%2F!r",
    "https://mobile.element.io/?hs_url=https%3A%2F%2Fhs.example.org",
];

const PROMPTS: [&str; 3] = [
    "position:",
    "https://www.openstreetmap.org/?mlat=1",
    "https://www.recaptcha.net/recaptcha/api.js",
];

/// What becomes of something that Element does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    is_sent: bool,
    told: String,
    handlers: Vec<String>,
}

impl Outcome {
    /// Whether nobody is told more than by the other.
    fn is_as_strict_as(&self, other: &Self) -> bool {
        !self.is_sent
            || other.is_sent
                && self.told == other.told
                && other.handlers.iter().all(|one| self.handlers.contains(one))
    }

    /// Whether a shield minds.
    fn is_minded(&self, asked: &str) -> bool {
        !self.is_sent || !self.handlers.is_empty() || self.told != asked
    }
}

/// The part of an address that is not the homeserver's base.
fn behind(url: &str, base: &str) -> String {
    url.strip_prefix(base).unwrap_or(url).to_owned()
}

fn request(engine: &mut Engine, method: &str, base: &str, path: &str, body: &str) -> Outcome {
    let url = format!("{base}{path}");
    let mut flags = engine.decide(method, &url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body(method, &url, "content-type: application/json", body.as_bytes());
    }
    let to = engine.take_url().unwrap_or(url);
    let sent = engine.take_body().map(|body| String::from_utf8(body).unwrap());
    let mut handlers: Vec<_> =
        engine.take_delegates().iter().map(|delegate| format!("{delegate:?}")).collect();
    handlers.extend(engine.take_response_delegate().map(|delegate| format!("then {delegate:?}")));
    if flags & flag::INSPECT_RESPONSE != 0 {
        handlers.push("inspect".to_owned());
    }
    Outcome {
        is_sent: flags & flag::REPLY == 0,
        told: format!("{} {}", behind(&to, base), sent.as_deref().unwrap_or(body)),
        handlers,
    }
}

/// Settings in which one shield acts alone, or all do.
fn settings() -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<_, _> = SHIELDS
        .iter()
        .map(|alone| {
            let modes: Vec<_> = SHIELDS
                .iter()
                .map(|shield| {
                    let id = shield.info().id;
                    let mode = if id == alone.info().id { "on" } else { "off" };
                    format!(r#""{id}":"{mode}""#)
                })
                .collect();
            (alone.info().id, format!(r#"{{"version":1,"shields":{{{}}}}}"#, modes.join(",")))
        })
        .collect();
    all.insert("recommended", r#"{"version":1}"#.to_owned());
    all.insert("strict", r#"{"version":1,"profile":"strict"}"#.to_owned());
    all
}

fn engine(settings: &str) -> Engine {
    let mut engine = Engine::new(SITE);
    engine.apply_settings(Some(settings), None);
    engine
}

/// As the boundary does: a response that nothing concerns is not copied in.
fn shown(engine: &mut Engine, method: &str, url: &str, body: &str) -> String {
    engine.decide(method, url);
    let bytes = body.as_bytes();
    let mut read = |at: usize, into: &mut [u8]| {
        into.copy_from_slice(bytes.get(at..at.saturating_add(into.len())).unwrap());
    };
    if !engine.needs_response_body(method, url, bytes.len(), &mut read) {
        return body.to_owned();
    }
    let next = engine.response(method, url, 200, bytes);
    next.map_or_else(|| body.to_owned(), |next| String::from_utf8(next).unwrap())
}

/// An engine whose session has begun.
fn begun(settings: &str, base: &str) -> Engine {
    let mut engine = engine(settings);
    for path in ["versions", "v3/user/@x:y/filter/0"] {
        engine.decide("GET", &format!("{base}/_matrix/client/{path}"));
    }
    engine.take_url();
    engine
}

#[test]
fn no_base_address_makes_a_shield_less_strict() {
    let requests = some(requests());
    let mut weaker = BTreeMap::new();
    for (name, settings) in settings() {
        for body in TELLING {
            let mut honest = begun(&settings, HS);
            let expected: Vec<_> = requests
                .iter()
                .map(|(method, path)| (method, path, request(&mut honest, method, HS, path, body)))
                .filter(|(_, path, outcome)| outcome.is_minded(&format!("{path} {body}")))
                .collect();
            for base in BASES {
                let mut engine = begun(&settings, base);
                for (method, path, honest) in &expected {
                    let hostile = request(&mut engine, method, base, path, body);
                    if !hostile.is_as_strict_as(honest) {
                        weaker
                            .entry((name, base))
                            .or_insert(format!("{method} {path}: {hostile:?}, and not {honest:?}"));
                    }
                }
            }
        }
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
}

/// Of a server that is none of the person's. Who names a call service, a manager or where an invitation
/// is signed chooses how its path begins.
const STRANGERS: [&str; 9] = [
    "https://strange.example",
    "https://strange.example:8443/base",
    "https://strange.example//a;b=c",
    "https://strange.example/_matrix/client/v3",
    "https://strange.example/_matrix/client/v3/room_keys",
    "https://strange.example/_synapse/admin",
    "https://strange.example/.well-known/matrix/client",
    "https://hs.example.org.",
    "https://hs.example.org:8448",
];

/// A session's name as Element has it, and as it leaves.
const NAMED: [&str; 2] =
    [r#""initial_device_display_name":"x on y""#, r#""initial_device_display_name":"Element""#];

/// Has the members of a token and is what a call service is sent.
const TOKEN: &str = r#"{"room_id":"!r:x","openid_token":{"access_token":"a-token-of-openid","matrix_server_name":"hs.example.org"},"member":{"claimed_device_id":"D"}}"#;

#[test]
fn what_is_written_to_a_stranger_is_judged_as_at_a_homeserver_and_as_a_strangers() {
    let writes: Vec<_> =
        some(requests()).into_iter().filter(|(method, _)| *method != "GET").collect();
    let mut weaker = BTreeMap::new();
    for (name, settings) in settings() {
        for body in TELLING {
            let mut own = begun(&settings, HS);
            let expected: Vec<_> = writes
                .iter()
                .map(|(method, path)| (method, path, request(&mut own, method, HS, path, body)))
                .filter(|(_, path, outcome)| outcome.is_minded(&format!("{path} {body}")))
                .collect();
            for base in STRANGERS {
                let mut engine = begun(&settings, HS);
                for (method, path, own) in &expected {
                    let strange = request(&mut engine, method, base, path, body);
                    // Of a stranger's a sign-in is known by its shape.
                    let named = own.told.replace(NAMED[0], NAMED[1]);
                    let named = Outcome { told: named, ..own.clone() };
                    if !strange.is_as_strict_as(own) && !strange.is_as_strict_as(&named) {
                        weaker
                            .entry((name, base))
                            .or_insert(format!("{method} {path}: {strange:?}, and not {own:?}"));
                    }
                }
            }
        }
        let (takes_tokens, takes_any) = match name {
            "strict" | "third-party" => (false, false),
            "recommended" | "integrations" => (false, true),
            _ => continue,
        };
        for base in STRANGERS {
            let mut engine = begun(&settings, HS);
            for (method, path) in &writes {
                for (body, may_go) in [(TOKEN, takes_tokens), ("{}", takes_any)] {
                    let found = request(&mut engine, method, base, path, body);
                    let is_asked = found.handlers.iter().any(|one| one.contains("call-server"));
                    if found.is_sent && !is_asked && !may_go {
                        weaker.entry((name, base)).or_insert(format!("{method} {path}: {found:?}"));
                    }
                }
            }
        }
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
}

/// What a server says, and where.
type Said = (&'static str, String, String);

fn config(text: &str) -> Said {
    ("GET", format!("{SITE}config.json"), text.to_owned())
}

fn known(host: &str, text: &str) -> Said {
    ("GET", format!("https://{host}/.well-known/matrix/client"), text.to_owned())
}

fn sync(text: &str) -> Said {
    ("GET", format!("{HS}/_matrix/client/v3/sync?timeout=0"), text.to_owned())
}

/// In which a manager, a bug report service and a call server are named, and nothing else.
fn honest() -> Vec<Said> {
    vec![
        config(
            r#"{"integrations_ui_url":"https://m.example/","integrations_rest_url":"https://m.example/api","bug_report_endpoint_url":"https://reports.example/api/submit"}"#,
        ),
        known("hs.example.org", r#"{"m.homeserver":{"base_url":"https://hs.example.org"}}"#),
        sync(r#"{"next_batch":"s1","account_data":{"events":[]}}"#),
    ]
}

/// By their names: what is said beside, or after, the honest things.
fn worlds() -> Vec<(String, Vec<Said>)> {
    let listed = |url: &dyn Fn(usize) -> String| {
        let urls: Vec<_> = (0..300).map(|at| format!("\"{}\"", url(at))).collect();
        urls.join(",")
    };
    let many = listed(&|at| format!("https://m{at}.example/"));
    let same = listed(&|_| "https://hs.example.org/_matrix/client/v3".to_owned());
    let mut worlds: Vec<(String, Vec<Said>)> = Vec::new();
    for value in [
        "null",
        "7",
        "[]",
        "{}",
        "\"\"",
        "\"https://\"",
        "\"https://m.example\"",
        "\"https://chat.example.org/\"",
        "\"https://chat.example.org/app/bundles\"",
        "\"https://hs.example.org/\"",
        "\"https://hs.example.org/_matrix/client/v3\"",
        "\" https:\\\\\\\\m.example\"",
        "[null,7,{},[],\"x\",\"https://chat.example.org/app\"]",
        "{\"__proto__\":null,\"toString\":1}",
        &format!("[{many}]"),
        &format!("[{same}]"),
    ] {
        for key in [
            "integrations_ui_url",
            "integrations_rest_url",
            "integrations_widgets_urls",
            "integrationsWidgetsUrls",
            "bug_report_endpoint_url",
            "default_server_config",
            "__proto__",
            "constructor",
            "setting_defaults",
            "features",
            "element_call",
            "jitsi",
            "room_directory",
            "enable_client_well_known_lookups",
        ] {
            worlds.push((
                format!("config {key} {value:.60}"),
                vec![config(&format!("{{\"{key}\":{value}}}"))],
            ));
        }
        for key in [
            "m.homeserver",
            "m.identity_server",
            "m.integrations",
            "m.authentication",
            "org.matrix.msc2965.authentication",
            "org.matrix.msc4143.rtc_foci",
            "io.element.jitsi",
            "m.tile_server",
            "__proto__",
        ] {
            let text = format!("{{\"{key}\":{value}}}");
            let inner = format!(
                r#"{{"{key}":{{"base_url":{value},"managers":[{{"api_url":{value},"ui_url":{value}}}],"issuer":{value},"preferred_domain":{value}}}}}"#
            );
            let mut said = vec![known("evil.example", &text), known("evil.example", &inner)];
            // Where one signs in one's own homeserver may say, and then it is no stranger's.
            if !key.ends_with("authentication") || !value.contains("m.example") {
                said.extend([known("hs.example.org", &text), known("hs.example.org", &inner)]);
            }
            worlds.push((format!("well-known {key} {value:.60}"), said));
        }
        for kind in [
            "m.widgets",
            "m.identity_server",
            "im.vector.web.settings",
            "im.vector.setting.integration_provisioning",
            "im.vector.setting.breadcrumbs",
            "io.element.recent_emoji",
            "m.media_preview_config",
            "m.push_rules",
            "io.example.unknown",
        ] {
            let event = format!(r#"{{"type":"{kind}","content":{value}}}"#);
            let with = |content: &str| {
                sync(&format!(
                    r#"{{"account_data":{{"events":[{event},7,null,{{"type":"{kind}","content":{content}}}]}}}}"#
                ))
            };
            let content = format!(
                r#"{{"base_url":{value},"integrationProvisioning":true,"w":{{"type":"m.integration_manager","content":{{"type":"m.integration_manager","url":{value},"data":{{"api_url":{value}}}}}}}}}"#
            );
            worlds.push((format!("sync {kind} {value:.60}"), vec![with("{}"), with(&content)]));
        }
        for key in ["account_data", "rooms", "extensions", "__proto__", "presence"] {
            worlds.push((
                format!("sync {key} {value:.60}"),
                vec![sync(&format!("{{\"{key}\":{value}}}"))],
            ));
        }
    }
    worlds.push((
        "sign-in at evil.example".to_owned(),
        vec![
            (
                "POST",
                format!("{HS}/_matrix/client/v3/login"),
                r#"{"user_id":"@x:y","well_known":{"m.homeserver":{"base_url":"https://evil.example/#"},"m.integrations":{"managers":[{"api_url":"https://hs.example.org/"}]}}}"#.to_owned(),
            ),
            (
                "GET",
                format!("{HS}/_matrix/client/v1/auth_metadata"),
                r#"{"issuer":"https://chat.example.org/","token_endpoint":"https://evil.example\\@hs.example.org","registration_endpoint":7}"#.to_owned(),
            ),
            (
                "GET",
                format!("{HS}/_matrix/client/v3/voip/turnServer"),
                r#"{"uris":["stun:evil.example",7,null,"https://hs.example.org"],"username":[]}"#.to_owned(),
            ),
        ],
    ));
    worlds
}

/// All that Element does, and what becomes of it.
fn outcomes(
    engine: &mut Engine,
    requests: &[&(&'static str, String)],
) -> Vec<(String, Outcome, String)> {
    let mut outcomes = Vec::new();
    for (method, path) in requests {
        let body = TELLING.first().copied().unwrap_or_default();
        let outcome = request(engine, method, HS, path, body);
        outcomes.push((format!("{method} {path}"), outcome, format!("{path} {body}")));
    }
    for (method, url) in OTHERS {
        let body = r#"{"matrix_server_name":"hs.example.org","access_token":"a-token-of-openid"}"#;
        let outcome = request(engine, method, "", url, body);
        outcomes.push((format!("{method} {url}"), outcome, format!("{url} {body}")));
    }
    let of =
        |is_sent: bool, told: String, handlers: Vec<String>| Outcome { is_sent, told, handlers };
    for url in FRAMES {
        let told = engine.frame(url).map_or_else(|| url.to_owned(), |step| step.url);
        outcomes.push((
            format!("frame {url}"),
            of(told != "about:blank", told, Vec::new()),
            url.to_owned(),
        ));
    }
    for url in LINKS {
        let told = engine.link(url).unwrap_or_else(|| url.to_owned());
        outcomes.push((format!("link {url}"), of(true, told, Vec::new()), url.to_owned()));
    }
    for what in PROMPTS {
        let asked: Vec<_> = engine.prompt(what).iter().map(|one| format!("{one:?}")).collect();
        outcomes.push((
            format!("prompt {what}"),
            of(true, what.to_owned(), asked),
            what.to_owned(),
        ));
    }
    let urls = ["turn:evil.example", "stun:turn.matrix.org"].map(str::to_owned);
    let told = format!("{:?}", engine.peer(&urls));
    outcomes.push(("peer".to_owned(), of(true, told, Vec::new()), "None".to_owned()));
    outcomes
}

/// Of the requests to one endpoint of one area by one method, those with other parameters only where they matter.
fn some(requests: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let mut seen = BTreeMap::new();
    let endpoint = |method: &str, path: &str| {
        route(method, &Address::parse(&format!("{HS}{path}")).unwrap()).endpoint
    };
    requests
        .into_iter()
        .filter(|(method, path)| {
            let endpoint = endpoint(method, path);
            let is_of_types =
                matches!(endpoint, Endpoint::StateSend | Endpoint::Send | Endpoint::AccountData);
            let area = path.split('/').nth(2).unwrap_or_default().to_owned();
            let count = seen.entry((format!("{endpoint:?}"), area, *method)).or_insert(0);
            *count += 1;
            *count <= if is_of_types { 16 } else { 2 }
        })
        .collect()
}

/// They act where no request, frame, link, question or response of a page shows it: by rules, or in
/// the running client.
const ELSEWHERE: [&str; 4] = ["history-keys", "referrer", "request-headers", "room-pictures"];

#[test]
fn no_configuration_and_no_first_sync_makes_a_shield_less_strict() {
    let site = ["config.json", "bundles/app.js", "i18n/en.json", "version"];
    let requests = some(requests());
    let worlds = worlds();
    let together: Vec<_> = ["GET", "POST"]
        .map(|method| {
            let said = worlds.iter().flat_map(|(_, said)| said.clone());
            (format!("all of {method}"), said.filter(|one| one.0 == method).collect::<Vec<_>>())
        })
        .into();
    let mut idle = Vec::new();
    let mut weaker = BTreeMap::new();
    for (name, settings) in settings() {
        let mut fair = begun(&settings, HS);
        for (method, url, text) in &honest() {
            shown(&mut fair, method, url, text);
        }
        let mut minded = requests.iter().collect::<Vec<_>>();
        let expected = outcomes(&mut fair, &minded);
        let mut all = expected.iter();
        minded.retain(|_| all.next().is_some_and(|(_, outcome, asked)| outcome.is_minded(asked)));
        let expected = outcomes(&mut fair, &minded);
        if !expected.iter().any(|(_, outcome, asked)| outcome.is_minded(asked)) {
            idle.push(name);
        }
        // What is learned is the same whichever shields act on it.
        let is_whole = name == "strict";
        for (world, said) in together.iter().chain(worlds.iter().filter(|_| is_whole)) {
            // Before the honest things are said, and after.
            let mut lied_to = begun(&settings, HS);
            for (method, url, text) in said.iter().chain(&honest()).chain(said) {
                shown(&mut lied_to, method, url, text);
            }
            for file in site {
                let outcome = request(&mut lied_to, "GET", SITE, file, "");
                assert!(outcome.is_sent, "{name}, {world}: Element's own {file} is refused");
            }
            let found = outcomes(&mut lied_to, &minded);
            for ((what, honest, _), (_, hostile, _)) in expected.iter().zip(&found) {
                if !hostile.is_as_strict_as(honest) {
                    weaker
                        .entry((name, what.clone()))
                        .or_insert(format!("{world}: {hostile:?}, and not {honest:?}"));
                }
            }
        }
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
    idle.retain(|name| !ELSEWHERE.contains(name));
    assert_eq!(idle, [""; 0], "these shields are in no world at all");
}

/// Members of Element's configuration that are taken away or changed, each with a host that must not
/// stay in it.
const CONFIG: [(&str, &str); 17] = [
    (
        "default_server_config",
        r#"{"m.homeserver":{"base_url":"https://hs.example.org"},"m.identity_server":{"base_url":"https://canary.example"}}"#,
    ),
    ("default_is_url", r#""https://canary.example""#),
    ("integrations_ui_url", r#""https://canary.example""#),
    ("integrations_rest_url", r#""https://canary.example""#),
    ("integrations_widgets_urls", r#"["https://canary.example"]"#),
    ("map_style_url", r#""https://canary.example""#),
    ("room_directory", r#"{"servers":["canary.example"]}"#),
    ("welcome_user_id", r#""@canary:canary.example""#),
    ("posthog", r#"{"api_host":"https://canary.example"}"#),
    ("sentry", r#"{"dsn":"https://canary.example"}"#),
    ("gif", r#"{"api_url":"https://canary.example"}"#),
    ("modules", r#"["https://canary.example/x.js"]"#),
    (
        "embedded_pages",
        r#"{"welcome_url":"https://canary.example/","home_url":"//canary.example"}"#,
    ),
    (
        "setting_defaults",
        r#"{"custom_themes":[{"fonts":{"faces":[{"src":[{"url":"https://canary.example/f"}]}]}}],"notificationSound":{"url":"https://canary.example"}}"#,
    ),
    ("element_call", r#"{"guest_spa_url":"https://canary.example"}"#),
    (
        "branding",
        r#"{"auth_header_logo_url":"https://canary.example","welcome_background_url":"https://canary.example/x.png"}"#,
    ),
    ("report_event", r#"{"admin_message_md":"![canary](https://picture.example/x.png)"}"#),
];

/// What should have gone; of a picture only its name stays, as a link.
fn left(read: &serde_json::Value) -> String {
    let text = read.to_string().replace("[canary](", "[x](").replace("![x](", "canary");
    if text.contains("canary") { text } else { String::new() }
}

#[test]
fn what_is_wrong_in_a_configuration_costs_itself_alone() {
    let wrong = [
        "null",
        "7",
        "1e999",
        "[]",
        "{}",
        "\"\"",
        "\"\\ud800\"",
        "[[[[[[[[[[[[]]]]]]]]]]]]",
        "{\"__proto__\":[]}",
        "{\"servers\":7,\"custom_themes\":\"x\",\"m.identity_server\":[],\"welcome_url\":{}}",
    ];
    for (name, settings) in settings() {
        if !["recommended", "strict"].contains(&name) {
            continue;
        }
        for (key, honest) in CONFIG {
            for wrong in wrong {
                let others: Vec<_> = CONFIG
                    .iter()
                    .filter(|(other, _)| *other != key)
                    .map(|(other, value)| format!("\"{other}\":{value}"))
                    .collect();
                let others = others.join(",");
                for text in [
                    format!("{{\"{key}\":{wrong},{others}}}"),
                    format!("{{\"{key}\":{wrong},{others},\"{key}\":{honest}}}"),
                    format!("{{\"{key}\":{honest},{others},\"{key}\":{wrong}}}"),
                    format!("{{\"__proto__\":{wrong},\"{key}\":{honest},{others}}}"),
                ] {
                    let url = format!("{SITE}config.json");
                    let shown = shown(&mut engine(&settings), "GET", &url, &text);
                    // As the browser does: of repeated keys the last counts. Numbers too large and
                    // halves of letters are for browsers alone.
                    let read: serde_json::Value =
                        serde_json::from_str(&shown.replace("1e999", "1").replace("\\ud800", "x"))
                            .unwrap_or_default();
                    assert!(
                        read.is_object() && left(&read).is_empty(),
                        "{name}, {key}: {wrong}: {shown}"
                    );
                }
            }
        }
    }
}

/// Spellings of an address that lead to a server of the same name, as a URL parser leaves them.
fn spellings(url: &str) -> Vec<String> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    vec![
        format!("{scheme}://{host}.{path}"),
        format!("{scheme}://{host}:8443{path}"),
        format!("{scheme}://{host}.:8443{path}"),
        format!("{scheme}://user:word@{host}{path}"),
        format!("{scheme}://chat.example.org@{host}{path}"),
        format!("{scheme}://hs.example.org%2F@{host}.{path}"),
        format!("http://{host}{path}"),
        format!("{url}#https://chat.example.org/"),
    ]
}

#[test]
fn no_spelling_of_another_servers_address_makes_a_shield_less_strict() {
    let mut weaker = BTreeSet::new();
    for (name, settings) in settings() {
        for body in TELLING {
            for (method, url) in OTHERS {
                let plain = request(&mut begun(&settings, HS), method, url, "", body);
                for spelt in spellings(url) {
                    let hostile = request(&mut begun(&settings, HS), method, &spelt, "", body);
                    if !hostile.is_as_strict_as(&plain) {
                        weaker.insert((name, spelt));
                    }
                }
            }
        }
        for url in LINKS {
            let is_minded = |url: &str| begun(&settings, HS).link(url).is_some();
            for spelt in
                spellings(url).into_iter().filter(|spelt| is_minded(url) && !is_minded(spelt))
            {
                weaker.insert((name, spelt));
            }
        }
        for url in PROMPTS.into_iter().filter(|what| what.contains("://")) {
            let asks = |url: &str| begun(&settings, HS).prompt(url).is_some();
            for spelt in spellings(url).into_iter().filter(|spelt| asks(url) && !asks(spelt)) {
                weaker.insert((name, spelt));
            }
        }
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
}

/// IDs that a homeserver makes up and that are no segment of a path: a URL parser takes them away, the
/// last one with the segment before it.
const NO_SEGMENTS: [&str; 3] = ["", ".", ".."];

#[test]
fn an_id_that_is_no_segment_of_a_path_hides_no_request() {
    // As `new URL` leaves them.
    let folded = |path: &str, id: &str| match id {
        ".." => path.replace("rooms/!r:x/", "").replace("upload/x/ID", "upload/"),
        _ => path.replace("rooms/!r:x/", "rooms/").replace("upload/x/ID", "upload/x/"),
    };
    let mut weaker = BTreeSet::new();
    for (method, path, body) in [
        ("PUT", "client/v3/rooms/!r:x/typing/@x:y", r#"{"typing":true}"#),
        ("POST", "client/v3/rooms/!r:x/receipt/m.read/$e", "{}"),
        ("POST", "client/v3/rooms/!r:x/read_markers", r#"{"m.read":"$e"}"#),
        ("PUT", "client/v3/rooms/!r:x/state/m.room.name/", r#"{"name":"Plans"}"#),
        ("PUT", "client/unstable/org.matrix.x/rooms/!r:x/state/m.room.topic", r#"{"topic":"x"}"#),
        ("PUT", "client/v3/rooms/!r:x/state/m.room.avatar/", r#"{"url":"mxc://x/y"}"#),
        (
            "PUT",
            "client/v3/rooms/!r:x/state/m.room.member/@x:y",
            r#"{"membership":"join","displayname":"A"}"#,
        ),
        (
            "PUT",
            "client/v3/rooms/!r:x/send/m.room.message/t",
            "https://chat.example.org/app/#/room/!r",
        ),
        (
            "PUT",
            "client/v3/rooms/!r:x/send/m.call.candidates/t",
            r#"{"candidates":[{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host"}]}"#,
        ),
        ("POST", "client/v3/rooms/!r:x/invite", r#"{"medium":"email","address":"a@example.org"}"#),
        ("POST", "client/v3/rooms/!r:x/upgrade", r#"{"new_version":"11"}"#),
        ("PUT", "media/v3/upload/x/ID", "picture"),
    ] {
        for base in ["https://hs.example.org", "https://hs.example.org/_matrix/client/v3/directory"]
        {
            let mut engine = begun(r#"{"version":1,"profile":"strict"}"#, base);
            let honest = request(&mut engine, method, base, &format!("/_matrix/{path}"), body);
            assert!(honest.is_minded(&format!("/_matrix/{path} {body}")), "{path}");
            for id in NO_SEGMENTS {
                let path = format!("/_matrix/{}", folded(path, id));
                if request(&mut engine, method, base, &path, body).is_sent {
                    weaker.insert(format!("{method} {base}{path}"));
                }
            }
        }
    }
    assert!(weaker.is_empty(), "{weaker:#?}");
}
