//! Services that chats do not need, and everything that is neither Element's site nor a homeserver.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used)]

use mantle_shields::Engine;
use mantle_shields::verdict::{Action, flag};

const STRICT: &str = r#"{"version":1,"profile":"strict"}"#;

fn with(settings: Option<&str>) -> Engine {
    let mut engine = Engine::new("https://chat.example.org/app/#/home");
    engine.apply_settings(settings, None);
    engine
}

/// The shield that refuses it in words, with a Matrix error that is not about the session.
fn refused(engine: &mut Engine, method: &str, url: &str) -> Option<&'static str> {
    if engine.decide(method, url) & flag::REPLY == 0 {
        return None;
    }
    let (shield, reply) = engine.take_reply().unwrap();
    assert_eq!(reply.status, 403, "{url}");
    assert!(reply.body.contains("M_FORBIDDEN"), "{url}");
    Some(shield)
}

const EXTRAS: [&str; 4] = [
    "https://api.klipy.com/v2/search?q=cats",
    "https://klipy.com/",
    "https://riot.im/github/repos/element-hq/element-web/compare/a...b",
    "https://slidingsync.example.org/client/server.json",
];
const OTHERS: [&str; 5] = [
    "https://www.recaptcha.net/recaptcha/api.js",
    "https://widget.example.org/?user=%40a%3Ahs.example.org",
    "https://riot.im/",
    "https://riot.im.example.org/github/x",
    "https://meet.element.io/.well-known/element/jitsi",
];
/// What a session needs, whatever the profile.
const NEEDED: [&str; 9] = [
    "https://chat.example.org/app/config.json",
    "https://chat.example.org/client/server.json",
    "https://hs.example.org/_matrix/client/versions",
    "https://hs.example.org/_matrix/media/v3/download/a/b",
    "https://hs.example.org/_matrix/client/unstable/org.example/new",
    "https://typed.example.net/.well-known/matrix/client",
    "https://auth.example.org/.well-known/openid-configuration",
    "https://hs.example.org/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
    "https://hs.example.org/_synapse/client/pick_username",
];

