//! Element's configuration and `.well-known`, key by key as section 15 of the leak catalogue lists
//! the levers: what comes in, what Element gets.
//!
//! Left alone on purpose: `UIFeature.thirdPartyId` and `disable_3pid_login`, which take e-mail
//! management away and tell only the homeserver; `UIFeature.shareQrCode`, drawn in the page;
//! `element_call.url`, whose frame the calls shield refuses in words; `rtc_foci`, the homeserver's
//! own; `io.element.e2ee`, which `room-defaults` sees to; `oidc_static_clients`, agreed with the
//! auth server; `enable_presence_by_hs_url`, which hides only others' presence.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use mantle_shields::Engine;
use serde_json::{Value, json};

const CONFIG: &str = "https://chat.example.org/app/config.chat.example.org.json?cachebuster=1";
const WELL_KNOWN: &str = "https://hs.example.org/.well-known/matrix/client";
const STRICT: &str = r#"{"version":1,"profile":"strict"}"#;

fn after(settings: Option<&str>, method: &str, url: &str, body: &Value) -> Value {
    let mut engine = Engine::new("https://chat.example.org/app/#/home");
    engine.apply_settings(settings, None);
    engine.decide(method, url);
    let bytes = body.to_string().into_bytes();
    engine
        .response(method, url, 200, &bytes)
        .map_or_else(|| body.clone(), |changed| serde_json::from_slice(&changed).unwrap())
}

/// An object that has this value at the end of this path of keys.
fn object(path: &str, value: &Value) -> Value {
    path.rsplit('/').fold(value.clone(), |inner, key| json!({ key: inner }))
}

fn at<'a>(whole: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').try_fold(whole, |value, key| value.get(key))
}

