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

/// A foreign host, as a browser's URL parser reads each of these on a page with https.
const FOREIGN: [&str; 13] = [
    "https://pages.example.net/x",
    "HTTPS://pages.example.net/x",
    "//pages.example.net/x",
    " https://pages.example.net/x",
    "\u{1}\nhttps://pages.example.net/x",
    "ht\ttps:/\n/pages.example.net/x",
    "/\t/pages.example.net/x",
    "https:\\\\pages.example.net\\x",
    "/\\pages.example.net/x",
    "\\\\pages.example.net/x",
    "http:pages.example.net/x",
    "https://chat.example.org@pages.example.net/x",
    "https://pages.example.net\\@chat.example.org/x",
];

/// Where Element loads from what its configuration names, by every spelling of its keys.
const LOADED: [&str; 22] = [
    "custom_translations_url",
    "customTranslationsUrl",
    "embedded_pages/welcome_url",
    "embedded_pages/welcomeUrl",
    "embeddedPages/welcome_url",
    "embeddedPages/welcomeUrl",
    "embedded_pages/home_url",
    "embeddedPages/home_url",
    "branding/auth_header_logo_url",
    "branding/authHeaderLogoUrl",
    "branding/welcome_background_url",
    "branding/welcomeBackgroundUrl",
    "desktop_builds/logo",
    "desktopBuilds/logo",
    "host_signup/url",
    "hostSignup/url",
    "element_call/guest_spa_url",
    "elementCall/guestSpaUrl",
    "element_call/guestSpaUrl",
    "setting_defaults/Developer.elementCallUrl",
    "settingDefaults/Developer.elementCallUrl",
    "setting_defaults/notificationSound/url",
];

#[test]
fn what_element_loads_is_judged_as_the_browser_reads_its_address() {
    for path in LOADED {
        for url in FOREIGN {
            let result = after(None, "GET", CONFIG, &object(path, &json!(url)));
            assert_eq!(at(&result, path), None, "{path} of {url:?}");
        }
        for url in ["a/b.html", "/b.html", "https://chat.example.org/b.html"] {
            let body = object(path, &json!(url));
            assert_eq!(at(&after(None, "GET", CONFIG, &body), path), Some(&json!(url)), "{path}");
        }
    }
    for url in FOREIGN {
        for list in ["modules", "branding/welcome_background_url"] {
            let body = object(list, &json!([url, [url], "own/1.js", [[url]]]));
            let result = after(None, "GET", CONFIG, &body);
            assert_eq!(at(&result, list), Some(&json!(["own/1.js"])), "{list} of {url:?}");
        }
    }
}

#[test]
fn what_goes_into_a_style_sheet_is_read_as_one() {
    // Element puts it between `url(` and `)`.
    for text in [
        "\\68ttps://pages.example.net/x",
        "\\2f\\2fpages.example.net/x",
        "a.png), url(https://pages.example.net/x",
        "a.png\"), url(\"https://pages.example.net/x",
    ] {
        let path = "branding/welcome_background_url";
        let result = after(None, "GET", CONFIG, &object(path, &json!([text, "b.png"])));
        assert_eq!(at(&result, path), Some(&json!(["b.png"])), "{text}");
    }
}

