//! The engine as the hooks drive it: every path the catalogue names for the
//! shields that stand, in and out as the wire has them.

// A test that fails to set up has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use mantle_shields::verdict::{Handler, flag};
use mantle_shields::{Effect, Engine};
use serde_json::{Value, json};

const HS: &str = "https://hs.example.org/base/_matrix/client/v3";

fn engine() -> Engine {
    with(None)
}

fn with(stored: Option<&str>) -> Engine {
    let mut engine = Engine::new("https://chat.example.org/app/#/home");
    engine.apply_settings(stored, None);
    engine
}

/// What the hooks would do with a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Sent,
    Rewritten(String),
    Replied(u16, Value),
}

fn send(engine: &mut Engine, method: &str, url: &str, headers: &str, body: &[u8]) -> Outcome {
    let mut flags = engine.decide(method, url);
    if flags & flag::NEEDS_BODY != 0 {
        flags = engine.decide_body(method, url, headers, body);
    }
    if flags & flag::REPLY != 0 {
        let (_, reply) = engine.take_reply().unwrap();
        return Outcome::Replied(reply.status, serde_json::from_str(&reply.body).unwrap());
    }
    if flags & flag::REWRITTEN != 0 {
        return Outcome::Rewritten(String::from_utf8(engine.take_body().unwrap()).unwrap());
    }
    Outcome::Sent
}

/// Where a request without a body goes.
fn target(engine: &mut Engine, method: &str, url: &str) -> Option<String> {
    let flags = engine.decide(method, url);
    assert_eq!(flags & (flag::REPLY | flag::NEEDS_BODY), 0, "{url}");
    (flags & flag::REDIRECT != 0).then(|| engine.take_url().unwrap())
}

fn post(engine: &mut Engine, path: &str, body: &str) -> Outcome {
    send(engine, "POST", &format!("{HS}{path}"), "", body.as_bytes())
}

fn errcode(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Replied(_, body) => body["errcode"].as_str().unwrap_or("none"),
        _ => "none",
    }
}

fn records(engine: &mut Engine) -> Vec<Value> {
    engine.effects(1).iter().map(|effect| serde_json::to_value(effect).unwrap()).collect()
}

#[test]
fn every_identity_path_gets_its_quiet_answer() {
    let mut engine = engine();
    for host in ["vector.im", "matrix.org", "is.example.net:8090"] {
        let base = format!("https://{host}/_matrix/identity");
        for (method, path, status, body) in [
            ("GET", "/v2", 200, json!({})),
            ("GET", "/api/v1", 200, json!({})),
            ("GET", "/versions", 200, json!({"versions": []})),
            (
                "GET",
                "/v2/hash_details",
                200,
                json!({"algorithms": ["sha256"], "lookup_pepper": "x"}),
            ),
            ("POST", "/v2/lookup", 200, json!({"mappings": {}})),
            ("GET", "/api/v1/lookup?medium=email&address=a%40b", 200, json!({})),
            ("POST", "/api/v1/bulk_lookup", 200, json!({"threepids": []})),
        ] {
            let outcome = send(&mut engine, method, &format!("{base}{path}"), "", b"");
            assert_eq!(outcome, Outcome::Replied(status, body), "{method} {path}");
        }
        for (method, path) in [
            ("POST", "/v2/account/register"),
            ("GET", "/v2/account"),
            ("POST", "/v2/account/logout"),
            ("GET", "/v2/terms"),
            ("POST", "/v2/terms"),
            ("POST", "/v2/validate/email/requestToken"),
            ("POST", "/v2/validate/msisdn/submitToken"),
            ("GET", "/v2/validate/email/submitToken?token=1"),
            ("GET", "/v2/3pid/getValidated3pid"),
            ("POST", "/v2/3pid/bind"),
            ("POST", "/v2/3pid/unbind"),
            ("POST", "/v2/store-invite"),
            ("POST", "/v2/sign-ed25519"),
            ("GET", "/v2/pubkey/ed25519:0"),
            ("GET", "/v2/pubkey/ephemeral/isvalid"),
            ("POST", "/api/v1/validate/email/requestToken"),
            ("POST", "/api/v1/3pid/bind"),
            ("POST", "/api/v1/store-invite"),
            ("PATCH", "/v7/what/comes/next"),
        ] {
            let outcome = send(&mut engine, method, &format!("{base}{path}"), "", b"{}");
            assert_eq!(errcode(&outcome), "M_FORBIDDEN", "{method} {path}");
        }
    }
}