/// Rows of the table: where, what is there, what Element gets (`None`: nothing).
type Row = (&'static str, Value, Option<Value>);

fn check(settings: Option<&str>, url: &str, rows: &[Row]) {
    for (path, given, wanted) in rows {
        let mut body = object(path, given);
        // Something else beside it stays, and an absent key is no empty file.
        body["org.example"] = json!({ "kept": [1, "ü", null] });
        if given.is_null() {
            body = json!({ "org.example": body["org.example"] });
        }
        let result = after(settings, "GET", url, &body);
        assert_eq!(at(&result, path), wanted.as_ref(), "{path} of {given} with {settings:?}");
        assert_eq!(result["org.example"], body["org.example"], "{path}");
        // The same once more changes nothing.
        assert_eq!(after(settings, "GET", url, &result), result, "{path} twice");
    }
}

const NOTHING: Value = Value::Null;

/// What Element gets for each key of `config.json` under the recommended profile.
fn recommended() -> Vec<Row> {
    let is = json!({ "base_url": "https://vector.im" });
    let foreign = json!("https://pages.example.net/x");
    let mut rows = vec![
        ("default_server_config/m.identity_server", is.clone(), None),
        ("defaultServerConfig/m.identity_server", is, None),
        ("default_is_url", json!("https://vector.im"), None),
        ("defaultIsUrl", json!("https://vector.im"), None),
        // A missing key means scalar.
        ("integrations_ui_url", NOTHING, Some(NOTHING)),
        ("integrations_ui_url", json!("https://scalar.vector.im/"), Some(NOTHING)),
        ("integrations_rest_url", NOTHING, Some(NOTHING)),
        ("integrations_rest_url", json!("https://scalar.vector.im/api"), Some(NOTHING)),
        ("integrations_widgets_urls", json!(["https://scalar.vector.im/api"]), Some(json!([]))),
        ("integrationsUiUrl", foreign.clone(), None),
        ("integrationsRestUrl", foreign.clone(), None),
        ("integrationsWidgetsUrls", json!(["https://scalar.vector.im/api"]), None),
        (
            "setting_defaults/MessageComposerInput.showStickersButton",
            json!(true),
            Some(json!(false)),
        ),
        // In recommended, widgets and Jitsi work.
        ("setting_defaults/UIFeature.widgets", json!(true), Some(json!(true))),
        ("jitsi/preferred_domain", json!("meet.element.io"), Some(json!("meet.element.io"))),
        ("disable_guests", json!(false), Some(json!(false))),
        ("element_call/guest_spa_url", foreign.clone(), None),
        ("element_call/guest_spa_url", json!("/guest"), Some(json!("/guest"))),
        ("widget_build_url", foreign.clone(), None),
        ("widgetBuildUrl", foreign.clone(), None),
        ("audio_stream_url", foreign.clone(), None),
        ("audioStreamUrl", foreign.clone(), None),
        ("voip/obey_asserted_identity", json!(true), Some(json!(false))),
        ("voip/obey_asserted_identity", NOTHING, None),
        ("setting_defaults/webRtcForceTURN", json!(false), Some(json!(true))),
        // The name that is not read is not written either.
        ("setting_defaults/webRtcAllowPeerToPeer", json!(true), Some(json!(true))),
        ("setting_defaults/sendReadReceipts", json!(true), Some(json!(false))),
        ("setting_defaults/dontSendTypingNotifications", json!(false), Some(json!(true))),
        ("setting_defaults/sendTypingNotifications", json!(true), Some(json!(false))),
        ("setting_defaults/urlPreviewsEnabled", json!(true), Some(json!(false))),
        ("setting_defaults/UIFeature.urlPreviews", json!(true), Some(json!(false))),
        ("setting_defaults/UIFeature.identityServer", json!(true), Some(json!(false))),
        ("setting_defaults/UIFeature.thirdPartyId", json!(true), Some(json!(true))),
        ("setting_defaults/UIFeature.locationSharing", json!(true), Some(json!(false))),
        ("map_style_url", foreign.clone(), None),
        ("mapStyleUrl", foreign.clone(), None),
        // Each report is asked about.
        ("setting_defaults/UIFeature.feedback", json!(true), Some(json!(true))),
        ("bug_report_endpoint_url", foreign.clone(), Some(foreign.clone())),
        ("bugReportEndpointUrl", foreign.clone(), Some(foreign.clone())),
        ("posthog", json!({ "api_host": "https://posthog.element.io" }), None),
        ("sentry", json!({ "dsn": "https://0@sentry.tools.element.io/6" }), None),
        ("piwik", json!(true), None),
        ("analytics_owner", json!("Element"), None),
        ("uisi_autorageshake_app", json!("element-auto-uisi"), None),
        ("uisiAutorageshakeApp", json!("element-auto-uisi"), None),
        ("default_device_display_name", json!("at %h"), Some(json!("Element"))),
        ("default_device_display_name", NOTHING, Some(json!("Element"))),
        ("defaultDeviceDisplayName", json!("at %h"), None),
        ("oidc_metadata/contacts", json!(["me@example.org"]), None),
        ("room_directory/servers", json!(["matrix.org"]), Some(json!([]))),
        // Approves in a person's name that widgets are told who they are.
        (
            "net.nordeck.element_web.module.widget_lifecycle",
            json!({"widget_permissions": {"https://widget.example.net/*": {"identity_approved": true}}}),
            None,
        ),
        ("roomDirectory", json!({ "servers": ["matrix.org"] }), Some(json!({}))),
        ("permalink_prefix", NOTHING, Some(json!("https://chat.example.org/app"))),
        (
            "permalink_prefix",
            json!("https://own.example.org"),
            Some(json!("https://own.example.org")),
        ),
        ("setting_defaults/UIFeature.shareSocial", json!(true), Some(json!(false))),
        ("welcome_user_id", json!("@riot-bot:matrix.org"), None),
        ("welcomeUserId", json!("@riot-bot:matrix.org"), None),
        ("gif", json!({ "api_key": "k" }), None),
        ("mobile_guide_toast", json!(true), Some(json!(false))),
        ("mobile_guide_toast", NOTHING, None),
        ("mobileGuideToast", json!(true), Some(json!(false))),
        (
            "modules",
            json!([
                "/modules/a.js",
                "https://modules.example.net/b.js",
                "//modules.example.net/c.js"
            ]),
            Some(json!(["/modules/a.js"])),
        ),
        ("modules", json!([]), Some(json!([]))),
        (
            "branding/welcome_background_url",
            json!(["https://a.example.net/1", "themes/1.jpg"]),
            Some(json!(["themes/1.jpg"])),
        ),
        ("features/feature_msc4362_encrypted_state_events", json!(true), Some(json!(false))),
        ("features/feature_msc4362_encrypted_state_events", NOTHING, None),
        ("features/feature_sliding_sync", json!(true), Some(json!(false))),
        ("setting_defaults/lowBandwidth", json!(true), Some(json!(false))),
        ("setting_defaults/lowBandwidth", NOTHING, None),
    ];
    for key in [
        "automaticKeyBackNotEnabledReporting",
        "automaticDecryptionErrorReporting",
        "automaticErrorReporting",
        "analyticsOptIn",
        "Performance.addSendMessageTimingMetadata",
    ] {
        let path: &'static str = Box::leak(format!("setting_defaults/{key}").into_boxed_str());
        rows.push((path, json!(true), Some(json!(false))));
    }
    // Each may name a site of its own; what lies beside Element stays.
    for path in [
        "custom_translations_url",
        "customTranslationsUrl",
        "embedded_pages/welcome_url",
        "embedded_pages/home_url",
        "embeddedPages/welcomeUrl",
        "embeddedPages/homeUrl",
        "branding/auth_header_logo_url",
        "branding/authHeaderLogoUrl",
        "branding/welcome_background_url",
        "branding/welcomeBackgroundUrl",
    ] {
        for url in
            ["https://pages.example.net/x", "HTTPS://pages.example.net/x", "//pages.example.net/x"]
        {
            rows.push((path, json!(url), None));
        }
        for url in ["home.html", "/home.html", "https://chat.example.org/home.html"] {
            rows.push((path, json!(url), Some(json!(url))));
        }
    }
    rows
}

#[test]
fn every_lever_of_config_json() {
    check(None, CONFIG, &recommended());
}

#[test]
fn every_lever_of_config_json_in_strict() {
    let strict = [
        ("setting_defaults/UIFeature.widgets", json!(true), Some(json!(false))),
        ("disable_guests", json!(false), Some(json!(true))),
        // Objects cannot be taken away; a missing domain means Element's own.
        ("jitsi/preferred_domain", json!("meet.element.io"), Some(json!("jitsi.invalid"))),
        ("jitsi/preferred_domain", NOTHING, Some(json!("jitsi.invalid"))),
        ("jitsi/preferredDomain", json!("meet.example.net"), None),
        ("setting_defaults/UIFeature.feedback", json!(true), Some(json!(false))),
        ("bug_report_endpoint_url", json!("https://bugs.example.net/submit"), None),
        ("bugReportEndpointUrl", json!("https://bugs.example.net/submit"), None),
    ];
    check(Some(STRICT), CONFIG, &strict);
    let others: Vec<_> = recommended()
        .into_iter()
        .filter(|(path, ..)| strict.iter().all(|(changed, ..)| changed != path))
        .collect();
    check(Some(STRICT), CONFIG, &others);
}

#[test]
fn every_lever_of_well_known() {
    let manager = json!({ "managers": [{ "api_url": "https://im.example.net/api" }] });
    let tiles = json!({ "map_style_url": "https://api.maptiler.com/style.json" });
    let rows = [
        ("m.identity_server", json!({ "base_url": "https://vector.im" }), None),
        ("m.integrations", manager, Some(json!({ "managers": [] }))),
        ("m.integrations", NOTHING, None),
        ("io.element.call_behaviour", json!({ "widget_build_url": "https://x.example.net" }), None),
        ("m.tile_server", tiles.clone(), None),
        ("org.matrix.msc3488.tile_server", tiles, None),
        ("io.element.voip/disable_fallback_ice", NOTHING, Some(json!(true))),
        ("io.element.voip/disable_fallback_ice", json!(false), Some(json!(true))),
        ("org.matrix.msc3575.proxy", json!({ "url": "https://slidingsync.example.org" }), None),
        ("io.element.embedded_pages/home_url", json!("https://pages.example.net/"), None),
        (
            "io.element.jitsi/preferredDomain",
            json!("meet.example.net"),
            Some(json!("meet.example.net")),
        ),
        (
            "org.matrix.msc4143.rtc_foci",
            json!([{ "livekit_service_url": "https://livekit.example.org" }]),
            Some(json!([{ "livekit_service_url": "https://livekit.example.org" }])),
        ),
    ];
    check(None, WELL_KNOWN, &rows);
    let strict = [
        (
            "io.element.jitsi/preferredDomain",
            json!("meet.example.net"),
            Some(json!("jitsi.invalid")),
        ),
        (
            "im.vector.riot.jitsi/preferredDomain",
            json!("meet.example.net"),
            Some(json!("jitsi.invalid")),
        ),
        ("io.element.jitsi/preferredDomain", NOTHING, None),
    ];
    check(Some(STRICT), WELL_KNOWN, &strict);
}

#[test]
fn what_is_on_a_list_stays() {
    for (settings, url, path, value) in [
        (
            r#"{"allow":{"directory":["rooms.example.net"]}}"#,
            CONFIG,
            "room_directory/servers",
            json!(["rooms.example.net"]),
        ),
        (
            r#"{"allow":{"extras":["pages.example.net"]}}"#,
            CONFIG,
            "embedded_pages/home_url",
            json!("https://pages.example.net/x"),
        ),
        (
            r#"{"allow":{"extras":["modules.example.net"]}}"#,
            CONFIG,
            "modules",
            json!(["https://modules.example.net/b.js"]),
        ),
        (
            r#"{"allow":{"calls":["turn.matrix.org"]}}"#,
            WELL_KNOWN,
            "io.element.voip/disable_fallback_ice",
            json!(false),
        ),
        (
            r#"{"options":{"calls":{"direct":true}}}"#,
            CONFIG,
            "setting_defaults/webRtcForceTURN",
            json!(false),
        ),
        (
            r#"{"profile":"strict","allow":{"calls":["meet.example.net"]}}"#,
            CONFIG,
            "jitsi/preferred_domain",
            json!("meet.example.net"),
        ),
        (
            r#"{"profile":"strict","allow":{"third-party":["meet.example.net"]}}"#,
            WELL_KNOWN,
            "io.element.jitsi/preferredDomain",
            json!("meet.example.net"),
        ),
        (
            r#"{"profile":"strict","allow":{"calls":["meet.example.net"]}}"#,
            CONFIG,
            "jitsi/preferredDomain",
            json!("meet.example.net"),
        ),
        (
            r#"{"profile":"strict","allow":{"third-party":["widget.example.net"]}}"#,
            CONFIG,
            "setting_defaults/UIFeature.widgets",
            json!(true),
        ),
        (r#"{"shields":{"extras":"off"}}"#, CONFIG, "gif", json!({ "api_key": "k" })),
        (r#"{"shields":{"extras":"flag"}}"#, CONFIG, "gif", json!({ "api_key": "k" })),
    ] {
        let body = object(path, &value);
        assert_eq!(at(&after(Some(settings), "GET", url, &body), path), Some(&value), "{settings}");
    }
}

#[test]
fn a_sign_in_tells_of_servers_or_of_nothing() {
    let login = "https://hs.example.org/_matrix/client/v3/login";
    let plain = json!({ "user_id": "@a:hs.example.org", "access_token": "t", "device_id": "D" });
    assert_eq!(after(None, "POST", login, &plain), plain);
    let homeserver = json!({ "m.homeserver": { "base_url": "https://hs.example.org" } });
    let mut named = plain.clone();
    named["well_known"] = homeserver.clone();
    named["well_known"]["org.matrix.msc3575.proxy"] = json!({ "url": "https://x.example.net" });
    assert_eq!(after(None, "POST", login, &named)["well_known"], homeserver);
}