#[test]
fn a_theme_loads_nothing_from_elsewhere_and_keeps_the_rest() {
    let theme = |url: &str, family: &str, colour: &str| {
        json!([{
            "name": "Night: deep",
            "is_dark": true,
            "fonts": {
                "faces": [
                    { "font-family": family, "src": [{ "url": url, "format": "woff2" }, { "local": "Inter" }] },
                    { "font-family": "Own", "src": [{ "url": "fonts/own.woff2" }, { "url": "data:font/woff2;base64,AA==" }] }
                ],
                "general": "\"Own\", 'Inter', sans-serif"
            },
            "colors": {
                "accent-color": colour,
                "username-colors": ["#ff0000", colour],
                "roomlist-text-color": "rgb(0 0 0 / 50%)"
            },
            "compound": { "--cpd-color-bg-canvas-default": colour }
        }])
    };
    let own = theme("fonts/x.woff2", "Other", "#00ff00");
    for key in ["setting_defaults/custom_themes", "settingDefaults/custom_themes"] {
        let result = after(None, "GET", CONFIG, &object(key, &own));
        assert_eq!(at(&result, key), Some(&own));
        let bad = FOREIGN.iter().copied().chain([
            "\\68ttps://pages.example.net/x",
            "x\"), url(\"//pages.example.net/x",
            "x); src: url(https://pages.example.net/x",
        ]);
        for url in bad {
            let given = theme(url, "Other", "#00ff00");
            let result = after(None, "GET", CONFIG, &object(key, &given));
            let mut wanted = own.clone();
            wanted[0]["fonts"]["faces"][0]["src"] = json!([{ "local": "Inter" }]);
            assert_eq!(at(&result, key), Some(&wanted), "{url:?}");
        }
        for text in [
            "url(https://pages.example.net/x)",
            "image-set(\"//pages.example.net/x\" 1x)",
            "url(\\68ttps\\3a //pages.example.net/x)",
            "red} @import 'x';{",
            "url(/\t/pages.example.net/x)",
        ] {
            let given = theme("fonts/x.woff2", text, text);
            let result = after(None, "GET", CONFIG, &object(key, &given));
            let mut wanted = own.clone();
            let face = wanted[0]["fonts"]["faces"][0].as_object_mut().unwrap();
            face.remove("font-family");
            let colors = wanted[0]["colors"].as_object_mut().unwrap();
            colors.remove("accent-color");
            colors["username-colors"] = json!(["#ff0000"]);
            wanted[0]["compound"] = json!({});
            assert_eq!(at(&result, key), Some(&wanted), "{text:?}");
        }
    }
    // So deep that nothing in Element reads it.
    let deep = (0..20).fold(json!("//x.example"), |inner, _| json!({ "a": inner }));
    let given = object("setting_defaults/custom_themes", &deep);
    let result = after(None, "GET", CONFIG, &given);
    assert!(!result.to_string().contains("x.example"), "{result}");
}

#[test]
fn a_message_of_the_administrator_keeps_its_links_and_loses_its_pictures() {
    for key in [
        "report_event/admin_message_md",
        "reportEvent/adminMessageMD",
        "report_event/adminMessageMD",
    ] {
        let text = "Ask [us](https://help.example.net)! ![logo](https://pages.example.net/x.png) \\![a][b] !![c](d)";
        let result = after(None, "GET", CONFIG, &object(key, &json!(text)));
        let wanted = text.replace("!![", "[").replace("![", "[");
        assert_eq!(at(&result, key), Some(&json!(wanted)), "{key}");
        let plain = json!("Ask [us](https://help.example.net)!");
        assert_eq!(at(&after(None, "GET", CONFIG, &object(key, &plain)), key), Some(&plain));
    }
}

#[test]
fn links_that_a_person_follows_stay() {
    let link = json!("https://help.example.net/");
    for path in [
        "help_url",
        "help_encryption_url",
        "privacy_policy_url",
        "feedback/existing_issues_url",
        "feedback/new_issue_url",
        "desktop_builds/url",
        "mobile_builds/ios",
        "logout_redirect_url",
    ] {
        assert_eq!(at(&after(None, "GET", CONFIG, &object(path, &link)), path), Some(&link));
    }
    let links = json!([{ "text": "Help", "url": "https://help.example.net/" }]);
    for path in ["terms_and_conditions_links", "branding/auth_footer_links"] {
        assert_eq!(at(&after(None, "GET", CONFIG, &object(path, &links)), path), Some(&links));
    }
}

#[test]
fn an_allow_list_is_asked_about_the_host_that_the_browser_goes_to() {
    let settings = r#"{"allow":{"integrations":["im.example.org"],"telemetry":["im.example.org"],"maps":["im.example.org"],"identity":["im.example.org"],"extras":["im.example.org"]}}"#;
    for (path, set) in [
        ("integrations_rest_url", Some(NOTHING)),
        ("map_style_url", None),
        ("posthog/api_host", None),
        ("default_server_config/m.identity_server/base_url", None),
        ("embedded_pages/home_url", None),
    ] {
        for foreign in
            ["https://evil.example\\@im.example.org/x", "https://evil.example\\.@im.example.org"]
        {
            let result = after(Some(settings), "GET", CONFIG, &object(path, &json!(foreign)));
            assert_eq!(at(&result, path), set.as_ref(), "{path} of {foreign}");
        }
        for own in ["https://im.example.org/x", " https://IM.example.org:443/x\n"] {
            let result = after(Some(settings), "GET", CONFIG, &object(path, &json!(own)));
            assert_eq!(at(&result, path), Some(&json!(own)), "{path} of {own}");
        }
    }
}