/// After a start at `hs.example.org`, where one signs in at `auth.example.org`.
fn used(settings: Option<&str>) -> Engine {
    let mut engine = with(settings);
    let metadata = "https://hs.example.org/_matrix/client/v1/auth_metadata";
    engine.decide("GET", metadata);
    engine.response("GET", metadata, 200, br#"{"issuer":"https://auth.example.org/"}"#);
    engine
}

#[test]
fn matrix_paths_that_only_homeservers_have_lead_to_those_in_use() {
    for path in [
        "_matrix/client/unstable/org.example/new",
        "_matrix/brand/new",
        "_matrix/federation/v1/version",
        "_synapse/admin/v1/x",
        ".well-known/openid-configuration",
        "app/config.json",
        "config.other.example.json",
    ] {
        let stranger = format!("https://x.example/{path}");
        let own = format!("https://hs.example.org/{path}");
        assert_eq!(refused(&mut used(None), "GET", &stranger), None, "{path}");
        assert_eq!(
            refused(&mut used(Some(STRICT)), "GET", &stranger),
            Some("third-party"),
            "{path}"
        );
        assert_eq!(refused(&mut used(Some(STRICT)), "GET", &own), None, "{path}");
    }
}

#[test]
fn extra_services_are_refused_in_every_profile() {
    for settings in [None, Some(STRICT)] {
        for url in EXTRAS {
            assert_eq!(refused(&mut with(settings), "GET", url), Some("extras"), "{url}");
        }
        for url in NEEDED {
            assert_eq!(refused(&mut used(settings), "GET", url), None, "{url} {settings:?}");
        }
    }
    let allowed = r#"{"version":1,"allow":{"extras":["api.klipy.com"]}}"#;
    assert_eq!(refused(&mut with(Some(allowed)), "GET", EXTRAS[0]), None);
    assert_eq!(refused(&mut with(Some(allowed)), "GET", EXTRAS[3]), Some("extras"));
}

#[test]
fn strict_talks_to_nobody_else() {
    for url in OTHERS {
        // Who asks for Element's own Jitsi hosts is another shield's.
        if !url.contains("/.well-known/") {
            assert_eq!(refused(&mut with(None), "GET", url), None, "{url}");
            let strict = refused(&mut with(Some(STRICT)), "GET", url);
            assert_eq!(strict, Some("third-party"), "{url}");
        }
    }
    let jitsi = "https://meet.example.net/.well-known/element/jitsi";
    assert_eq!(refused(&mut with(Some(STRICT)), "GET", jitsi), Some("third-party"));
    assert_eq!(refused(&mut with(Some(STRICT)), "POST", OTHERS[1]), Some("third-party"));
}

#[test]
fn a_host_on_any_list_is_no_third_party() {
    for list in ["third-party", "calls", "integrations", "maps", "telemetry", "extras"] {
        let settings = format!(
            r#"{{"version":1,"profile":"strict","allow":{{"{list}":["widget.example.org"]}}}}"#
        );
        let mut engine = with(Some(&settings));
        assert_eq!(refused(&mut engine, "GET", OTHERS[1]), None, "{list}");
        assert!(engine.frame(OTHERS[1]).is_none(), "{list}");
        assert_eq!(refused(&mut engine, "GET", OTHERS[0]), Some("third-party"), "{list}");
    }
}

#[test]
fn sign_in_and_calls_reach_what_the_homeserver_names() {
    let mut engine = with(Some(STRICT));
    let token = "https://auth.example.org/oauth2/token";
    let device = "https://codes.example.org/oauth2/device";
    let livekit = "https://livekit.example.org/sfu/get";
    for url in [token, device, livekit] {
        assert_eq!(refused(&mut engine, "POST", url), Some("third-party"), "{url}");
    }
    let metadata = "https://hs.example.org/_matrix/client/v1/auth_metadata";
    assert_ne!(engine.decide("GET", metadata) & flag::INSPECT_RESPONSE, 0);
    let body = br#"{"issuer":"https://auth.example.org/","token_endpoint":"https://auth.example.org/oauth2/token","device_authorization_endpoint":"https://codes.example.org/oauth2/device"}"#;
    assert_eq!(engine.response("GET", metadata, 200, body), None, "an answer that stays as it is");
    let well_known = "https://hs.example.org/.well-known/matrix/client";
    let foci = br#"{"org.matrix.msc4143.rtc_foci":[{"type":"livekit","livekit_service_url":"https://livekit.example.org"}]}"#;
    engine.response("GET", well_known, 200, foci);
    // Calls come after signing in, at a server that is one's own by then.
    assert_eq!(refused(&mut engine, "POST", livekit), Some("third-party"));
    for url in [token, device] {
        assert_eq!(refused(&mut engine, "POST", url), None, "{url}");
    }
    engine.decide("GET", "https://hs.example.org/_matrix/client/v3/account/whoami");
    for url in [token, device, livekit] {
        assert_eq!(refused(&mut engine, "POST", url), None, "{url}");
    }
    // Or by its own list of call servers, where a list of the person's does not name them.
    let transports =
        "https://hs.example.org/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    assert_ne!(engine.decide("GET", transports) & flag::INSPECT_RESPONSE, 0);
    let other = "https://sfu.example.org/sfu/get";
    assert_eq!(refused(&mut engine, "POST", other), Some("third-party"));
    let list = br#"{"rtc_transports":[{"type":"livekit","livekit_service_url":"https://sfu.example.org"}]}"#;
    engine.response("GET", transports, 200, list);
    assert_eq!(refused(&mut engine, "POST", other), None);
    // And so does the core that follows a trap.
    let memory = engine.memory().unwrap();
    let mut next = with(Some(STRICT));
    next.remember(&memory);
    assert_eq!(refused(&mut next, "POST", token), None);
}

#[test]
fn frames_and_scripts_come_from_the_own_site() {
    let captcha = "https://www.recaptcha.net/recaptcha/api.js?onload=x";
    assert!(with(None).frame(captcha).is_none());
    let mut engine = with(Some(STRICT));
    let step = engine.frame(captcha).unwrap();
    assert_eq!((step.url.as_str(), step.action), ("about:blank", Action::Blocked));
    assert!(step.sentence.unwrap().contains("Third parties"));
    assert!(engine.frame("https://chat.example.org/app/usercontent/").is_none());
    // What the calls shield would only rewrite is not opened either.
    let jitsi = "https://meet.element.io/Room#userInfo.email=%40a%3Ax&config.subject=name";
    assert_eq!(with(None).frame(jitsi).unwrap().action, Action::Rewritten);
    assert_eq!(engine.frame(jitsi).unwrap().action, Action::Blocked);
    let allowed = r#"{"version":1,"profile":"strict","allow":{"calls":["meet.element.io"]}}"#;
    // `jitsi.html` opens its frame before settings came.
    let mut early = Engine::new("https://chat.example.org/jitsi.html");
    assert_eq!(early.frame(jitsi).unwrap().action, Action::Rewritten);
    let step = with(Some(allowed)).frame(jitsi).unwrap();
    assert_eq!(step.action, Action::Rewritten);
    assert!(!step.url.contains("%40a"), "{}", step.url);
    let watched = r#"{"version":1,"shields":{"third-party":"flag"}}"#;
    assert!(with(Some(watched)).frame(captcha).is_none());
}

#[test]
fn captchas_are_asked_about_unless_off() {
    let captcha = "https://www.recaptcha.net/recaptcha/api.js?onload=x&render=explicit";
    let asked = |settings: Option<&str>, url: &str| {
        with(settings).prompt(url).map(|delegate| (delegate.shield, delegate.question.is_some()))
    };
    for settings in [None, Some(STRICT)] {
        assert_eq!(asked(settings, captcha), Some(("captcha", true)), "{settings:?}");
    }
    assert_eq!(asked(None, "https://www.google.com/recaptcha/api.js"), Some(("captcha", true)));
    for mode in ["off", "flag"] {
        let settings = format!(r#"{{"shields":{{"captcha":"{mode}"}}}}"#);
        assert_eq!(asked(Some(&settings), captcha), None, "{mode}");
    }
    for url in [
        "https://www.google.com/recaptcha/about/",
        "https://recaptcha.example.net/recaptcha/api.js",
        "https://chat.example.org/recaptcha/api.js",
    ] {
        assert_eq!(asked(None, url), None, "{url}");
    }
}

#[test]
fn the_landing_page_for_phones_is_not_told_the_homeserver() {
    let told = "https://mobile.element.io/?hs_url=https%3A%2F%2Fhs.example.org";
    assert_eq!(with(None).link(told).as_deref(), Some("https://mobile.element.io/"));
    assert_eq!(with(None).link("https://mobile.element.io/"), None);
    assert_eq!(with(None).link("https://example.org/?hs_url=x"), None);
    assert_eq!(with(Some(r#"{"version":1,"shields":{"extras":"off"}}"#)).link(told), None);
}