#[test]
fn an_allowed_identity_server_passes() {
    let mut engine = with(Some(r#"{"version":1,"allow":{"identity":["is.example.net"]}}"#));
    assert_eq!(
        send(&mut engine, "GET", "https://is.example.net/_matrix/identity/v2", "", b""),
        Outcome::Sent
    );
    assert_ne!(
        send(&mut engine, "GET", "https://vector.im/_matrix/identity/v2", "", b""),
        Outcome::Sent
    );
    let bind =
        r#"{"id_server":"is.example.net","id_access_token":"t","sid":"1","client_secret":"s"}"#;
    assert_eq!(post(&mut engine, "/account/3pid/bind", bind), Outcome::Sent);
    let invite = r#"{"id_server":"is.example.net","medium":"email","address":"a@b"}"#;
    assert_eq!(post(&mut engine, "/rooms/!r:x/invite", invite), Outcome::Sent);
}

#[test]
fn homeserver_requests_name_no_identity_server() {
    let mut engine = engine();
    for path in [
        "/register/email/requestToken",
        "/account/3pid/msisdn/requestToken",
        "/account/password/email/requestToken",
    ] {
        let body = r#"{"client_secret":"s","id_server":"vector.im","email":"a@b","id_access_token":"t","send_attempt":1}"#;
        let clean = r#"{"client_secret":"s","email":"a@b","send_attempt":1}"#;
        assert_eq!(post(&mut engine, path, body), Outcome::Rewritten(clean.into()), "{path}");
        assert_eq!(post(&mut engine, path, clean), Outcome::Sent, "{path}");
    }
    for path in [
        "/register",
        "/account/password",
        "/account/deactivate",
        "/keys/device_signing/upload",
        "/delete_devices",
        "/account/3pid/add",
    ] {
        let body = r#"{"auth":{"session":"x","threepid_creds":{"sid":"1","id_server":"vector.im","client_secret":"s","id_access_token":"t"}}}"#;
        let clean = r#"{"auth":{"session":"x","threepid_creds":{"sid":"1","client_secret":"s"}}}"#;
        assert_eq!(post(&mut engine, path, body), Outcome::Rewritten(clean.into()), "{path}");
    }
    let legacy = r#"{"three_pid_creds":{"id_server":"vector.im","sid":"1","client_secret":"s"},"bind":true}"#;
    let clean = r#"{"three_pid_creds":{"sid":"1","client_secret":"s"},"bind":false}"#;
    assert_eq!(post(&mut engine, "/account/3pid", legacy), Outcome::Rewritten(clean.into()));
}

#[test]
fn publishing_and_inviting_by_address_is_refused_in_words() {
    let mut engine = engine();
    let invite =
        r#"{"id_server":"vector.im","id_access_token":"t","medium":"email","address":"a@b"}"#;
    for (path, body) in [
        ("/account/3pid/bind", r#"{"id_server":"vector.im","sid":"1","client_secret":"s"}"#),
        ("/rooms/!r:x/invite", invite),
        ("/createRoom", &format!(r#"{{"invite_3pid":[{invite}]}}"#)),
    ] {
        assert_eq!(errcode(&post(&mut engine, path, body)), "M_FORBIDDEN", "{path}");
    }
    // Removing data and ordinary invites go on.
    for (path, body) in [
        ("/account/3pid/unbind", r#"{"id_server":"vector.im","medium":"email","address":"a@b"}"#),
        ("/account/3pid/delete", r#"{"medium":"email","address":"a@b"}"#),
        ("/rooms/!r:x/invite", r#"{"user_id":"@a:b"}"#),
        ("/createRoom", r#"{"name":"x","invite_3pid":[]}"#),
    ] {
        assert_eq!(errcode(&post(&mut engine, path, body)), "none", "{path}");
    }
}

#[test]
fn invitation_links_cannot_choose_who_learns_your_id() {
    let mut engine = engine();
    let url = "https://sign.example.net/sign?token=t&private_key=k&mxid=%40a%3Ax";
    assert_eq!(errcode(&send(&mut engine, "POST", url, "", b"")), "M_FORBIDDEN");
    let mut engine = with(Some(r#"{"version":1,"allow":{"identity":["sign.example.net"]}}"#));
    assert_eq!(send(&mut engine, "POST", url, "", b""), Outcome::Sent);
}

#[test]
fn account_data_forgets_the_identity_server() {
    let mut engine = engine();
    let url = format!("{HS}/user/@a:x/account_data/m.identity_server");
    let set = send(&mut engine, "PUT", &url, "", br#"{"base_url":"https://vector.im"}"#);
    assert_eq!(errcode(&set), "M_FORBIDDEN");
    assert_eq!(send(&mut engine, "PUT", &url, "", br#"{"base_url":null}"#), Outcome::Sent);
    let got = engine.response("GET", &url, 200, br#"{"base_url":"https://vector.im"}"#).unwrap();
    assert_eq!(got, br#"{"base_url":null}"#);
    let sync = r#"{"next_batch":"s1","account_data":{"events":[ {"type":"m.push_rules","content":{}},{"content":{"base_url":"https://vector.im"},"type":"m.identity_server"} ]},"rooms":{"join":{}}}"#;
    let out = engine.response("GET", &format!("{HS}/sync?since=s0"), 200, sync.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), sync.replace(r#""https://vector.im""#, "null"));
}

#[test]
fn large_syncs_are_heeded_for_their_account_data_alone() {
    let engine = engine();
    let url = format!("{HS}/sync?since=s0");
    let needs_response_body = |url: &str, body: &str| {
        engine.needs_response_body("GET", url, body.len(), &mut |at, into| {
            into.copy_from_slice(&body.as_bytes()[at..at + into.len()]);
        })
    };
    let sync = |before: usize, data: &str, after: usize| {
        let filler = |size| format!(r#"{{"body":"{}"}}"#, "x".repeat(size));
        format!(
            r#"{{"rooms":[{}],"account_data":{data},"to_device":[{}]}}"#,
            filler(before),
            filler(after)
        )
    };
    let identity =
        r#"{"events":[{"type":"m.identity_server","content":{"base_url":"https://vector.im"}}]}"#;
    let tag = r#"{"events":[{"type":"m.tag","content":{"tags":{}}}]}"#;
    let long =
        format!(r#"{{"events":[{{"type":"m.direct","content":"{}"}}]}}"#, "x".repeat(20_000));
    for before in [0, 100_000, 131_000, 131_020, 131_040, 131_072, 400_000] {
        assert!(needs_response_body(&url, &sync(before, identity, 500_000)), "{before}");
        assert!(!needs_response_body(&url, &sync(before, tag, 500_000)), "{before}");
        assert!(!needs_response_body(&url, &sync(before, r#"{"events":[]}"#, 500_000)), "{before}");
    }
    // Not all of it is to be seen from there.
    assert!(needs_response_body(&url, &sync(131_000, &long, 500_000)));
    assert!(needs_response_body(&url, &sync(0, tag, 10)));
    assert!(!needs_response_body(&format!("{HS}/joined_rooms"), &sync(0, identity, 500_000)));
    let sliding = HS.replace("v3", "unstable/org.matrix.simplified_msc3575/sync");
    let extensions =
        r#"{"global":[{"type":"m.identity_server","content":{"base_url":"https://vector.im"}}]}"#;
    let needs_response_body = |body: &str| {
        engine.needs_response_body("POST", &sliding, body.len(), &mut |at, into| {
            into.copy_from_slice(&body.as_bytes()[at..at + into.len()]);
        })
    };
    assert!(needs_response_body(&sync(400_000, extensions, 0)));
    assert!(!needs_response_body(&sync(400_000, r#"{"global":[]}"#, 0)));
}

#[test]
fn device_names_are_one_constant() {
    let mut engine = engine();
    for path in ["/login", "/register", "/register?kind=guest"] {
        let body = r#"{"type":"m.login.password", "initial_device_display_name":"chat.example.org: Firefox on Linux","x":[1, 2]}"#;
        let clean =
            r#"{"type":"m.login.password", "initial_device_display_name":"Element","x":[1, 2]}"#;
        assert_eq!(post(&mut engine, path, body), Outcome::Rewritten(clean.into()), "{path}");
        assert_eq!(post(&mut engine, path, clean), Outcome::Sent, "{path}");
        assert_eq!(post(&mut engine, path, "{}"), Outcome::Sent, "{path}");
        assert_eq!(post(&mut engine, path, ""), Outcome::Sent, "{path}");
    }
    let waiting = "https://hs/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
    let body = br#"{"device_id":"D","initial_device_display_name":"Dehydrated device"}"#;
    let named = r#"{"device_id":"D","initial_device_display_name":"Element"}"#;
    assert_eq!(send(&mut engine, "PUT", waiting, "", body), Outcome::Rewritten(named.into()));
    assert_eq!(send(&mut engine, "GET", waiting, "", b""), Outcome::Sent);
    let url = format!("{HS}/devices/ABC");
    let renamed = send(&mut engine, "PUT", &url, "", br#"{"display_name":"my laptop"}"#);
    assert_eq!(renamed, Outcome::Rewritten(r#"{"display_name":"Element"}"#.into()));
}

#[test]
fn the_users_own_device_name_is_quoted() {
    let mut engine = with(Some(r#"{"version":1,"deviceName":"Büro \"2\""}"#));
    let outcome = post(&mut engine, "/login", r#"{"initial_device_display_name":"x"}"#);
    assert_eq!(
        outcome,
        Outcome::Rewritten(r#"{"initial_device_display_name":"Büro \"2\""}"#.into())
    );
}

#[test]
fn client_registration_names_a_plain_client() {
    let mut engine = engine();
    let body = r##"{"client_name":"SchildiChat","client_name#de":"S","client_uri":"https://chat.example.org/","logo_uri":"https://chat.example.org/l","tos_uri":"https://a","policy_uri#de":"https://b","redirect_uris":["https://chat.example.org/"],"contacts":["me@x"]}"##;
    let clean = r##"{"client_name":"Element","client_name#de":"Element","client_uri":"https://chat.example.org/","redirect_uris":["https://chat.example.org/"]}"##;
    let outcome = send(
        &mut engine,
        "POST",
        "https://auth.example.org/oauth2/registration",
        "",
        body.as_bytes(),
    );
    assert_eq!(outcome, Outcome::Rewritten(clean.into()));
    for body in ["not json", r#"{"client_name":"x"}"#, "[1]", ""] {
        assert_eq!(
            send(&mut engine, "POST", "https://other.example/api", "", body.as_bytes()),
            Outcome::Sent
        );
    }
}

#[test]
fn the_room_one_comes_back_to_is_not_told_where_one_signs_in() {
    let mut engine = engine();
    let at = |path: &str| format!("https://hs.example.org/base/_matrix/client/{path}");
    let back = "redirectUrl=https%3A%2F%2Fchat.example.org%2Fapp%2F";
    for path in ["v3/login/sso/redirect", "r0/login/sso/redirect/oidc-x", "v3/login/cas/redirect"] {
        for rest in ["&action=login", ""] {
            let told = at(&format!("{path}?{back}%23%2Froom%2F!a%3Ab{rest}"));
            assert_eq!(engine.link(&told), Some(at(&format!("{path}?{back}{rest}"))), "{told}");
        }
        let nowhere = at(&format!("{path}?{back}&idp=%23"));
        assert_eq!(engine.link(&nowhere), None, "{nowhere}");
    }
    for other in ["https://other.example/login/sso/redirect", &at("v3/login/get_token")] {
        assert_eq!(engine.link(&format!("{other}?{back}%23x")), None);
    }
    for mode in ["off", "flag"] {
        let settings = format!(r#"{{"version":1,"shields":{{"account-data":"{mode}"}}}}"#);
        let told = at(&format!("v3/login/sso/redirect?{back}%23x"));
        assert_eq!(with(Some(&settings)).link(&told), None, "{mode}");
    }
}

#[test]
fn the_first_token_of_a_session_is_handed_back_and_no_later_one() {
    let mut engine = engine();
    let mut flags = |url: &str, body: &str| {
        let first = engine.decide("POST", url);
        assert_eq!(first, flag::NEEDS_BODY, "{url}");
        engine.decide_body("POST", url, "", body.as_bytes())
    };
    let token = "https://auth.example.org/oauth2/token";
    for body in [
        "grant_type=authorization_code&code=c&code_verifier=v",
        "client_id=1&grant_type=authorization%5Fcode\n",
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d",
        "device_code=d&grant_type=urn:ietf:params:oauth:grant-type:device_code",
    ] {
        assert_eq!(flags(token, body), flag::DELEGATE_RESPONSE, "{body}");
        assert_eq!(
            flags("https://hs.example.org/_matrix/client/v9/token", body),
            flag::DELEGATE_RESPONSE
        );
    }
    for body in [
        "grant_type=refresh_token&refresh_token=r",
        "a_grant_type=authorization_code",
        "grant_type=authorization_codes",
        "grant_type=",
        "token=t&token_type_hint=authorization_code",
        r#"{"grant_type":"authorization_code"}"#,
    ] {
        assert_eq!(flags(token, body), 0, "{body}");
    }
    let body = b"grant_type=authorization_code";
    engine.decide_body("POST", token, "", body);
    let delegate = engine.take_response_delegate().expect("nobody takes it");
    assert_eq!((delegate.handler, delegate.shield), (Handler::Session, "device-name"));
    for (mode, recorded) in [("off", 0), ("flag", 1)] {
        let settings = format!(r#"{{"version":1,"shields":{{"device-name":"{mode}"}}}}"#);
        let mut engine = with(Some(&settings));
        assert_eq!(engine.decide_body("POST", token, "", body), 0, "{mode}");
        assert_eq!(records(&mut engine).len(), recorded, "{mode}");
    }
}

#[test]
fn integration_managers_are_known_by_host_path_and_token() {
    let mut engine = engine();
    for (method, url) in [
        ("POST", "https://scalar.vector.im/api/register?v=1.1"),
        ("GET", "https://scalar.vector.im/api/account?scalar_token=t&v=1.1"),
        ("GET", "https://scalar-staging.vector.im/x"),
        ("GET", "https://scalar-staging.riot.im/scalar/api/widgets/title_lookup?curl=x"),
        ("GET", "https://im.example.net/_matrix/integrations/v1/terms"),
        ("POST", "https://im.example.net/prefix/_matrix/integrations/v1/account/register"),
        ("GET", "https://anywhere.example/?a=1&scalar_token=t"),
    ] {
        assert_eq!(errcode(&send(&mut engine, method, url, "", b"{}")), "M_FORBIDDEN", "{url}");
    }
    let recorded = records(&mut engine);
    assert!(
        recorded
            .iter()
            .all(|record| record["shield"] == "integrations" && record["action"] == "blocked")
    );
    assert!(recorded.iter().all(|record| !record.to_string().contains("token=")));
}

#[test]
fn of_more_managers_than_anybody_has_none_is_left() {
    let mut engine = Engine::new("https://chat.example.org/app/");
    let stored = r#"{"version":1,"allow":{"integrations":["own.example"]}}"#;
    engine.apply_settings(Some(stored), None);
    let widget = |number: usize, host: &str| {
        format!(
            r#""w{number}" : {{"type":"m.integration\u005fmanager","content":{{"url":"https://{host}/ui"}}}}"#
        )
    };
    let sync = |widgets: &[String]| {
        let widgets = widgets.join(" , ");
        format!(
            r#"{{"account_data":{{"events":[{{"type":"m.widgets","content":{{"s":{{"type":"m.stickerpicker"}},{widgets}}}}}]}}}}"#
        )
    };
    let url = format!("{HS}/sync?since=s1");
    let mut shown = |body: &str| {
        let shown = engine.response("GET", &url, 200, body.as_bytes());
        shown.map_or_else(|| body.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    };
    // As many as anybody may have, allowed ones, stay as they are, byte for byte.
    let allowed: Vec<_> = (0..64).map(|number| widget(number, "own.example")).collect();
    assert_eq!(shown(&sync(&allowed)), sync(&allowed));
    // Of more, each that is not looked at goes, and what is no manager stays.
    for hosts in [["own.example", "m.example"], ["m.example", "own.example"]] {
        let many: Vec<_> = (0..400).map(|number| widget(number, hosts[number / 200])).collect();
        let left = shown(&sync(&many));
        assert!(!left.contains("m.example"), "{left}");
        assert!(left.contains(r#""s":{"type":"m.stickerpicker"}"#), "{left}");
        assert!(left.matches("own.example").count() <= 64, "{left}");
    }
}

#[test]
fn integration_managers_are_learned() {
    let mut engine = engine();
    let config = br#"{"integrations_ui_url":"https://dim.example.net/riot","integrations_rest_url":"https://dim.example.net/api/v1/scalar","integrations_widgets_urls":["https://dim.example.net/widgets"]}"#;
    let out = engine
        .response("GET", "https://chat.example.org/app/config.json?cachebuster=1", 200, config)
        .unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out["integrations_rest_url"], Value::Null);
    assert_eq!(out["integrations_ui_url"], Value::Null);
    assert_eq!(out["integrations_widgets_urls"], json!([]));
    let well_known = br#"{"m.homeserver":{"base_url":"https://hs.example.org"},"m.integrations":{"managers":[{"api_url":"https://wk.example.net/","ui_url":"https://wk.example.net/ui"}]}}"#;
    let out = engine
        .response("GET", "https://x.example/.well-known/matrix/client", 200, well_known)
        .unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        out,
        json!({
            "m.homeserver": { "base_url": "https://hs.example.org" },
            "m.integrations": { "managers": [] },
            "io.element.voip": { "disable_fallback_ice": true }
        })
    );
    let sync = br#"{"account_data":{"events":[{"type":"m.widgets","content":{"im":{"type":"m.integration_manager","content":{"type":"m.integration_manager","url":"https://acc.example.net/ui","data":{"api_url":"https://acc.example.net/api"}}},"s":{"type":"m.stickerpicker","content":{}}}}]}}"#;
    let out = engine.response("GET", &format!("{HS}/sync"), 200, sync).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        out["account_data"]["events"][0]["content"],
        json!({"s":{"type":"m.stickerpicker","content":{}}})
    );
    for url in [
        "https://dim.example.net/api/v1/scalar/register",
        "https://dim.example.net/widgets/x",
        "https://wk.example.net/anything",
        "https://acc.example.net/api/account",
    ] {
        assert_eq!(errcode(&send(&mut engine, "GET", url, "", b"")), "M_FORBIDDEN", "{url}");
    }
    for url in [
        "https://dim.example.net/",
        "https://dim.example.net/widgetsandmore",
        "https://hs.example.org/x",
    ] {
        assert_eq!(send(&mut engine, "GET", url, "", b""), Outcome::Sent, "{url}");
    }
    let learned: Vec<_> = engine
        .effects(1)
        .into_iter()
        .filter(|effect| matches!(effect, Effect::Learned { .. }))
        .collect();
    assert_eq!(learned.len(), 7);
}

#[test]
fn a_manager_is_known_however_its_address_is_spelled() {
    for (named, asked) in [
        ("https://m.example/api", "https://m.example./api/x"),
        ("https://m.example./api", "https://m.example/api/x"),
        ("https://m.example.:8443/api", "https://m.example:8443/api/x"),
        (" HTTPS://M.example:0443/api/", "https://m.example/api"),
    ] {
        let mut engine = with(Some(r#"{"shields":{"config":"off"}}"#));
        let config = json!({ "integrations_rest_url": named }).to_string();
        engine.response("GET", "https://chat.example.org/app/config.json", 200, config.as_bytes());
        let outcome = send(&mut engine, "GET", asked, "", b"");
        assert_eq!(errcode(&outcome), "M_FORBIDDEN", "{named}: {asked}");
    }
    // Nor does a dot make a stranger's of the site itself.
    let mut engine = engine();
    let known = r#"{"m.integrations":{"managers":[{"api_url":"https://chat.example.org./app"}]}}"#;
    let well_known = "https://hs.example.org/.well-known/matrix/client";
    engine.response("GET", well_known, 200, known.as_bytes());
    let own = "https://chat.example.org/app/bundles/app.js";
    assert_eq!(send(&mut engine, "GET", own, "", b""), Outcome::Sent);
}

#[test]
fn a_manager_that_only_a_url_parser_can_tell_is_not_named_to_element() {
    for url in [
        r"https://b\u00fccher.example/",
        r"https:\\\\m.example/",
        "https://0x7f.1/",
        "https://user@m.example/",
        "https://m.example/a/../b",
    ] {
        for (from, text) in [
            ("chat.example.org/app/config.json", format!(r#"{{"integrations_ui_url":"{url}"}}"#)),
            ("chat.example.org/app/config.json", format!(r#"{{"integrationsRestUrl":"{url}"}}"#)),
            (
                "chat.example.org/app/config.json",
                format!(r#"{{"integrations_widgets_urls":["{url}"]}}"#),
            ),
            (
                "hs.example.org/.well-known/matrix/client",
                format!(r#"{{"m.integrations":{{"managers":[{{"api_url":"{url}"}}]}}}}"#),
            ),
            (
                "hs.example.org/.well-known/matrix/client",
                format!(
                    r#"{{"m.integrations":{{"managers":[{{"api_url":"https://m.example/","ui_url":"{url}"}}]}}}}"#
                ),
            ),
        ] {
            let mut engine = with(Some(r#"{"shields":{"config":"off"}}"#));
            let from = format!("https://{from}");
            let shown = engine.response("GET", &from, 200, text.as_bytes());
            let shown = shown.map(|shown| String::from_utf8(shown).unwrap()).unwrap_or(text);
            assert!(!shown.contains(url), "{shown}");
        }
    }
}

#[test]
fn a_manager_on_elements_own_site_does_not_block_element() {
    let mut engine = engine();
    let config = br#"{"integrations_ui_url":"https://chat.example.org/","integrations_rest_url":"https://chat.example.org/dimension/api"}"#;
    engine.response("GET", "https://chat.example.org/config.json", 200, config).unwrap();
    assert_eq!(
        send(&mut engine, "GET", "https://chat.example.org/i18n/en.json", "", b""),
        Outcome::Sent
    );
    // Nobody's word keeps Element from its own site, not even for a part of it.
    let well_known = br#"{"m.integrations":{"managers":[{"api_url":"https://chat.example.org/bundles","ui_url":"https://chat.example.org/"}]}}"#;
    engine.response("GET", "https://evil.example/.well-known/matrix/client", 200, well_known);
    for path in ["dimension/api/x", "bundles/app.js"] {
        let url = format!("https://chat.example.org/{path}");
        assert_eq!(send(&mut engine, "GET", &url, "", b""), Outcome::Sent);
    }
    let is_learned = |effect: &Effect| matches!(effect, Effect::Learned { .. });
    assert!(!engine.effects(1).iter().any(is_learned));
}

#[test]
fn a_well_known_cannot_make_a_homeserver_a_manager() {
    let mut engine = engine();
    let well_known = br#"{"m.integrations":{"managers":[{"api_url":"https://hs.example.org/","ui_url":"https://hs.example.org/base"}]}}"#;
    engine.response("GET", "https://evil.example/.well-known/matrix/client", 200, well_known);
    assert_ne!(send(&mut engine, "GET", "https://hs.example.org/base/x", "", b""), Outcome::Sent);
    assert_eq!(send(&mut engine, "GET", &format!("{HS}/sync"), "", b""), Outcome::Sent);
    let well_known = "https://hs.example.org/.well-known/matrix/client";
    assert_eq!(send(&mut engine, "GET", well_known, "", b""), Outcome::Sent);
    // Once Element talks to it, nothing of it is a manager's.
    assert_eq!(send(&mut engine, "GET", "https://hs.example.org/base/x", "", b""), Outcome::Sent);
}

#[test]
fn openid_tokens_are_followed_by_value() {
    let mut engine = engine();
    let url = format!("{HS}/user/@a:x/openid/request_token");
    assert_eq!(engine.decide("POST", &url), flag::INSPECT_RESPONSE);
    let answer = br#"{"access_token":"SECRETsecret1","token_type":"Bearer","matrix_server_name":"x","expires_in":3600}"#;
    assert_eq!(engine.response("POST", &url, 200, answer), None);
    let other = "https://widget.example.net/auth";
    for (url, headers, body) in [
        (other, "", r#"{"access_token":"SECRETsecret1"}"#),
        (other, "authorization: Bearer SECRETsecret1\n", ""),
        ("https://widget.example.net/auth?t=SECRETsecret1", "", ""),
        ("https://widget.example.net/auth?t=SECRET%73ecret1", "", ""),
    ] {
        assert_eq!(
            errcode(&send(&mut engine, "POST", url, headers, body.as_bytes())),
            "M_FORBIDDEN",
            "{url} {headers}"
        );
    }
    assert_eq!(
        send(&mut engine, "POST", other, "", b"{\"access_token\":\"other\"}"),
        Outcome::Sent
    );
    assert_eq!(
        send(&mut engine, "POST", &format!("{HS}/logout"), "", b"SECRETsecret1"),
        Outcome::Sent
    );
    let mut engine = with(Some(r#"{"version":1,"allow":{"integrations":["widget.example.net"]}}"#));
    engine.response("POST", &url, 200, answer);
    assert_eq!(send(&mut engine, "POST", other, "", b"SECRETsecret1"), Outcome::Sent);
    // An identity server gets one when the identity shield is off; nobody else does.
    let mut engine = with(Some(r#"{"version":1,"shields":{"identity":"off"}}"#));
    engine.response("POST", &url, 200, answer);
    let register = "https://vector.im/_matrix/identity/v2/account/register";
    assert_eq!(send(&mut engine, "POST", register, "", b"SECRETsecret1"), Outcome::Sent);
    assert_ne!(send(&mut engine, "POST", other, "", b"SECRETsecret1"), Outcome::Sent);
}

#[test]
fn a_new_engine_remembers_what_a_trapped_one_learned() {
    let mut first = engine();
    assert_eq!(first.memory(), None);
    let token = br#"{"access_token":"SECRETsecret1"}"#;
    first.response("POST", &format!("{HS}/user/@a:x/openid/request_token"), 200, token);
    let config = br#"{"integrations_rest_url":"https://dim.example.net/api"}"#;
    first.response("GET", "https://chat.example.org/config.json", 200, config);
    let memory = first.memory().unwrap();
    assert_eq!(first.memory(), None);
    let mut second = engine();
    second.remember("{\"managers\":");
    second.remember(&memory);
    let other = "https://widget.example.net/auth";
    assert_ne!(send(&mut second, "POST", other, "", b"SECRETsecret1"), Outcome::Sent);
    assert_ne!(send(&mut second, "GET", "https://dim.example.net/api/x", "", b""), Outcome::Sent);
    assert!(!format!("{second:?}").contains("SECRETsecret1"));
}

#[test]
fn calls_of_ones_own_homeserver_get_the_token() {
    let mut engine = engine();
    engine.response(
        "POST",
        &format!("{HS}/user/@a:x/openid/request_token"),
        200,
        br#"{"access_token":"SECRETsecret1"}"#,
    );
    let sfu = "https://rtc.example.org/sfu/get";
    assert_eq!(errcode(&send(&mut engine, "POST", sfu, "", b"SECRETsecret1")), "M_FORBIDDEN");
    let well_known = br#"{"org.matrix.msc4143.rtc_foci":[{"type":"livekit","livekit_service_url":"https://rtc.example.org"}]}"#;
    // Whose member one is in a call chooses its server; only one's own domain's word counts.
    engine.response("GET", "https://x/.well-known/matrix/client", 200, well_known);
    assert_eq!(errcode(&send(&mut engine, "POST", sfu, "", b"SECRETsecret1")), "M_FORBIDDEN");
    engine.decide("POST", &format!("{HS}/user/@a:x/openid/request_token"));
    assert_eq!(send(&mut engine, "POST", sfu, "", b"SECRETsecret1"), Outcome::Sent);

    // Servers of its own list, and of the person's.
    let other = "https://sfu.example.org/get_token";
    assert_eq!(errcode(&send(&mut engine, "POST", other, "", b"SECRETsecret1")), "M_FORBIDDEN");
    let settings = r#"{"allow":{"calls":["sfu.example.org"]}}"#;
    let mut trusting = with(Some(settings));
    trusting.remember(&engine.memory().unwrap());
    assert_eq!(send(&mut trusting, "POST", other, "", b"SECRETsecret1"), Outcome::Sent);
    let list = br#"{"rtc_transports":[{"type":"livekit","livekit_service_url":"https://sfu.example.org"}]}"#;
    let transports = "https://x/_matrix/client/unstable/org.matrix.msc4143/rtc/transports";
    assert_eq!(engine.decide("GET", transports), flag::INSPECT_RESPONSE);
    engine.response("GET", transports, 200, list);
    assert_eq!(send(&mut engine, "POST", other, "", b"SECRETsecret1"), Outcome::Sent);
}

#[test]
fn a_token_is_known_in_a_frame_that_never_asked_for_it_and_in_other_encodings() {
    // What a call's page is given by the window around it.
    let frame = "https://chat.example.org/widgets/element-call/index.html#?userId=%40a%3Ax";
    let mut engine = Engine::new(frame);
    // Who does not want to be asked about calls.
    engine.apply_settings(Some(r#"{"shields":{"calls":"on"}}"#), None);
    let body = br#"{"room":"!r:x","device_id":"D","openid_token":{"access_token":"SECRETsecret1","token_type":"Bearer","matrix_server_name":"x","expires_in":3600}}"#;
    let sfu = "https://sfu.evil.example/sfu/get";
    assert_eq!(errcode(&send(&mut engine, "POST", sfu, "", body)), "M_FORBIDDEN");
    let foci = br#"{"org.matrix.msc4143.rtc_foci":[{"livekit_service_url":"https://sfu.x"}]}"#;
    engine.response("GET", "https://x/.well-known/matrix/client", 200, foci);
    assert_eq!(send(&mut engine, "POST", "https://sfu.x/sfu/get", "", body), Outcome::Sent);
    assert_eq!(errcode(&send(&mut engine, "POST", sfu, "", body)), "M_FORBIDDEN");

    let mut engine = with(None);
    let url = format!("{HS}/user/@a:x/openid/request_token");
    engine.response("POST", &url, 200, br#"{"access_token":"SECRETsecret1"}"#);
    // `{"t":"SECRETsecret1"}`, plainly and in a JSON Web Token.
    for body in [
        "eyJ0IjoiU0VDUkVUc2VjcmV0MSJ9",
        "e30.eyJ0IjoiU0VDUkVUc2VjcmV0MSJ9.x",
        r#"{"t":"\u0053ECRETsecret1"}"#,
    ] {
        let outcome = send(&mut engine, "POST", "https://x.example/", "", body.as_bytes());
        assert_eq!(errcode(&outcome), "M_FORBIDDEN", "{body}");
    }
    let frame = "https://widget.example/?t=SECRET%2573ecret1";
    assert_eq!(engine.frame(frame).unwrap().url, "about:blank");
    assert_eq!(engine.frame("https://widget.example/?t=other"), None);
}

#[test]
fn paths_that_no_row_knows_are_judged_by_what_they_carry() {
    let mut engine = engine();
    let new = "https://hs.example.org/base/_matrix/client/v9/brand/new";
    let body = br#"{"initial_device_display_name":"Element on Firefox","id_server":"vector.im"}"#;
    let sent = r#"{"initial_device_display_name":"Element"}"#;
    let paths = [
        ("POST", "v9/makeRoom", r#"{"preset":"private_chat","name":"Plans"}"#),
        ("POST", "v9/makeRoom", r#"{"initial_state":[],"topic":"Plans"}"#),
        ("PUT", "v9/rooms/!r:x/states/m.room.name/", r#"{"name":"Plans"}"#),
        ("PUT", "v9/rooms/!r:x/states/m.room.t%6fpic", r#"{"topic":"Plans"}"#),
    ];
    // Before that server is known for a homeserver, and after.
    for _ in 0..2 {
        assert_eq!(send(&mut engine, "POST", new, "", body), Outcome::Rewritten(sent.to_owned()));
        for (method, path, body) in paths {
            let url = format!("https://hs.example.org/base/_matrix/client/{path}");
            let outcome = send(&mut engine, method, &url, "", body.as_bytes());
            assert_eq!(errcode(&outcome), "M_FORBIDDEN", "{path}");
        }
        engine.decide("GET", &format!("{HS}/sync"));
    }
    for body in ["", "not JSON", r#"{"name":"x"}"#, "[1]"] {
        assert_eq!(send(&mut engine, "POST", new, "", body.as_bytes()), Outcome::Sent, "{body}");
    }
}

#[test]
fn account_data_takes_no_forbidden_manager() {
    let mut engine = engine();
    let url = format!("{HS}/user/@a:x/account_data/m.widgets");
    let manager = br#"{"im":{"type":"m.integration_manager","content":{"url":"https://im.example/","data":{"api_url":"https://im.example/api"}}}}"#;
    assert_eq!(errcode(&send(&mut engine, "PUT", &url, "", manager)), "M_FORBIDDEN");
    assert_eq!(
        send(&mut engine, "PUT", &url, "", br#"{"s":{"type":"m.stickerpicker"}}"#),
        Outcome::Sent
    );
    let mut engine = with(Some(r#"{"version":1,"allow":{"integrations":["im.example"]}}"#));
    assert_eq!(send(&mut engine, "PUT", &url, "", manager), Outcome::Sent);
}

#[test]
fn element_config_is_hardened_and_nothing_else_in_it() {
    let mut engine = engine();
    let config = r#"{
    "default_server_config": {
        "m.homeserver": { "base_url": "https://hs.example.org" },
        "m.identity_server": { "base_url": "https://vector.im" }
    },
    "brand": "Element",
    "setting_defaults": { "custom": true },
    "default_is_url": "https://vector.im"
}"#;
    for url in [
        "https://chat.example.org/app/config.json",
        "https://chat.example.org/app/config.chat.example.org.json?cachebuster=7",
    ] {
        assert_ne!(engine.decide("GET", url) & flag::INSPECT_RESPONSE, 0);
        let out = engine.response("GET", url, 200, config.as_bytes()).unwrap();
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            out,
            json!({
                "default_server_config": { "m.homeserver": { "base_url": "https://hs.example.org" } },
                "brand": "Element",
                "setting_defaults": {
                    "custom": true,
                    "UIFeature.identityServer": false,
                    "MessageComposerInput.showStickersButton": false,
                    "sendTypingNotifications": false,
                    "dontSendTypingNotifications": true,
                    "sendReadReceipts": false,
                    "urlPreviewsEnabled": false,
                    "UIFeature.urlPreviews": false,
                    "UIFeature.locationSharing": false,
                    "automaticKeyBackNotEnabledReporting": false,
                    "automaticDecryptionErrorReporting": false,
                    "automaticErrorReporting": false,
                    "analyticsOptIn": false,
                    "Performance.addSendMessageTimingMetadata": false,
                    "webRtcForceTURN": true,
                    "UIFeature.shareSocial": false
                },
                "permalink_prefix": "https://chat.example.org/app",
                "room_directory": { "servers": [] },
                "integrations_ui_url": null,
                "integrations_rest_url": null,
                "integrations_widgets_urls": [],
                "default_device_display_name": "Element"
            })
        );
    }
    for body in ["", "{", "<!DOCTYPE html>", "[]", "{}", " { } "] {
        assert_eq!(
            engine.response("GET", "https://chat.example.org/config.json", 200, body.as_bytes()),
            None,
            "{body}"
        );
    }
    assert_eq!(
        engine.response("GET", "https://chat.example.org/config.json", 404, config.as_bytes()),
        None
    );
}

#[test]
fn config_rows_follow_their_shields_and_allow_lists() {
    let config = br#"{"default_is_url":"https://is.example","integrations_rest_url":"https://im.example/api"}"#;
    let url = "https://chat.example.org/config.json";
    let harden = |stored: &str| -> Value {
        let out = with(Some(stored)).response("GET", url, 200, config);
        serde_json::from_slice(&out.unwrap_or_else(|| config.to_vec())).unwrap()
    };
    assert_eq!(
        harden(r#"{"version":1,"shields":{"config":"off","permalinks":"off"}}"#),
        serde_json::from_slice::<Value>(config).unwrap()
    );
    let out = harden(r#"{"version":1,"shields":{"identity":"off"}}"#);
    assert_eq!(
        (&out["default_is_url"], &out["integrations_rest_url"]),
        (&json!("https://is.example"), &Value::Null)
    );
    let out = harden(
        r#"{"version":1,"allow":{"integrations":["im.example"],"identity":["is.example"]}}"#,
    );
    assert_eq!(out["default_is_url"], "https://is.example");
    assert_eq!(out["integrations_rest_url"], "https://im.example/api");
    assert_eq!(out["default_device_display_name"], "Element");
    // Calls may need what it says, so only the strict profile goes without.
    assert_eq!(out.get("enable_client_well_known_lookups"), None);
    let strict = harden(r#"{"version":1,"profile":"strict"}"#);
    assert_eq!(strict["enable_client_well_known_lookups"], false);
    let calling = harden(r#"{"version":1,"profile":"strict","allow":{"calls":["sfu.example"]}}"#);
    assert_eq!(calling.get("enable_client_well_known_lookups"), None);
}

#[test]
fn an_allowed_built_in_manager_stays_built_in() {
    let mut engine = with(Some(r#"{"version":1,"allow":{"integrations":["scalar.vector.im"]}}"#));
    let url = "https://chat.example.org/config.json";
    let out = engine.response("GET", url, 200, br#"{"brand":"x"}"#).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out.get("integrations_rest_url"), None);
    assert_eq!(out["default_device_display_name"], "Element");
}

#[test]
fn login_answers_are_hardened_too() {
    let mut engine = engine();
    let url = format!("{HS}/login");
    let flags = engine.decide("POST", &url);
    assert_eq!(flags, flag::NEEDS_BODY | flag::INSPECT_RESPONSE);
    assert_eq!(engine.decide_body("POST", &url, "", b"{}"), flag::INSPECT_RESPONSE);
    let answer = r#"{"user_id":"@a:x","well_known":{"m.homeserver":{"base_url":"https://x"},"m.identity_server":{"base_url":"https://vector.im"}}}"#;
    let out = engine.response("POST", &url, 200, answer.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"user_id":"@a:x","well_known":{"m.homeserver":{"base_url":"https://x"}}}"#
    );
    // UIA: the 401 with its flows arrives unchanged.
    let flows = br#"{"session":"s","flows":[{"stages":["m.login.dummy"]}],"well_known":{"m.identity_server":{}}}"#;
    assert_eq!(engine.response("POST", &format!("{HS}/register"), 401, flows), None);
}

#[test]
fn off_restores_and_flag_only_records() {
    let mut engine = with(Some(
        r#"{"version":1,"shields":{"identity":"off","integrations":"flag","device-name":"flag"}}"#,
    ));
    assert_eq!(
        send(&mut engine, "GET", "https://vector.im/_matrix/identity/v2", "", b""),
        Outcome::Sent
    );
    assert!(records(&mut engine).is_empty());
    assert_eq!(send(&mut engine, "GET", "https://scalar.vector.im/api/x", "", b""), Outcome::Sent);
    assert_eq!(
        post(&mut engine, "/login", r#"{"initial_device_display_name":"x"}"#),
        Outcome::Sent
    );
    let actions: Vec<_> = records(&mut engine)
        .iter()
        .map(|record| (record["shield"].clone(), record["action"].clone()))
        .collect();
    assert_eq!(
        actions,
        [(json!("integrations"), json!("flagged")), (json!("device-name"), json!("flagged"))]
    );
}

#[test]
fn before_settings_the_strictest_holds() {
    let mut engine = Engine::new("https://chat.example.org/");
    assert!(!engine.is_ready());
    assert_ne!(engine.decide("GET", "https://vector.im/_matrix/identity/v2") & flag::REPLY, 0);
    engine.assume_strictest();
    assert!(engine.is_ready());
}

#[test]
fn bad_input_gets_one_clear_error_or_passes() {
    let mut engine = engine();
    for body in
        [&b"{"[..], b"\xff\xfe", b"{\"initial_device_display_name\":NaN}", b"\xef\xbb\xbf{}"]
    {
        let outcome = send(&mut engine, "POST", &format!("{HS}/login"), "", body);
        assert_eq!(errcode(&outcome), "M_NOT_JSON", "{body:?}");
    }
    let giant =
        format!("{{\"initial_device_display_name\":\"x\",\"pad\":\"{}\"}}", "a".repeat(8 << 20));
    assert!(matches!(post(&mut engine, "/login", &giant), Outcome::Rewritten(_)));
    for (method, url) in [
        ("GET", ""),
        ("", "nonsense"),
        ("GET", "https://"),
        ("POST", "https://x/_matrix/client/v3/new/thing"),
        ("\u{0}", "wss://x/y"),
    ] {
        assert_eq!(send(&mut engine, method, url, "", b"\x00"), Outcome::Sent, "{url}");
    }
    let unknown = records(&mut engine);
    assert!(unknown.iter().any(|record| record["action"] == "unknown" && record["host"] == "x"));
}

#[test]
fn the_ledger_holds_no_ids_tokens_or_names() {
    let mut engine = engine();
    send(
        &mut engine,
        "PUT",
        &format!("{HS}/devices/DEVICEID?access_token=TOKEN"),
        "",
        br#"{"display_name":"NAME"}"#,
    );
    send(&mut engine, "GET", "https://x/_matrix/client/v3/secret/ROOMID", "", b"");
    let text = format!("{:?}", records(&mut engine));
    for canary in ["DEVICEID", "TOKEN", "NAME", "ROOMID"] {
        assert!(!text.contains(canary), "{canary}");
    }
    assert!(text.contains("devices/{}"));
}

#[test]
fn every_sync_says_offline() {
    let mut engine = engine();
    for (method, url) in [
        ("GET", format!("{HS}/sync?since=s&timeout=30000&set_presence=unavailable")),
        ("GET", format!("{HS}/sync")),
        ("POST", HS.replace("v3", "unstable/org.matrix.simplified_msc3575/sync?pos=1")),
    ] {
        let sent = target(&mut engine, method, &url).unwrap();
        assert!(sent.ends_with("set_presence=offline") && !sent.contains("unavailable"), "{sent}");
    }
    let quiet = format!("{HS}/sync?set_presence=offline");
    assert_eq!(target(&mut engine, "GET", &quiet), None);
    let status = format!("{HS}/presence/@a:x/status");
    assert_eq!(send(&mut engine, "PUT", &status, "", b"{}"), Outcome::Replied(200, json!({})));
    assert_eq!(send(&mut engine, "GET", &status, "", b""), Outcome::Sent);
    let mut off = with(Some(r#"{"shields":{"presence":"off"}}"#));
    assert_eq!(target(&mut off, "GET", &format!("{HS}/sync")), None);
    let mut flagged = with(Some(r#"{"shields":{"presence":"flag"}}"#));
    assert_eq!(target(&mut flagged, "GET", &format!("{HS}/sync")), None);
    assert_eq!(records(&mut flagged)[0]["action"], "flagged");
}

#[test]
fn receipts_become_private() {
    let mut engine = engine();
    let url = format!("{HS}/rooms/!r%2Fx:x/receipt/m.read/$e%2F1");
    assert_eq!(
        target(&mut engine, "POST", &url).unwrap(),
        format!("{HS}/rooms/!r%2Fx:x/receipt/m.read.private/$e%2F1")
    );
    let url = format!("{HS}/rooms/!r:x/receipt/%6D.read/$e?x=1");
    assert_eq!(
        target(&mut engine, "POST", &url).unwrap(),
        format!("{HS}/rooms/!r:x/receipt/m.read.private/$e?x=1")
    );
    for kind in ["m.read.private", "m.fully_read"] {
        let url = format!("{HS}/rooms/!r:x/receipt/{kind}/$e");
        assert_eq!(target(&mut engine, "POST", &url), None);
    }
    let markers = |engine: &mut Engine, body: &str| post(engine, "/rooms/!r:x/read_markers", body);
    assert_eq!(
        markers(&mut engine, r#"{"m.fully_read":"$a","m.read":"$b"}"#),
        Outcome::Rewritten(r#"{"m.fully_read":"$a","m.read.private":"$b"}"#.into())
    );
    assert_eq!(
        markers(&mut engine, r#"{"m.read":"$b","m.read.private":"$c"}"#),
        Outcome::Rewritten(r#"{"m.read.private":"$c"}"#.into())
    );
    assert_eq!(markers(&mut engine, r#"{"m.fully_read":"$a"}"#), Outcome::Sent);
    assert_eq!(markers(&mut engine, ""), Outcome::Sent);
}

#[test]
fn typing_previews_and_lookups_are_answered_quietly() {
    let mut engine = engine();
    let ok = |body: Value| Outcome::Replied(200, body);
    let mut ask = |method: &str, url: &str| send(&mut engine, method, url, "", b"{}");
    assert_eq!(ask("PUT", &format!("{HS}/rooms/!r:x/typing/@a:x")), ok(json!({})));
    for url in [
        format!("{HS}/media/preview_url?url=https://a"),
        "https://x/_matrix/media/v3/preview_url?url=https://a&ts=1".to_owned(),
    ] {
        let Outcome::Replied(404, none) = ask("GET", &url) else { panic!("{url}") };
        assert_eq!(none["errcode"], "M_NOT_FOUND");
    }
    assert_eq!(
        ask(
            "GET",
            "https://x/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=b"
        ),
        ok(json!({"joined":[]}))
    );
    assert_eq!(errcode(&ask("GET", "https://x/_synapse/admin/v1/users/@a:x/admin")), "M_FORBIDDEN");
    assert_eq!(ask("GET", "https://x/_synapse/admin/v1/server_version"), Outcome::Sent);
    assert_eq!(ask("GET", &format!("{HS}/thirdparty/protocols")), ok(json!({})));
    let nobody = ok(json!({"chunk":[],"total_room_count_estimate":0}));
    assert_eq!(ask("POST", &format!("{HS}/publicRooms?server=matrix.org")), nobody);
    assert_eq!(ask("POST", &format!("{HS}/publicRooms")), Outcome::Sent);
    assert_eq!(ask("GET", &format!("{HS}/publicRooms?server=hs.example.org")), Outcome::Sent);
    let mut trusting = with(Some(r#"{"allow":{"directory":["matrix.org"]}}"#));
    let foreign = format!("{HS}/publicRooms?server=matrix.org");
    assert_eq!(send(&mut trusting, "POST", &foreign, "", b"{}"), Outcome::Sent);
}

#[test]
fn services_for_usage_errors_reports_and_maps_are_known_by_host_or_path() {
    let mut engine = engine();
    let mut status = |url: &str| match send(&mut engine, "POST", url, "", b"") {
        Outcome::Replied(status, _) => status,
        _ => 0,
    };
    for (url, expected) in [
        ("https://posthog.element.io/e/?ip=1", 200),
        ("https://eu.i.posthog.com/array/x/config.js", 200),
        ("https://usage.example.org/i/v0/e/", 200),
        ("https://usage.example.org/decide/?v=3", 200),
        ("https://usage.example.org/proxy/i/v0/e/", 200),
        ("https://usage.example.org/proxy/e/?ip=1", 200),
        ("https://sentry.tools.element.io/api/6/envelope/", 200),
        ("https://errors.example.org/api/12/envelope/?sentry_key=x", 200),
        ("https://api.maptiler.com/tiles/1/2/3.png", 403),
        ("https://example.org/e/", 0),
        ("https://example.org/api/v2/envelope/", 0),
        ("https://chat.example.org/api/submit", 0),
        ("https://notposthog.com/x", 0),
        ("https://x/_matrix/client/v3/keys/query", 0),
    ] {
        assert_eq!(status(url), expected, "{url}");
    }
    // Reports are asked about, and refused where nobody is to be asked.
    for url in [
        "https://element.io/bugreports/submit",
        "https://rageshakes.element.io/api/submit",
        "https://reports.example.org/r/api/submit/",
    ] {
        assert_eq!(engine.decide("POST", url) & flag::DELEGATE, flag::DELEGATE, "{url}");
        assert_eq!(engine.take_delegates()[0].question.unwrap().id, "report", "{url}");
        let mut on = with(Some(r#"{"shields":{"telemetry":"on"}}"#));
        assert_eq!(errcode(&send(&mut on, "POST", url, "", b"")), "M_FORBIDDEN", "{url}");
    }
    let allowed = r#"{"allow":{"telemetry":["element.io"],"maps":["api.maptiler.com"]}}"#;
    let mut trusting = with(Some(allowed));
    for url in ["https://element.io/bugreports/submit", "https://api.maptiler.com/x"] {
        assert_eq!(send(&mut trusting, "POST", url, "", b""), Outcome::Sent, "{url}");
    }
}

#[test]
fn usage_leaves_no_trace_at_the_homeserver() {
    let mut engine = engine();
    let url = format!("{HS}/user/@a:x/account_data/im.vector.analytics");
    assert_eq!(
        send(&mut engine, "PUT", &url, "", br#"{"id":"0123","pseudonymousAnalyticsOptIn":false}"#),
        Outcome::Rewritten(r#"{"pseudonymousAnalyticsOptIn":false}"#.into())
    );
    let url = format!("{HS}/rooms/!r:x/send/io.element.performance_metric/m1");
    assert_eq!(
        send(&mut engine, "PUT", &url, "", b"{}"),
        Outcome::Replied(200, json!({"event_id":"$mantle-m1"}))
    );
    let url = format!("{HS}/rooms/!r:x/send/m.room.message/m2");
    assert_eq!(send(&mut engine, "PUT", &url, "", b"{}"), Outcome::Sent);
    // Nobody is asked for logs, and other messages to devices pass.
    let url = format!("{HS}/sendToDevice/im.vector.auto_rs_request/m3");
    assert_eq!(send(&mut engine, "PUT", &url, "", b"{}"), Outcome::Replied(200, json!({})));
    let url = format!("{HS}/sendToDevice/m.room.encrypted/m4");
    assert_eq!(send(&mut engine, "PUT", &url, "", b"{}"), Outcome::Sent);
}

#[test]
fn gateways_get_event_ids_only_and_bots_no_invitation() {
    let mut engine = engine();
    let set = |engine: &mut Engine, body: &str| post(engine, "/pushers/set", body);
    assert_eq!(
        set(&mut engine, r#"{"kind":"http","data":{"url":"https://push"}}"#),
        Outcome::Rewritten(
            r#"{"kind":"http","data":{"url":"https://push","format":"event_id_only"}}"#.into()
        )
    );
    for body in [r#"{"kind":"http","data":{"format":"event_id_only"}}"#, r#"{"kind":null}"#] {
        assert_eq!(set(&mut engine, body), Outcome::Sent, "{body}");
    }
    // Switched on or off from here, as the homeserver listed it: another device's own.
    for name in ["org.matrix.msc3881.device_id", "device_id"] {
        let phone = format!(
            r#"{{"kind":"http","{name}":"PHONE","org.matrix.msc3881.enabled":false,"data":{{"url":"https://push"}}}}"#
        );
        assert_eq!(set(&mut engine, &phone), Outcome::Sent, "{phone}");
        let nameless = phone.replace("\"PHONE\"", "null");
        assert!(matches!(set(&mut engine, &nameless), Outcome::Rewritten(_)), "{nameless}");
    }
    let bot = r#"{"is_direct":true,"invite":["@riot-bot:matrix.org"]}"#;
    assert_eq!(errcode(&post(&mut engine, "/createRoom", bot)), "M_FORBIDDEN");
    let friend = r#"{"is_direct":true,"invite":["@bob:matrix.org"]}"#;
    assert!(matches!(post(&mut engine, "/createRoom", friend), Outcome::Rewritten(_)));
    let mail = r#"{"kind":"email","pushkey":"a@b","device_display_name":"a@b","lang":"de-CH"}"#;
    assert_eq!(
        set(&mut engine, mail),
        Outcome::Rewritten(
            r#"{"kind":"email","pushkey":"a@b","device_display_name":"Element","lang":"de"}"#
                .into()
        )
    );
}

#[test]
fn new_rooms_are_no_more_open_than_asked_for() {
    let mut engine = engine();
    let guests = json!({"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "forbidden"}});
    let history = |content: &str| json!({"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": content}});
    let other =
        json!({"type": "m.room.name", "state_key": "", "content": {"name": "world_readable"}});
    let mut made = |initial: Value| -> Value {
        let body = json!({"preset": "private_chat", "initial_state": initial}).to_string();
        match post(&mut engine, "/createRoom", &body) {
            Outcome::Rewritten(text) => {
                serde_json::from_str::<Value>(&text).unwrap()["initial_state"].clone()
            }
            outcome => json!(format!("{outcome:?}")),
        }
    };
    assert_eq!(made(json!([])), json!([guests]));
    let open = json!([
        {"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}},
        history("world_readable"),
        other,
    ]);
    assert_eq!(made(open), json!([guests, history("shared"), other]));
    assert_eq!(made(json!([history("invited")])), json!([guests, history("invited")]));

    let well_known = "https://hs.example.org/.well-known/matrix/client";
    assert_ne!(engine.decide("GET", well_known) & flag::INSPECT_RESPONSE, 0);
    let order = br#"{"io.element.e2ee":{"default":false,"force_disable":true,"secure_backup_required":true},"im.vector.riot.e2ee":{"default":true}}"#;
    let seen = engine.response("GET", well_known, 200, order).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&seen).unwrap(),
        json!({
            "io.element.e2ee": {"default": true, "secure_backup_required": true},
            "im.vector.riot.e2ee": {"default": true},
            // The shield `config`.
            "io.element.voip": {"disable_fallback_ice": true},
        })
    );
}

#[test]
fn a_profile_does_not_say_that_one_is_in_a_call() {
    let mut engine = engine();
    for name in ["org.matrix.msc4426.call", "m.call"] {
        let url = format!("{HS}/profile/%40a%3Ax/{}", name.replace('.', "%2E"));
        let body = format!(r#"{{"{name}":{{"call_joined_ts":1}}}}"#);
        let quiet = Outcome::Replied(200, json!({}));
        assert_eq!(send(&mut engine, "PUT", &url, "", body.as_bytes()), quiet, "{name}");
        // What stands there goes.
        assert_eq!(send(&mut engine, "DELETE", &url, "", b""), Outcome::Sent, "{name}");
        let empty = format!(r#"{{"{name}":null}}"#);
        assert_eq!(send(&mut engine, "PUT", &url, "", empty.as_bytes()), Outcome::Sent, "{name}");
        // With others in one write, those alone go.
        let all = format!(r#"{{"displayname":"","{name}":{{"call_joined_ts":1}}}}"#);
        let outcome = send(&mut engine, "PUT", &format!("{HS}/profile/@a:x"), "", all.as_bytes());
        assert_eq!(outcome, Outcome::Rewritten(r#"{"displayname":""}"#.into()), "{name}");
        assert!(engine.take_delegates().is_empty());
    }
}

#[test]
fn people_are_searched_from_the_third_letter_on() {
    let mut short = engine();
    let empty = Outcome::Replied(200, json!({"limited": false, "results": []}));
    let search = |engine: &mut Engine, term: &str| {
        let body = json!({"search_term": term, "limit": 10}).to_string();
        post(engine, "/user_directory/search", &body)
    };
    // Letters, not bytes, and neither what stands on or between them.
    for term in [
        "",
        "a",
        "al",
        "@al",
        " al ",
        "Ив",
        "αβ",
        "דו",
        "éé",
        "zo\u{301}",
        "z o",
        "a\u{200b}\u{200d}",
        "\u{5d3}\u{5bc}\u{5b8}",
    ] {
        assert_eq!(search(&mut short, term), empty, "{term}");
    }
    for term in ["ali", "@ali", "Ива", "αβγ", "דוד", "小明", "小"] {
        assert_eq!(search(&mut short, term), Outcome::Sent, "{term}");
    }
    let mut long = with(Some(r#"{"version":1,"options":{"search":{"letters":5}}}"#));
    assert_eq!(search(&mut long, "alic"), empty);
    assert_eq!(search(&mut long, "alice"), Outcome::Sent);
}

#[test]
fn what_becomes_public_is_asked_about() {
    // method, path, body, and which question comes.
    let cases = [
        ("PUT", "/profile/@a:x/displayname", r#"{"displayname":"Alice"}"#, "profile"),
        ("PUT", "/profile/@a:x/avatar_url", r#"{"avatar_url":"mxc://x/y"}"#, "profile"),
        ("PUT", "/profile/@a:x/displayname", r#"{"displayname":""}"#, ""),
        ("PUT", "/profile/@a:x/org.example.field", r#"{"org.example.field":"x"}"#, "field"),
        ("PUT", "/profile/@a:x/org.example.field", r#"{"org.example.field":{"a":1}}"#, "field"),
        ("PUT", "/profile/@a:x/org.example.field", r#"{"org.example.field":null}"#, ""),
        ("PUT", "/profile/@a:x/org.example.field", r#"{"org.example.field":""}"#, ""),
        (
            "PUT",
            "/profile/@a:x/org.matrix.msc4426.status",
            r#"{"org.matrix.msc4426.status":{"text":"ill","emoji":"x"}}"#,
            "field",
        ),
        ("DELETE", "/profile/@a:x/org.example.field", "", ""),
        ("GET", "/profile/@a:x", "", ""),
        (
            "PUT",
            "/rooms/!r:x/state/m.room%2Emember/@a:x",
            r#"{"membership":"join","displayname":"A"}"#,
            "nickname",
        ),
        ("PUT", "/rooms/!r:x/state/m.room.member/@a:x", r#"{"membership":"leave"}"#, ""),
        ("PUT", "/directory/room/%23a:x", r#"{"room_id":"!r:x"}"#, "address"),
        ("DELETE", "/directory/room/%23a:x", "", ""),
        ("PUT", "/directory/list/room/!r:x", r#"{"visibility":"public"}"#, "address"),
        ("PUT", "/directory/list/room/!r:x", r#"{"visibility":"private"}"#, ""),
        ("POST", "/createRoom", r#"{"room_alias_name":"a"}"#, "address"),
        ("POST", "/createRoom", r#"{"visibility":"public"}"#, "address"),
        ("POST", "/createRoom", r#"{"visibility":"private"}"#, ""),
        ("PUT", "/pushrules/global/content/word", r#"{"pattern":"word"}"#, "word"),
        ("PUT", "/pushrules/global/content/word/enabled", r#"{"enabled":false}"#, ""),
        ("PUT", "/pushrules/global/content/.m.rule.contains_user_name/actions", "{}", ""),
        ("DELETE", "/pushrules/global/content/word", "", ""),
        ("POST", "/pushers/set", r#"{"kind":"email"}"#, "mail"),
        ("POST", "/pushers/set", r#"{"kind":null}"#, ""),
    ];
    let mut asking = engine();
    let refuse = r#"{"version":1,"shields":{"profile":"on","keywords":"on","encrypted-state":"off","room-defaults":"off","media":"off"}}"#;
    let mut refusing = with(Some(refuse));
    let mut watching = with(Some(&refuse.replace("\"on\"", "\"flag\"")));
    for (method, path, body, question) in cases {
        let url = format!("{HS}{path}");
        send(&mut asking, method, &url, "", body.as_bytes());
        let ids: Vec<_> = asking
            .take_delegates()
            .iter()
            .filter_map(|delegate| Some(delegate.question?.id))
            .collect();
        let wanted: &[&str] = if question.is_empty() { &[] } else { &[question] };
        assert_eq!(ids, wanted, "{method} {path} {body}");
        let refused = send(&mut refusing, method, &url, "", body.as_bytes());
        let is_refused = errcode(&refused) == "M_FORBIDDEN";
        assert_eq!(is_refused, !question.is_empty(), "{method} {path} {refused:?}");
        let watched = send(&mut watching, method, &url, "", body.as_bytes());
        assert!(!matches!(watched, Outcome::Replied(..)), "{method} {path} {watched:?}");
        assert!(watching.take_delegates().is_empty(), "{method} {path}");
    }
    let flagged = records(&mut watching);
    assert!(flagged.iter().all(|record| record["action"] != "answered"), "{flagged:?}");
    for (shield, count) in [("profile", 10), ("keywords", 2)] {
        let counts = flagged.iter().filter(|record| record["shield"] == shield);
        let seen = counts.filter_map(|record| record["count"].as_u64()).sum::<u64>();
        assert_eq!(seen, count, "{flagged:?}");
    }

    // Whatever the mode, but flagged or off: a time zone does not leave, and an old one is emptied.
    let zone = format!("{HS}/profile/@a:x/us.cloke.msc4175.tz");
    let body = br#"{"us.cloke.msc4175.tz":"Europe/Berlin"}"#;
    for engine in [&mut asking, &mut refusing] {
        assert_eq!(
            send(engine, "PUT", &zone, "", body),
            Outcome::Rewritten(r#"{"us.cloke.msc4175.tz":""}"#.into())
        );
    }
    assert_eq!(send(&mut watching, "PUT", &zone, "", body), Outcome::Sent);
}

#[test]
fn pictures_wait_for_a_click_unless_the_person_set_something() {
    const EVENT: &str = r#"{"type":"m.media_preview_config","content":{"media_previews":"private","invite_avatars":"off"}},{"type":"io.element.msc4278.media_preview_config","content":{"media_previews":"private","invite_avatars":"off"}}"#;
    let mut engine = engine();
    let answer = |engine: &mut Engine, query: &str, body: &str| {
        let url = format!("{HS}/sync{query}");
        let answered = engine.response("GET", &url, 200, body.as_bytes());
        answered.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let events =
        |list: &str| format!(r#"{{"next_batch":"s1","account_data":{{"events":[{list}]}}}}"#);
    let other = r#"{"type":"m.direct","content":{}}"#;
    assert_eq!(answer(&mut engine, "", &events("")), Some(events(EVENT)));
    let both = events(&format!("{other},{EVENT}"));
    assert_eq!(answer(&mut engine, "?timeout=0", &events(other)), Some(both));
    // A homeserver may leave out what is empty.
    let bare = answer(&mut engine, "", r#"{"next_batch":"s1"}"#).unwrap();
    assert!(bare.contains(EVENT) && bare.contains(r#""next_batch":"s1""#), "{bare}");
    // What the person set, and what a later sync leaves out, stays.
    for name in ["m.media_preview_config", "io.element.msc4278.media_preview_config"] {
        let own = format!(r#"{{"type":"{name}","content":{{"media_previews":"on"}}}}"#);
        assert_eq!(answer(&mut engine, "", &events(&own)), None, "{name}");
    }
    assert_eq!(answer(&mut engine, "?since=s1", &events("")), None);
    // What Element takes for nothing is nothing that they set.
    for nothing in [
        "{}",
        "7",
        "null",
        "\"on\"",
        "[]",
        r#"{"media_previews":7,"invite_avatars":"private"}"#,
        r#"{"media_previews":"On","invite_avatars":null,"other":"on"}"#,
        r#"{"media_previews":"on","media_previews":"x"}"#,
    ] {
        let first = format!(r#"{{"type":"m.media_preview_config","content":{nothing}}}"#);
        let second = first.replacen("m.media", "io.element.msc4278.media", 1);
        let shown = answer(&mut engine, "", &events(&format!("{first},{second}")));
        assert_eq!(shown, Some(events(EVENT)), "{nothing}");
    }
    let mut off = with(Some(r#"{"version":1,"shields":{"unasked-media":"off"}}"#));
    assert_eq!(answer(&mut off, "", &events("")), None);
}

#[test]
fn positions_and_map_links_are_asked_about() {
    const MAP: &str = "https://www.openstreetmap.org/?mlat=51.5&mlon=-0.1#map=16/51.5/-0.1";
    let mut asking = engine();
    let ids = |engine: &mut Engine, what: &str| {
        engine
            .prompt(what)
            .map(|delegate| delegate.question.map_or("refused", |question| question.id))
    };
    assert_eq!(ids(&mut asking, "position:"), Some("here"));
    assert_eq!(ids(&mut asking, MAP), Some("map"));
    for other in ["https://www.openstreetmap.org/copyright", "https://example.org/?mlat=1", "x"] {
        assert_eq!(ids(&mut asking, other), None, "{other}");
    }
    let mut refusing = with(Some(r#"{"version":1,"shields":{"location":"on"}}"#));
    assert_eq!(ids(&mut refusing, MAP), Some("refused"));
    let mut watching = with(Some(r#"{"version":1,"shields":{"location":"flag"}}"#));
    assert_eq!(ids(&mut watching, "position:"), None);
    let mut off = with(Some(r#"{"version":1,"shields":{"location":"off"}}"#));
    assert_eq!(ids(&mut off, MAP), None);
    for (engine, actions) in [
        (&mut asking, &["asked", "asked"][..]),
        (&mut refusing, &["blocked"]),
        (&mut watching, &["flagged"]),
        (&mut off, &[]),
    ] {
        let noted: Vec<_> = records(engine).iter().map(|record| record["action"].clone()).collect();
        assert_eq!(noted, actions);
    }
}

#[test]
fn the_strict_profile_changes_defaults_only() {
    let mut engine = with(Some(r#"{"profile":"strict","shields":{"typing":"off"}}"#));
    let typing = format!("{HS}/rooms/!r:x/typing/@a:x");
    assert_eq!(send(&mut engine, "PUT", &typing, "", b"{}"), Outcome::Sent);
    let settings = engine.shield_settings("typing").unwrap();
    assert_eq!(settings, r#"{"mode":"off","options":{},"allow":[]}"#);
    assert_eq!(engine.shield_settings("nothing"), None);
}

#[test]
fn habits_are_kept_by_account_and_gone_with_its_session() {
    let mut alice = engine();
    let emoji = |user: &str| format!("{HS}/user/{user}/account_data/io.element.recent_emoji");
    let content = br#"{"recent_emoji":[["x",3]]}"#;
    send(&mut alice, "PUT", &emoji("@alice:x"), "", content);
    let saved = alice.take_unsaved().unwrap();
    let sync = br#"{"account_data":{"events":[{"type":"io.element.recent_emoji","content":{"mantle":"1"}}]}}"#;
    for url in [emoji("@bob:x"), format!("{HS}/sync")] {
        let mut bob = engine();
        bob.restore(&saved);
        // Whoever it is, no request has said that it is Alice.
        bob.decide("GET", &emoji("@bob:x"));
        let body = if url.ends_with("sync") { &sync[..] } else { br#"{"mantle":"1"}"# };
        let shown = String::from_utf8(bob.response("GET", &url, 200, body).unwrap()).unwrap();
        assert!(!shown.contains("recent_emoji\":["), "{shown}");
        send(&mut bob, "POST", &format!("{HS}/logout"), "", b"{}");
        assert_eq!(bob.take_unsaved(), None);
    }
    alice.decide("POST", &format!("{HS}/logout"));
    assert_eq!(alice.take_unsaved().unwrap(), r#"{"@alice:x/io.element.recent_emoji":null}"#);
    let shown = alice.response("GET", &emoji("@alice:x"), 200, br#"{"mantle":"1"}"#).unwrap();
    assert_eq!(shown, b"{}");
}

#[test]
fn slashes_in_a_name_or_a_type_take_nothing_out_of_an_account() {
    let kind = "io.element.matrix_client_information.A/B";
    for user in ["@alice:x", "@al/ice:x", "@alice:x:8448"] {
        let url = format!(
            "{HS}/user/{}/account_data/{}",
            user.replace('/', "%2F"),
            kind.replace('/', "%2F")
        );
        let mut engine = engine();
        send(&mut engine, "PUT", &url, "", br#"{"name":"Element"}"#);
        let key = format!("{user}/{kind}");
        let saved: Value = serde_json::from_str(&engine.take_unsaved().unwrap()).unwrap();
        assert_eq!(saved[&key]["content"]["name"], "Element", "{key}");
        engine.decide("GET", &url);
        let shown = engine.response("GET", &url, 200, b"{}").unwrap();
        assert_eq!(shown, br#"{"name":"Element"}"#, "{key}");
        engine.decide("POST", &format!("{HS}/logout"));
        let dropped: Value = serde_json::from_str(&engine.take_unsaved().unwrap()).unwrap();
        assert_eq!(dropped, json!({ key: null }));
    }
}

#[test]
fn of_too_many_habits_the_oldest_go() {
    let mut engine = engine();
    let large = format!(r#"{{"recent_emoji":["{}"]}}"#, "x".repeat(300 * 1024));
    for number in 0..4 {
        let url = format!("{HS}/user/@a{number}:x/account_data/io.element.recent_emoji");
        send(&mut engine, "PUT", &url, "", large.as_bytes());
    }
    let saved = engine.take_unsaved().unwrap();
    assert!(saved.len() < 1 << 20 && saved.contains(r#""@a0:x/io.element.recent_emoji":null"#));
    for number in 0..100 {
        let url = format!("{HS}/user/@b{number}:x/account_data/io.element.recent_emoji");
        send(&mut engine, "PUT", &url, "", br#"{"a":1}"#);
    }
    let saved: Value = serde_json::from_str(&engine.take_unsaved().unwrap()).unwrap();
    let kept = saved.as_object().unwrap().values().filter(|value| !value.is_null()).count();
    assert_eq!(kept, 64);
    assert_eq!(saved["@b99:x/io.element.recent_emoji"]["content"], json!({"a": 1}));
}

#[test]
fn messages_do_not_name_the_site_that_links_are_copied_for() {
    let mut engine = engine();
    let message = json!({
        "body": "https://chat.example.org/app/#/user/@b:x and https://chat.example.org/app/welcome",
        "formatted_body": "<mx-reply><a href=\"https://chat.example.org/app/#/room/!r:x/$e\">x</a>",
        "m.new_content": {"body": "https://chat.example.org/app/#/room/#a:x"},
        "org.matrix.msc1767.message": [{"m.text": "https://chat.example.org/app/#/room/#b:x"}],
        "url": "mxc://x/y",
    });
    let url = format!("{HS}/rooms/!r:x/send/m.room.message/t");
    let Outcome::Rewritten(sent) =
        send(&mut engine, "PUT", &url, "", message.to_string().as_bytes())
    else {
        panic!("not rewritten")
    };
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(
        sent,
        json!({
            "body": "https://matrix.to/#/@b:x and https://chat.example.org/app/welcome",
            "formatted_body": "<mx-reply><a href=\"https://matrix.to/#/!r:x/$e\">x</a>",
            "m.new_content": {"body": "https://matrix.to/#/#a:x"},
            "org.matrix.msc1767.message": [{"m.text": "https://matrix.to/#/#b:x"}],
            "url": "mxc://x/y",
        })
    );
    for body in [r#"{"body":"hello"}"#, "{}"] {
        assert_eq!(send(&mut engine, "PUT", &url, "", body.as_bytes()), Outcome::Sent);
    }
    // Whatever else a person writes.
    let mut engine = with(Some(r#"{"shields":{"profile":"off"}}"#));
    for (method, path, key) in [
        ("POST", "createRoom", "topic"),
        ("PUT", "profile/@a:x/org.example.status", "org.example.status"),
        ("POST", "rooms/!r:x/invite", "reason"),
        ("POST", "rooms/!r:x/ban", "reason"),
        ("POST", "knock/!r:x", "reason"),
        ("PUT", "rooms/!r:x/redact/$e/t", "reason"),
        ("POST", "rooms/!r:x/report", "reason"),
    ] {
        let body = json!({ key: "as in https://chat.example.org/app/#/room/!r:x" }).to_string();
        let url = format!("{HS}/{path}");
        engine.decide(method, &url);
        engine.decide_body(method, &url, "", body.as_bytes());
        let sent = String::from_utf8(engine.take_body().unwrap_or_default()).unwrap();
        assert!(sent.contains("https://matrix.to/#/!r:x"), "{path}: {sent}");
    }
}

#[test]
fn bug_reports_are_known_by_the_configured_address() {
    for (configured, report) in [
        (
            "https://support.example.org/rageshake/api/submit",
            "https://support.example.org/rageshake/api/submit",
        ),
        ("https://support.example.org/r", "https://support.example.org/r"),
        ("https://chat.example.org/reports", "https://chat.example.org/reports"),
        ("/reports", "https://chat.example.org/reports"),
        ("reports", "https://chat.example.org/app/reports"),
        ("//support.example.org/r", "https://support.example.org/r"),
        (" HTTPS://Support.example.org:443/r\n", "https://support.example.org/r"),
    ] {
        let mut engine = engine();
        let config = json!({ "bug_report_endpoint_url": configured }).to_string();
        engine.response("GET", "https://chat.example.org/app/config.json", 200, config.as_bytes());
        assert_eq!(engine.decide("POST", report) & flag::DELEGATE, flag::DELEGATE, "{report}");
        assert_eq!(engine.take_delegates()[0].question.unwrap().id, "report");
    }
    // Where only a URL parser can tell which address it is, Element is given none.
    for configured in [
        "https:/support.example.org/r",
        "https:\\\\support.example.org\\r",
        "https://support.example.org/x/../r",
        "https://b\u{fc}cher.example/r",
        "https://user@support.example.org/r",
        "https://0x7f.1/r",
        "../r",
        "/\\support.example.org/r",
    ] {
        let config = json!({ "bug_report_endpoint_url": configured, "brand": "x" }).to_string();
        let url = "https://chat.example.org/app/config.json";
        let next = engine().response("GET", url, 200, config.as_bytes()).unwrap();
        assert!(!String::from_utf8(next).unwrap().contains("bug_report"), "{configured}");
    }
    // Before any configuration by what such a service's path looks like.
    let url = "https://support.example.org/rageshake/api/submit";
    assert_eq!(engine().decide("POST", url) & flag::DELEGATE, flag::DELEGATE);
}

#[test]
fn habits_stay_on_this_device_and_echo() {
    let mut engine = engine();
    engine.restore("{}");
    let url = format!("{HS}/user/%40a%3Ax/account_data/io.element.recent_emoji");
    let content = br#"{"recent_emoji":[["x",3]]}"#;
    let sync = format!("{HS}/sync?since=s1");
    assert_eq!(engine.decide("GET", &sync) & flag::INSPECT_RESPONSE, flag::INSPECT_RESPONSE);
    assert_eq!(send(&mut engine, "PUT", &url, "", content), Outcome::Rewritten("{}".into()));
    let saved = engine.take_unsaved().unwrap();
    assert_eq!(engine.take_unsaved(), None);

    let echo = br#"{"account_data":{"events":[{"type":"io.element.recent_emoji","content":{}},{"type":"m.direct","content":{"mantle":"x"}}]}}"#;
    let answer = |engine: &mut Engine, body: &[u8]| {
        String::from_utf8(engine.response("GET", &sync, 200, body).unwrap()).unwrap()
    };
    let expected = r#"{"account_data":{"events":[{"type":"io.element.recent_emoji","content":{"recent_emoji":[["x",3]]}},{"type":"m.direct","content":{"mantle":"x"}}]}}"#;
    assert_eq!(answer(&mut engine, echo), expected);

    // After a reload, and for what earlier versions left there.
    let mut later = with(None);
    later.restore(&saved);
    let filter = format!("{HS}/user/@a:x/filter/1");
    later.decide("GET", &filter);
    assert_eq!(answer(&mut later, echo), expected);
    let earlier = String::from_utf8_lossy(echo).replace("{}", r#"{"mantle":"seed-1"}"#);
    assert_eq!(answer(&mut later, earlier.as_bytes()), expected);
    for at_the_server in [&b"{}"[..], br#"{"mantle":"seed-1"}"#] {
        assert_eq!(later.response("GET", &url, 200, at_the_server).unwrap(), content);
    }
    let others = br#"{"recent_emoji":[["y",1]]}"#;
    assert_eq!(later.response("GET", &url, 200, others), None);
    // Types that end in a device ID.
    let own = format!("{HS}/user/@a:x/account_data/io.element.matrix_client_information.DEV");
    let told = br#"{"name":"Element","url":"chat.example.org"}"#;
    assert_eq!(send(&mut later, "PUT", &own, "", told), Outcome::Rewritten("{}".into()));
    let echo = br#"{"account_data":{"events":[{"type":"io.element.matrix_client_information.DEV","content":{}}]}}"#;
    assert!(answer(&mut later, echo).contains("chat.example.org"));

    // Nothing kept: an empty content is better than a placeholder.
    let mut fresh = with(None);
    let got = fresh.response("GET", &url, 200, br#"{"mantle":"seed-1"}"#).unwrap();
    assert_eq!(got, b"{}");
    assert_eq!(fresh.response("GET", &url, 200, b"{}"), None);

    let settings = format!("{HS}/user/@a:x/account_data/im.vector.web.settings");
    let body = br#"{"a":1,"SpotlightSearch.recentSearches":["!r"]}"#;
    let told = r#"{"a":1,"SpotlightSearch.recentSearches":[]}"#;
    assert_eq!(send(&mut engine, "PUT", &settings, "", body), Outcome::Rewritten(told.into()));
    let saved = engine.take_unsaved().unwrap();
    let mut later = with(None);
    later.restore(&saved);
    later.decide("GET", &filter);
    // What other devices set beside it stays.
    let echo = told.replace(r#""a":1"#, r#""a":2"#);
    let shown = r#"{"a":2,"SpotlightSearch.recentSearches":["!r"]}"#;
    assert_eq!(later.response("GET", &settings, 200, echo.as_bytes()).unwrap(), shown.as_bytes());
    let sync_of = |content: &str| {
        format!(
            r#"{{"account_data":{{"events":[{{"type":"im.vector.web.settings","content":{content}}}]}}}}"#
        )
    };
    assert_eq!(answer(&mut later, sync_of(&echo).as_bytes()), sync_of(shown));
    let earlier = echo.replace("[]", r#"["mantle seed-2"]"#);
    assert_eq!(answer(&mut later, sync_of(&earlier).as_bytes()), sync_of(shown));
    for plain in [r#"{"a":1}"#, r#"{"SpotlightSearch.recentSearches":["!s"]}"#, shown] {
        assert_eq!(later.response("GET", &sync, 200, sync_of(plain).as_bytes()), None, "{plain}");
    }
    // What was emptied on purpose does not come back.
    let emptied = r#"{"SpotlightSearch.recentSearches":[]}"#;
    for plain in [r#"{"a":1}"#, emptied] {
        assert_eq!(send(&mut engine, "PUT", &settings, "", plain.as_bytes()), Outcome::Sent);
    }
    assert_eq!(engine.response("GET", &settings, 200, emptied.as_bytes()), None);
    let direct = format!("{HS}/user/@a:x/account_data/m.direct");
    assert_eq!(send(&mut engine, "PUT", &direct, "", content), Outcome::Sent);
    assert_eq!(send(&mut engine, "PUT", &url, "", b"{}"), Outcome::Sent);
    assert_eq!(engine.response("GET", &url, 200, b"{}"), None);
    assert_eq!(send(&mut fresh, "PUT", &url, "", b"{}"), Outcome::Sent);
}

#[test]
fn emoji_stay_here_under_their_stable_name_too() {
    let mut engine = engine();
    engine.restore("{}");
    let url = format!("{HS}/user/%40a%3Ax/account_data/m.recent_emoji");
    let content = br#"{"recent_emoji":[{"emoji":"x","total":3}]}"#;
    assert_eq!(send(&mut engine, "PUT", &url, "", content), Outcome::Rewritten("{}".into()));
    assert_eq!(engine.response("GET", &url, 200, b"{}").unwrap(), content);
}

#[test]
fn names_of_sections_and_sounds_stay_here() {
    const TAG: &str = "element.io.section.0b2c";
    let mut here = engine();
    here.restore("{}");
    let url = format!("{HS}/user/%40a%3Ax/account_data/im.vector.web.settings");
    let section = |name: &str| {
        let sections = format!(r#"{{"{TAG}":{{"tag":"{TAG}","name":{name}}}}}"#);
        format!(r#"{{"a":1,"RoomList.CustomSectionData":{sections},"b":2}}"#)
    };
    let (own, told) = (section(r#""Doc\"tor""#), section(r#""Section""#));
    assert_eq!(send(&mut here, "PUT", &url, "", own.as_bytes()), Outcome::Rewritten(told.clone()));
    let saved = here.take_unsaved().unwrap();
    assert_eq!(saved.matches("Doc").count(), 1, "{saved}");
    let mut later = with(None);
    later.restore(&saved);
    later.decide("GET", &format!("{HS}/user/@a:x/filter/1"));
    assert_eq!(later.response("GET", &url, 200, told.as_bytes()).unwrap(), own.as_bytes());
    let sync = |content: &str| {
        format!(
            r#"{{"account_data":{{"events":[{{"type":"im.vector.web.settings","content":{content}}}]}}}}"#
        )
    };
    let read = |engine: &mut Engine, content: &str| {
        let read =
            engine.response("GET", &format!("{HS}/sync?since=s"), 200, sync(content).as_bytes());
        read.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    assert_eq!(read(&mut later, &told), Some(sync(&own)));
    // What another device called it, what is not kept here, and what is no name stays.
    for plain in [
        section(r#""Union""#),
        section("7"),
        told.replace(TAG, "element.io.section.ffff"),
        r#"{"RoomList.CustomSectionData":[]}"#.into(),
    ] {
        assert_eq!(read(&mut later, &plain), None, "{plain}");
    }
    // Another account's are nobody else's.
    let mut other = with(None);
    other.restore(&saved);
    other.decide("GET", &format!("{HS}/user/@b:x/filter/1"));
    assert_eq!(read(&mut other, &told), None);
    // Called what it is called at the homeserver, from now on.
    assert_eq!(send(&mut later, "PUT", &url, "", told.as_bytes()), Outcome::Sent);
    assert_eq!(read(&mut later, &told), None);
    // Beside searches, in one write.
    let searches = r#""SpotlightSearch.recentSearches":["!r"]"#;
    let both = own.replace(r#""a":1"#, searches);
    let Outcome::Rewritten(sent) = send(&mut here, "PUT", &url, "", both.as_bytes()) else {
        panic!("as it was")
    };
    assert!(!sent.contains("Doc") && !sent.contains("!r"), "{sent}");
    assert_eq!(here.response("GET", &url, 200, sent.as_bytes()).unwrap(), both.as_bytes());
    // What is not understood does not leave.
    for odd in [r#"["Doctor"]"#, r#""Doctor""#, r#"{"x":"Doctor"}"#, r#"{"x":{"name":["Doctor"]}}"#]
    {
        let body = format!(r#"{{"a":1,"RoomList.CustomSectionData":{odd}}}"#);
        let outcome = send(&mut here, "PUT", &url, "", body.as_bytes());
        let Outcome::Rewritten(sent) = outcome else { panic!("{body}: {outcome:?}") };
        assert!(!sent.contains("Doctor") && sent.contains(r#""a":1"#), "{sent}");
    }

    let sound = r#"{"notificationSound":{"name":"from Ada.mp3","url":"mxc://hs/a"}}"#;
    let quiet = r#"{"notificationSound":{"name":"","url":"mxc://hs/a"}}"#;
    let room = format!("{HS}/user/@a:x/rooms/!r:x/account_data/im.vector.web.settings");
    for url in [&url, &room] {
        let sent = send(&mut here, "PUT", url, "", sound.as_bytes());
        assert_eq!(sent, Outcome::Rewritten(quiet.into()), "{url}");
    }
    let tag = format!("{HS}/user/@a:x/rooms/!r:x/tags/{TAG}");
    assert_eq!(send(&mut here, "PUT", &tag, "", br#"{"order":0}"#), Outcome::Sent);
    let mut off = with(Some(r#"{"version":1,"shields":{"account-data":"off"}}"#));
    assert_eq!(send(&mut off, "PUT", &room, "", sound.as_bytes()), Outcome::Sent);
}

#[test]
fn state_that_may_be_encrypted_is_handed_over_and_its_answers_back() {
    let flags = |engine: &mut Engine, method: &str, path: &str| {
        engine.decide(method, &format!("{HS}{path}"))
            & (flag::DELEGATE | flag::DELEGATE_RESPONSE | flag::REPLY)
    };
    let over = [
        ("POST", "/createRoom"),
        ("PUT", "/rooms/!r:x/state/m.room.name"),
        ("PUT", "/rooms/!r:x/state/m.room.name/"),
        ("PUT", "/rooms/!r%2Fooms:x/state/m%2Eroom.topic/state%2Fm"),
        ("PUT", "/rooms/!r:x/state/im.vector.modular.widgets/jitsi"),
        ("PUT", "/rooms/!r:x/state/m.room.encryption/"),
        ("POST", "/rooms/!r:x/upgrade"),
        ("POST", "/user/@a:x/filter"),
    ];
    let back = [
        ("GET", "/sync?since=1"),
        ("GET", "/rooms/!r:x/state"),
        ("GET", "/rooms/!r:x/state/m.room.name"),
        ("GET", "/rooms/!r:x/messages?dir=b"),
        ("GET", "/rooms/!r:x/initialSync"),
        ("GET", "/rooms/!r:x/hierarchy"),
        ("GET", "/notifications"),
    ];
    let neither = [
        ("PUT", "/rooms/!r:x/state/m.room.power_levels/"),
        ("PUT", "/rooms/!r:x/state/m.room.encrypted/m.room.name%3A"),
        ("PUT", "/rooms/!r:x/send/m.room.message/1"),
        ("GET", "/rooms/!r:x/members"),
        ("GET", "/user/@a:x/filter/1"),
        ("GET", "/pushers"),
    ];
    let mut on = engine();
    for (method, path) in over {
        assert_eq!(flags(&mut on, method, path), flag::DELEGATE, "{path}");
    }
    for (method, path) in back {
        assert_eq!(flags(&mut on, method, path), flag::DELEGATE_RESPONSE, "{path}");
    }
    for (method, path) in neither {
        assert_eq!(flags(&mut on, method, path), 0, "{path}");
    }
    // A homeserver below a path of that name, and the endpoint's oldest version.
    for url in [
        "https://x/rooms/_matrix/client/v3/rooms/!r:x/state/m.room.name",
        "https://x/_matrix/client/api/v1/rooms/!r:x/state/m.room.name",
        "https://x/_matrix/client/v3/rooms/!r:x/state/m.room.name/a/b",
    ] {
        assert_eq!(on.decide("PUT", url) & flag::DELEGATE, flag::DELEGATE, "{url}");
    }
    // The search shield has a word before.
    assert_eq!(flags(&mut on, "POST", "/search"), flag::DELEGATE | flag::DELEGATE_RESPONSE);
    // Sliding sync asks in its body for types as well.
    let sliding =
        "https://hs.example.org/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    assert_eq!(on.decide("POST", sliding) & flag::DELEGATE_RESPONSE, flag::DELEGATE_RESPONSE);

    let mut more = with(Some(
        r#"{"version":1,"options":{"encrypted-state":{"types":["m.room.pinned_events"]}}}"#,
    ));
    let pins = "/rooms/!r:x/state/m.room.pinned_events/";
    // The room may have it encrypted already.
    assert_eq!(flags(&mut on, "PUT", pins), flag::DELEGATE);
    assert_eq!(flags(&mut more, "PUT", pins), flag::DELEGATE);
    for never in [
        "m.room.member/@a:x",
        "m.room.power_levels/",
        "m.space.child/!s:x",
        "org.matrix.msc3401.call.member/_@a:x_D_m.call",
    ] {
        assert_eq!(flags(&mut on, "PUT", &format!("/rooms/!r:x/state/{never}")), 0, "{never}");
    }

    let mut off = with(Some(r#"{"version":1,"shields":{"encrypted-state":"off"}}"#));
    let mut watching = with(Some(r#"{"version":1,"shields":{"encrypted-state":"flag"}}"#));
    for (method, path) in over.into_iter().chain(back).chain([("PUT", pins)]) {
        assert_eq!(flags(&mut off, method, path), 0, "{path}");
        assert_eq!(flags(&mut watching, method, path), 0, "{path}");
    }
    let noted = |engine: &mut Engine| -> Vec<String> {
        records(engine)
            .iter()
            .filter(|record| record["shield"] == "encrypted-state")
            .map(|record| record["endpoint"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(noted(&mut off), [""; 0]);
    let noted = noted(&mut watching);
    assert_eq!(noted.len(), 2, "{noted:?}");
}

#[test]
fn the_sites_address_is_the_one_the_page_has() {
    for (page, folder) in [
        ("https://chat.example.org", "https://chat.example.org/"),
        ("https://chat.example.org/app/index.html?a=/b/#/c/d", "https://chat.example.org/app/"),
        ("http://localhost:8080/#/home", "http://localhost:8080/"),
    ] {
        let mut engine = Engine::new(page);
        engine.apply_settings(None, None);
        let link = engine.link("https://matrix.to/#/@b:x").unwrap();
        assert_eq!(link, format!("{folder}#/user/@b:x"));
        let topic = format!("{HS}/rooms/!r:x/state/m.room.topic/");
        let body = json!({"topic": format!("see {folder}#/room/!r:x")}).to_string();
        engine.decide_body("PUT", &topic, "", body.as_bytes());
        let sent = String::from_utf8(engine.take_body().unwrap()).unwrap();
        assert_eq!(sent, r#"{"topic":"see https://matrix.to/#/!r:x"}"#);
    }
}

#[test]
fn a_prefix_that_only_repeats_matrix_to_is_none() {
    let config = "https://chat.example.org/app/config.json";
    let prefix = |given: Value| {
        let body = given.to_string();
        let changed = engine().response("GET", config, 200, body.as_bytes());
        let read: Value = serde_json::from_slice(&changed.unwrap_or(body.into_bytes())).unwrap();
        read["permalink_prefix"].clone()
    };
    for none in [json!(""), json!("https://matrix.to"), json!("https://matrix.to/"), json!(7)] {
        let own = json!("https://chat.example.org/app");
        assert_eq!(prefix(json!({ "permalink_prefix": none })), own, "{none}");
        assert_eq!(prefix(json!({ "permalinkPrefix": none })), own, "{none}");
    }
    // Links in messages are known by the site's address as it is written here.
    for own in [
        "https://chat.example.org/app/",
        "https://chat.example.org:443/app//",
        " HTTPS://Chat.example.org/app",
    ] {
        let written = json!("https://chat.example.org/app");
        assert_eq!(prefix(json!({ "permalink_prefix": own })), written, "{own}");
        assert_eq!(prefix(json!({ "permalinkPrefix": own })), written, "{own}");
    }
    let chosen = json!("https://own.example.org");
    assert_eq!(prefix(json!({ "permalink_prefix": chosen })), chosen);
    assert_eq!(prefix(json!({ "permalinkPrefix": chosen })), Value::Null);
}
