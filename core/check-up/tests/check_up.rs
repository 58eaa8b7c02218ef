//! What answers of a homeserver become: findings, and repairs of them.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use mantle_check_up::{
    Account, Audience, CheckUp, Finding, FindingId, Inquiry, MAX_ITEMS, Next, Repair, Report,
    Request, Response, Topic,
};
use serde_json::{Value, json};

const ME: &str = "@alice:hs.example.org";

fn account(convertible: &[&str]) -> Account {
    Account {
        user: ME.to_owned(),
        device: "HERE".to_owned(),
        session_name: "Element".to_owned(),
        convertible: convertible.iter().map(|&room| room.to_owned()).collect(),
        now: 1_764_000_000_000,
    }
}

/// The next request; no session is asked for its judgement in between.
fn next_request(check: &mut CheckUp) -> Option<Request> {
    match check.next_inquiry()? {
        Inquiry::Ask { request } => Some(request),
        Inquiry::Judge { backup } => panic!("{backup} is to be judged"),
    }
}

/// Answers each request by the longest beginning of its path that is known; others are 404.
fn checked(account: Account, answers: &[(&str, &str)]) -> CheckUp {
    let mut check = CheckUp::new(account);
    let mut requests = 0;
    while let Some(request) = next_request(&mut check) {
        requests += 1;
        assert!(requests < 1_000);
        assert_eq!(request.method, "GET", "a check-up changes nothing");
        let known = answers.iter().filter(|(begin, _)| request.path.starts_with(begin));
        let body = known.max_by_key(|(begin, _)| begin.len()).map(|(_, body)| *body);
        check.answer(Response {
            status: if body.is_some() { 200 } else { 404 },
            headers: "",
            body: body.unwrap_or("{}"),
        });
    }
    check
}

fn answer(status: u16, body: &str) -> Response<'_> {
    Response { status, headers: "", body }
}

/// The answer to what the repair asks next.
fn handed(repair: &mut Repair, response: Response<'_>) {
    repair.next(0);
    repair.answered(0, response);
}

const DEVICES: &str = "/_matrix/client/v3/devices";
const SYNC: &str = "/_matrix/client/v3/sync?";

fn state(kind: &str, key: &str, content: Value) -> Value {
    json!({ "type": kind, "state_key": key, "content": content, "sender": ME, "origin_server_ts": 7 })
}

fn sync(account_data: &Value, rooms: &Value) -> String {
    json!({ "account_data": { "events": account_data }, "rooms": { "join": rooms } }).to_string()
}

fn room(events: Vec<Value>) -> Value {
    json!({ "state": { "events": events }, "timeline": { "events": [] } })
}

fn encrypted(more: Vec<Value>) -> Value {
    let mut events = vec![state("m.room.encryption", "", json!({ "algorithm": "m.megolm.v1" }))];
    events.extend(more);
    room(events)
}

fn found(report: &Report, id: FindingId) -> Option<&Finding> {
    report.findings.iter().find(|finding| finding.id == id)
}

const PUSHERS: &str = "/_matrix/client/v3/pushers";

/// Its event type is a message's, so only a rule of the account tells the homeserver the difference.
#[test]
fn devices_that_an_encrypted_change_of_a_room_wakes_are_left_asleep_by_one_rule() {
    let pushers = r#"{"pushers":[
        {"app_display_name":"Element","data":{"url":"https://push.example.org/_matrix/push/v1/notify"}},
        {"device_display_name":"Tablet","data":{}}]}"#;
    let wire = json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x" });
    let change = state("m.room.encrypted", "m.room.name:", wire.clone());
    let rooms = json!({ "!a": encrypted(vec![change]) });
    let looked = |rules: Value, rooms: &Value, pushers: &str| {
        let data = json!([{ "type": "m.push_rules", "content": { "global": rules } }]);
        checked(account(&[]), &[(SYNC, &sync(&data, rooms)), (PUSHERS, pushers)])
    };
    let check = looked(json!({}), &rooms, pushers);
    let report = check.report();
    let finding = found(&report, FindingId::StatePushes).unwrap();
    assert_eq!(finding.audience, Audience::ThirdParty);
    let names: Vec<_> =
        finding.items.iter().map(|item| (item.name.as_str(), item.of.as_deref())).collect();
    assert_eq!(names, [("Element", Some("push.example.org")), ("Tablet", None)]);
    assert!(finding.repair.as_ref().is_some_and(|offer| offer.steps == 1 && offer.undo));

    let rule = "/_matrix/client/v3/pushrules/global/override/org.mantle.encrypted_state";
    let mut repair = check.repair(FindingId::StatePushes).unwrap();
    let asked = |repair: &mut Repair| match repair.next(0) {
        Next::Ask { request } => (request.method, request.path, request.body),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&mut repair), ("GET", rule.to_owned(), None));
    repair.answered(0, answer(404, r#"{"errcode":"M_NOT_FOUND"}"#));
    let (method, path, body) = asked(&mut repair);
    assert_eq!((method, path.as_str()), ("PUT", rule));
    let written: Value = serde_json::from_str(&body.unwrap()).unwrap();
    let is = |key, pattern| json!({ "kind": "event_match", "key": key, "pattern": pattern });
    let conditions = json!([is("type", "m.room.encrypted"), is("state_key", "*")]);
    assert_eq!(written, json!({ "conditions": conditions, "actions": [] }));
    repair.answered(0, answer(200, "{}"));
    assert!(repair.undo());
    assert_eq!(asked(&mut repair).0, "GET");
    repair.answered(0, answer(200, &written.to_string()));
    assert_eq!(asked(&mut repair), ("DELETE", rule.to_owned(), None));

    // Nothing of it where it is decided, nobody is woken, or there is nothing of the kind.
    let own = |enabled: bool| json!({ "override": [{ "rule_id": "org.mantle.encrypted_state", "enabled": enabled }] });
    let none = json!({ "override": [{ "rule_id": ".m.rule.master", "enabled": true }] });
    let others = json!({ "override": [{ "rule_id": ".m.rule.master", "enabled": false }, 7] });
    let message = json!({ "type": "m.room.encrypted", "content": wire, "sender": ME });
    let plain = json!({ "!a": encrypted(vec![message]) });
    for (rules, rooms, pushers, is_found) in [
        (own(true), &rooms, pushers, false),
        (own(false), &rooms, pushers, false),
        (none, &rooms, pushers, false),
        (others, &rooms, pushers, true),
        (json!({}), &rooms, r#"{"pushers":[]}"#, false),
        (json!({}), &plain, pushers, false),
    ] {
        let check = looked(rules.clone(), rooms, pushers);
        let is = found(&check.report(), FindingId::StatePushes).is_some();
        assert_eq!(is, is_found, "{rules} {rooms} {pushers}");
        assert_eq!(check.repair(FindingId::StatePushes).is_some(), is_found);
    }
}

/// Synapse answers a first sync that is the same in all from memory, for minutes.
#[test]
fn two_looks_of_one_second_do_not_ask_the_same() {
    let asked = |now: u64| {
        let mut check = CheckUp::new(Account { now, ..account(&[]) });
        while let Some(request) = next_request(&mut check) {
            if request.path.starts_with(SYNC) {
                return request.path;
            }
            check.answer(answer(404, "{}"));
        }
        panic!("no sync")
    };
    assert_ne!(asked(1_764_000_000_000), asked(1_764_000_000_001));
}

#[test]
fn an_account_that_tells_nothing_has_no_findings() {
    let devices = r#"{"devices":[{"device_id":"HERE","display_name":"Element"},{"device_id":"B"},
        {"device_id":"C","display_name":null},{"device_id":"D","display_name":" "}]}"#;
    let rules = json!({ "global": { "content": [
        { "rule_id": ".m.rule.contains_user_name", "default": true, "pattern": "alice", "actions": [] }
    ] } });
    let data = json!([
        { "type": "m.identity_server", "content": { "base_url": null } },
        { "type": "m.widgets", "content": {} },
        { "type": "m.push_rules", "content": rules },
    ]);
    let rooms = json!({
        "!a": encrypted(vec![state("m.room.name", "", json!({ "name": "" }))]),
        "!clear": room(vec![state("m.room.name", "", json!({ "name": "Everyone knows" }))]),
        "!public": encrypted(vec![
            state("m.room.name", "", json!({ "name": "Town hall" })),
            state("m.room.join_rules", "", json!({ "join_rule": "public" })),
        ]),
        "!w": room(vec![state("im.vector.modular.widgets", "gone", json!({}))]),
    });
    let check = checked(account(&[]), &[(DEVICES, devices), (SYNC, &sync(&data, &rooms))]);
    assert_eq!(
        check.report(),
        Report { findings: vec![], requests: 7, unread: vec![Topic::Contacts, Topic::Pushers] }
    );
}

#[test]
fn no_two_checks_are_answered_from_a_memory_of_the_first() {
    let asked = |now| {
        let mut check = CheckUp::new(Account { now, ..account(&[]) });
        std::iter::from_fn(|| next_request(&mut check))
            .map(|request| request.path)
            .collect::<Vec<_>>()
    };
    let begin = 1_764_000_000_000;
    for seconds in 1..200 {
        assert_ne!(asked(begin), asked(begin + seconds * 1_000), "{seconds}");
    }
}

#[test]
fn sessions_are_findings_by_their_names_and_renamed_to_what_the_settings_say() {
    let devices = json!({ "devices": [
        { "device_id": "HERE", "display_name": "chat.example.org: Firefox on Linux" },
        { "device_id": "a/b ü", "display_name": "Alice's telephone" },
        { "device_id": "C", "display_name": "Element" },
        { "device_id": 5 },
    ] });
    let check = checked(account(&[]), &[(DEVICES, &devices.to_string())]);
    let report = check.report();
    let unread = [Topic::Sync, Topic::Contacts, Topic::Pushers];
    assert_eq!(report.unread, unread, "what could not be read is said");
    let sessions = found(&report, FindingId::SessionNames).unwrap();
    assert_eq!((sessions.count, sessions.audience), (2, Audience::People));
    assert_eq!(sessions.items[1].name, "Alice's telephone");
    let offer = sessions.repair.as_ref().unwrap();
    assert_eq!((offer.steps, offer.undo), (2, true));

    let mut repair = check.repair(FindingId::SessionNames).unwrap();
    handed(&mut repair, answer(200, r#"{"display_name":"chat.example.org: Firefox on Linux"}"#));
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert_eq!((request.method, request.path.as_str()), ("PUT", "/_matrix/client/v3/devices/HERE"));
    assert_eq!(request.body.as_deref(), Some(r#"{"display_name":"Element"}"#));
    handed(&mut repair, answer(200, "{}"));
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert_eq!(
        (request.method, request.path.as_str()),
        ("GET", "/_matrix/client/v3/devices/a%2Fb%20%C3%BC")
    );
}

#[test]
fn encrypted_rooms_are_findings_by_what_can_be_read_of_them() {
    let name = |text: &str| state("m.room.name", "", json!({ "name": text }));
    let rooms = json!({
        "!both": encrypted(vec![name("Orchard"), state("m.room.topic", "", json!({ "topic": "Pears" }))]),
        "!picture": encrypted(vec![state("m.room.avatar", "", json!({ "url": "mxc://hs/a" }))]),
        "!renamed": { "state": encrypted(vec![name("Before")])["state"],
            "timeline": { "events": [name("After")] } },
        "!broken": { "state": { "events": [5, { "type": "m.room.name" }, name("Rest"),
            state("m.room.encryption", "", json!({ "algorithm": "m.megolm.v1" }))] } },
        "!hopeless": 7,
    });
    let account = account(&["!both", "!elsewhere"]);
    let check = checked(account, &[(SYNC, &sync(&json!([]), &rooms))]);
    let report = check.report();
    let readable = found(&report, FindingId::ReadableRooms).unwrap();
    let told: Vec<_> = readable
        .items
        .iter()
        .map(|item| (item.name.as_str(), item.parts.as_slice(), item.repairable))
        .collect();
    assert_eq!(
        told,
        [
            ("Orchard", ["name", "topic"].as_slice(), true),
            ("Rest", &["name"], false),
            ("After", &["name"], false),
        ]
    );
    assert_eq!(readable.since, Some(7));
    let offer = readable.repair.as_ref().unwrap();
    assert_eq!((offer.steps, offer.undo), (1, false));
    let mut repair = check.repair(FindingId::ReadableRooms).unwrap();
    assert_eq!(repair.next(0), Next::Convert { room: "!both".to_owned() });

    let pictures = found(&report, FindingId::RoomPictures).unwrap();
    assert_eq!((pictures.count, &pictures.repair), (1, &None));
    assert_eq!(report.findings[0].id, FindingId::ReadableRooms, "the worst is first");
}

#[test]
fn an_identity_server_goes_by_saying_that_there_is_none() {
    let content = json!({ "base_url": "https://user@vector.im:8443/x", "more": 1 });
    let data = json!([{ "type": "m.identity_server", "content": content }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    let report = check.report();
    let server = found(&report, FindingId::IdentityServer).unwrap();
    assert_eq!(server.items[0].name, "vector.im:8443");
    let mut repair = check.repair(FindingId::IdentityServer).unwrap();
    handed(&mut repair, answer(200, &content.to_string()));
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert_eq!(
        request.path,
        "/_matrix/client/v3/user/%40alice%3Ahs.example.org/account_data/m.identity_server"
    );
    assert_eq!(request.body.as_deref(), Some(r#"{"base_url":null}"#));
}

#[test]
fn managers_and_other_widgets_of_the_account_go_apart_and_the_rest_stays() {
    let widget =
        |kind: &str, url: &str| json!({ "content": { "type": kind, "url": url, "name": "N" } });
    let content = json!({
        "manager": widget("m.integration_manager", "https://scalar.vector.im/"),
        "stickers": widget("m.stickerpicker", "https://stickers.example/?$matrix_user_id"),
        "odd": 5,
        "empty": widget("m.custom", ""),
    });
    let data = json!([{ "type": "m.widgets", "content": content }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    let report = check.report();
    let manager = &found(&report, FindingId::IntegrationManager).unwrap().items;
    assert_eq!(
        manager.iter().map(|item| item.of.as_deref()).collect::<Vec<_>>(),
        [Some("scalar.vector.im")]
    );
    let others = &found(&report, FindingId::AccountWidgets).unwrap().items;
    assert_eq!(others[0].of.as_deref(), Some("stickers.example"));

    let mut repair = check.repair(FindingId::IntegrationManager).unwrap();
    handed(&mut repair, answer(200, &content.to_string()));
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    let left: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
    let mut expected = content.clone();
    expected.as_object_mut().unwrap().remove("manager");
    assert_eq!(left, expected);
}

/// Account data behind a repair: runs it to its end.
fn run_on(repair: &mut Repair, data: &mut Value) {
    for _ in 0..10 {
        let Next::Ask { request } = repair.next(0) else { return };
        let body = data.to_string();
        if let Some(sent) = &request.body {
            *data = serde_json::from_str(sent).unwrap();
        }
        repair.answered(0, answer(200, &body));
    }
    panic!("no end");
}

#[test]
fn two_repairs_of_the_same_account_data_leave_each_other_and_others_alone() {
    let widget =
        |kind: &str, url: &str| json!({ "content": { "type": kind, "url": url, "name": "N" } });
    let content = json!({
        "manager": widget("m.integration_manager", "https://scalar.vector.im/"),
        "stickers": widget("m.stickerpicker", "https://stickers.example/"),
        "clock": widget("m.custom", "https://clock.example/"),
        "odd": 5,
    });
    let data = json!([{ "type": "m.widgets", "content": content }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    for undo in [[0, 1], [1, 0]] {
        let mut now = content.clone();
        let mut repairs = [FindingId::IntegrationManager, FindingId::AccountWidgets]
            .map(|id| check.repair(id).unwrap());
        // Somebody adds one, and takes one out that was to go anyway.
        run_on(&mut repairs[0], &mut now);
        now["new"] = json!({ "content": {} });
        now.as_object_mut().unwrap().remove("clock");
        run_on(&mut repairs[1], &mut now);
        assert_eq!(now, json!({ "odd": 5, "new": { "content": {} } }));
        for index in undo {
            assert_eq!(repairs[index].view(0).changed, 0);
            assert!(repairs[index].undo());
            run_on(&mut repairs[index], &mut now);
            let view = repairs[index].view(0);
            assert_eq!((view.changed, view.settled), (0, 1));
        }
        let mut expected = content.clone();
        expected["new"] = json!({ "content": {} });
        assert_eq!(now, expected);
    }
}

#[test]
fn an_account_widget_that_somebody_changed_meanwhile_stays() {
    let widget = |url: &str| json!({ "content": { "type": "m.custom", "url": url, "name": "N" } });
    let content = json!({ "clock": widget("https://clock.example/") });
    let data = json!([{ "type": "m.widgets", "content": content }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    let long = json!({ "clock": widget("https://clock.example/"), "more": "x".repeat(40_000) });
    let changed = json!({ "clock": widget("https://other.example/") });
    for (mut now, outcome) in [(changed, (1, 0)), (json!([]), (1, 0)), (long, (0, 1))] {
        let before = now.clone();
        let mut repair = check.repair(FindingId::AccountWidgets).unwrap();
        run_on(&mut repair, &mut now);
        let view = repair.view(0);
        assert_eq!((view.changed, view.refused), outcome);
        assert_eq!(now, before);
    }
}

#[test]
fn what_is_written_late_was_read_late() {
    let widget = |url: &str| json!({ "content": { "type": "m.custom", "url": url, "name": "N" } });
    let content = json!({ "clock": widget("https://clock.example/") });
    let data = json!([{ "type": "m.widgets", "content": content }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    for status in [503, 429, 0] {
        let mut repair = check.repair(FindingId::AccountWidgets).unwrap();
        handed(&mut repair, answer(200, &content.to_string()));
        let Next::Ask { request } = repair.next(0) else { panic!("no request") };
        assert_eq!(request.method, "PUT");
        repair.answered(0, answer(status, ""));
        let Next::Wait { until } = repair.next(0) else { panic!("no wait") };
        let Next::Ask { request } = repair.next(until) else { panic!("no request") };
        assert_eq!(request.method, "GET", "{status}");
    }
    // A homeserver that reads and never writes has an end.
    let mut repair = check.repair(FindingId::AccountWidgets).unwrap();
    let (mut now, mut writes) = (0, 0);
    loop {
        match repair.next(now) {
            Next::Wait { until } => now = until,
            Next::Ask { request } if request.method == "GET" => {
                repair.answered(now, answer(200, &content.to_string()));
            }
            Next::Ask { .. } => {
                writes += 1;
                assert!(writes < 100);
                repair.answered(now, answer(503, ""));
            }
            _ => break,
        }
    }
    assert_eq!(writes, 6);
}

#[test]
fn widgets_in_rooms_are_taken_out_where_one_put_them_in_and_still_may() {
    let widget = |key: &str, sender: &str| {
        let mut event =
            state("im.vector.modular.widgets", key, json!({ "url": "https://pad.example/p" }));
        event["sender"] = json!(sender);
        event
    };
    let levels = |level: i64| state("m.room.power_levels", "", json!({ "users": { ME: level } }));
    let created = |version: &str| state("m.room.create", "", json!({ "room_version": version }));
    let rooms = json!({
        "!1": room(vec![widget("mine", ME), widget("theirs", "@bob:hs"), levels(50)]),
        "!2": room(vec![widget("mine", ME), levels(49)]),
        "!3": room(vec![widget("mine", ME), levels(0), created("12")]),
        "!4": room(vec![widget("mine", ME), levels(0), created("11")]),
        "!5": room(vec![widget("mine", ME), state("m.room.power_levels", "", json!({
            "users_default": 10, "events": { "im.vector.modular.widgets": 5 } }))]),
    });
    let check = checked(account(&[]), &[(SYNC, &sync(&json!([]), &rooms))]);
    let report = check.report();
    let widgets = found(&report, FindingId::RoomWidgets).unwrap();
    let mine: Vec<_> =
        widgets.items.iter().map(|item| (item.of.as_deref().unwrap(), item.repairable)).collect();
    assert_eq!(
        mine,
        [("!1", true), ("!1", false), ("!2", false), ("!3", true), ("!4", false), ("!5", true)]
    );
    assert_eq!(widgets.repair.as_ref().unwrap().steps, 3);
}

#[test]
fn words_to_be_notified_of_are_deleted_and_come_back_as_they_were() {
    let rule = json!({ "rule_id": "gar/den", "pattern": "garden", "actions": ["notify"],
        "enabled": false, "default": false });
    let rules = json!({ "global": { "content": [rule, { "rule_id": 5 }] } });
    let data = json!([{ "type": "m.push_rules", "content": rules }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    let mut repair = check.repair(FindingId::Keywords).unwrap();
    let mut sent = Vec::new();
    let mut there = true;
    for undo in [false, true] {
        if undo {
            assert!(repair.undo());
        }
        while let Next::Ask { request } = repair.next(0) {
            let (status, body) = match (request.method, there) {
                ("GET", true) => (200, rule.to_string()),
                ("GET", false) => (404, "{}".to_owned()),
                ("DELETE", _) => {
                    there = false;
                    (200, "{}".to_owned())
                }
                _ => {
                    there = true;
                    (200, "{}".to_owned())
                }
            };
            sent.push((request.method, request.path, request.body.unwrap_or_default()));
            handed(&mut repair, answer(status, &body));
        }
    }
    let path = "/_matrix/client/v3/pushrules/global/content/gar%2Fden";
    let was = r#"{"actions":["notify"],"pattern":"garden"}"#;
    let one = |method, path: &str, body: &str| (method, path.to_owned(), body.to_owned());
    assert_eq!(
        sent,
        [
            one("GET", path, ""),
            one("DELETE", path, ""),
            one("GET", path, ""),
            one("PUT", path, was),
            one("PUT", &format!("{path}/enabled"), r#"{"enabled":false}"#),
        ]
    );
}

#[test]
fn a_word_that_cannot_be_switched_off_again_is_not_back_as_it_was() {
    let rule = json!({ "rule_id": "garden", "pattern": "garden", "actions": [], "enabled": false });
    let rules = json!({ "global": { "content": [rule] } });
    let data = json!([{ "type": "m.push_rules", "content": rules }]);
    let check = checked(account(&[]), &[(SYNC, &sync(&data, &json!({})))]);
    for (status, kept) in [(200, 0), (403, 1), (404, 1)] {
        let mut repair = check.repair(FindingId::Keywords).unwrap();
        handed(&mut repair, answer(404, "{}"));
        assert!(repair.undo());
        handed(&mut repair, answer(404, "{}"));
        handed(&mut repair, answer(200, "{}"));
        let Next::Ask { request } = repair.next(0) else { panic!("no request") };
        assert!(request.path.ends_with("/enabled"));
        repair.answered(0, answer(status, "{}"));
        let view = repair.view(0);
        assert_eq!((view.changed, view.settled), (kept, 1), "{status}");
    }
}

#[test]
fn answers_that_are_none_cost_themselves_alone() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let devices = r#"{"devices":[{"device_id":"A","display_name":"Chrome"}]}"#;
    for broken in
        ["", "[]", "null", "{", "{\"rooms\":5}", "{\"account_data\":{\"events\":{}}}", &deep]
    {
        let check = checked(account(&[]), &[(DEVICES, devices), (SYNC, broken)]);
        let report = check.report();
        assert!(report.unread.contains(&Topic::Sync), "{broken:.20}");
        assert_eq!(report.findings.len(), 1);
    }
    let hidden = format!(
        r#"{{"devices":[{{"device_id":"A","display_name":{deep}}},{{"device_id":"B","display_name":"Chrome"}}]}}"#
    );
    let check = checked(account(&[]), &[(DEVICES, &hidden)]);
    assert_eq!(check.report().findings[0].count, 1);
}

/// Time is that of this kind of machine with tests as they are built; a square would be hours.
#[test]
fn large_answers_take_time_by_their_length_and_what_is_kept_has_an_end() {
    let name = "x".repeat(10_000);
    let one = encrypted(vec![state("m.room.name", "", json!({ "name": name }))]).to_string();
    let rooms: Vec<String> = (0..2_000).map(|index| format!("\"!{index:05}\":{one}")).collect();
    let text = format!("{{\"rooms\":{{\"join\":{{{}}}}}}}", rooms.join(","));
    let session = format!(r#"{{"device_id":"A","display_name":"{name}"}}"#);
    let devices = format!("{{\"devices\":[{}]}}", vec![session; 2_000].join(","));
    let all: Vec<String> = (0..2_000).map(|index| format!("!{index:05}")).collect();
    let started = std::time::Instant::now();
    let check = checked(
        Account { convertible: all, ..account(&[]) },
        &[(SYNC, &text), (DEVICES, &devices)],
    );
    let report = check.report();
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let rooms = found(&report, FindingId::ReadableRooms).unwrap();
    assert_eq!((rooms.count, rooms.items.len()), (2_000, MAX_ITEMS));
    assert!(rooms.items.iter().all(|item| item.name.chars().count() <= 201));
    for id in [FindingId::ReadableRooms, FindingId::SessionNames] {
        let repair = check.repair(id).unwrap();
        assert!(repair.text().len() <= 256_000, "{}", repair.text().len());
        assert!(repair.view(0).total <= MAX_ITEMS);
    }
}

const HERE: &str = "/_matrix/client/v3";

fn state_room(more: Vec<Value>, version: &str) -> Value {
    let mut events = vec![state("m.room.create", "", json!({ "room_version": version }))];
    events.extend(more);
    room(events)
}

#[test]
fn rooms_that_are_open_to_everyone_are_findings_where_one_may_close_them() {
    let history = || {
        state("m.room.history_visibility", "", json!({ "history_visibility": "world_readable" }))
    };
    let guests = || state("m.room.guest_access", "", json!({ "guest_access": "can_join" }));
    let public = || state("m.room.join_rules", "", json!({ "join_rule": "public" }));
    let rooms = json!({
        "!mine": state_room(vec![history(), guests(), public()], "12"),
        "!theirs": state_room(vec![history(), guests(), public()], "11"),
        "!closed": state_room(vec![state("m.room.history_visibility", "", json!({ "history_visibility": "shared" }))], "12"),
    });
    let directory = format!("{HERE}/directory/list/room/%21mine");
    let check = checked(
        account(&[]),
        &[(SYNC, &sync(&json!([]), &rooms)), (&directory, r#"{"visibility":"public"}"#)],
    );
    let report = check.report();
    for (id, path, body) in [
        (
            FindingId::OpenHistory,
            "rooms/%21mine/state/m.room.history_visibility/",
            r#"{"history_visibility":"shared"}"#,
        ),
        (
            FindingId::GuestAccess,
            "rooms/%21mine/state/m.room.guest_access/",
            r#"{"guest_access":"forbidden"}"#,
        ),
        (FindingId::ListedRooms, "directory/list/room/%21mine", r#"{"visibility":"private"}"#),
    ] {
        let finding = found(&report, id).unwrap();
        assert_eq!((finding.count, finding.audience), (1, Audience::Everyone), "{id:?}");
        let mut repair = check.repair(id).unwrap();
        let before = body
            .replace("shared", "world_readable")
            .replace("forbidden", "can_join")
            .replace("private", "public");
        handed(&mut repair, answer(200, &before));
        let Next::Ask { request } = repair.next(0) else { panic!("no request") };
        assert_eq!((request.method, request.path), ("PUT", format!("{HERE}/{path}")));
        assert_eq!(request.body.as_deref(), Some(body));
    }
}

#[test]
fn what_anybody_is_told_is_asked_without_an_account() {
    let profile = r#"{"displayname":"Alice","avatar_url":"mxc://hs.example.org/aB_-1","us.cloke.msc4175.tz":"Europe/Paris"}"#;
    for media_is_open in [true, false] {
        let mut check = CheckUp::new(account(&[]));
        let mut unsigned = Vec::new();
        while let Some(request) = next_request(&mut check) {
            let is_media = request.path.starts_with("/_matrix/media/");
            let is_profile = request.path.contains("/profile/");
            if !request.signed {
                unsigned.push(request.path.clone());
            }
            let (status, body) = match (is_profile, is_media && media_is_open) {
                (true, _) => (200, profile),
                (_, true) => (200, "\u{fffd}PNG"),
                _ => (404, "{}"),
            };
            check.answer(answer(status, body));
        }
        assert_eq!(
            unsigned,
            [
                "/_matrix/client/v3/profile/%40alice%3Ahs.example.org",
                "/_matrix/media/v3/thumbnail/hs.example.org/aB_-1?width=32&height=32&method=crop",
            ]
        );
        let report = check.report();
        let shown = found(&report, FindingId::PublicProfile).unwrap();
        assert_eq!((shown.count, &shown.repair), (2, &None));
        assert_eq!(found(&report, FindingId::OpenMedia).is_some(), media_is_open);
        let mut repair = check.repair(FindingId::TimeZone).unwrap();
        handed(&mut repair, answer(200, r#"{"us.cloke.msc4175.tz":"Europe/Paris"}"#));
        let Next::Ask { request } = repair.next(0) else { panic!("no request") };
        assert_eq!(
            (request.method, request.path.as_str()),
            (
                "DELETE",
                "/_matrix/client/unstable/uk.tcpip.msc4133/profile/%40alice%3Ahs.example.org/us.cloke.msc4175.tz"
            )
        );
    }
}

#[test]
fn a_picture_with_an_address_that_is_none_is_not_asked_for() {
    for avatar in [
        "https://evil.example/a",
        "mxc://hs",
        "mxc://hs/",
        "mxc://hs/../../admin",
        "mxc://hs/a?b",
        "mxc://hs/a/b",
    ] {
        let profile = json!({ "avatar_url": avatar }).to_string();
        let mut check = CheckUp::new(account(&[]));
        while let Some(request) = next_request(&mut check) {
            assert!(!request.path.contains("/media/"), "{}", request.path);
            let is_profile = request.path.contains("/profile/");
            check.answer(answer(
                if is_profile { 200 } else { 404 },
                if is_profile { &profile } else { "{}" },
            ));
        }
    }
}

#[test]
fn contacts_pushers_presence_and_unused_sessions_are_told() {
    let old = 1_764_000_000_000_u64 - 91 * 86_400_000;
    let devices = json!({ "devices": [
        { "device_id": "OLD", "display_name": "Element", "last_seen_ts": old },
        { "device_id": "NEW", "display_name": "Element", "last_seen_ts": old + 2 * 86_400_000 },
        { "device_id": "NEVER" },
    ] });
    let check = checked(
        account(&[]),
        &[
            (DEVICES, &devices.to_string()),
            (
                "/_matrix/client/v3/account/3pid",
                r#"{"threepids":[{"medium":"email","address":"a@example.org","added_at":5},7]}"#,
            ),
            (
                "/_matrix/client/v3/pushers",
                r#"{"pushers":[{"app_display_name":"Element Android","data":{"url":"https://push.example/_matrix/push/v1/notify"}}]}"#,
            ),
            (
                "/_matrix/client/v3/presence/",
                r#"{"presence":"unavailable","status_msg":"In the garden"}"#,
            ),
        ],
    );
    let report = check.report();
    let told = |id| -> Vec<_> {
        let finding = found(&report, id).unwrap();
        assert_eq!(finding.repair, None);
        finding
            .items
            .iter()
            .map(|item| (item.name.as_str(), item.of.as_deref(), item.since))
            .collect()
    };
    assert_eq!(told(FindingId::IdleSessions), [("Element", None, None)]);
    assert_eq!(told(FindingId::Contacts), [("a@example.org", None, Some(5))]);
    assert_eq!(told(FindingId::Pushers), [("Element Android", Some("push.example"), None)]);
    assert_eq!(
        told(FindingId::Presence),
        [("unavailable", None, None), ("In the garden", None, None)]
    );
}

/// JavaScript has no such numbers, and no such dates.
#[test]
fn times_that_are_none_cost_themselves_alone() {
    let latest = 8_640_000_000_000_000;
    for (time, shown) in [
        ("18446744073709551615", latest),
        ("9007199254740993", latest),
        ("8640000000000000", latest),
        ("8639999999999999", latest - 1),
        ("-5", 0),
        ("1e300", 0),
        ("\"soon\"", 0),
        ("null", 0),
    ] {
        let name =
            json!({ "type": "m.room.name", "state_key": "", "content": { "name": "Orchard" } });
        let name = name.to_string().replacen('{', &format!("{{\"origin_server_ts\":{time},"), 1);
        let encryption = state("m.room.encryption", "", json!({ "algorithm": "m.megolm.v1" }));
        let rooms = format!(
            r#"{{"rooms":{{"join":{{"!a":{{"state":{{"events":[{name},{encryption}]}}}}}}}}}}"#
        );
        let contacts = format!(r#"{{"threepids":[{{"address":"a@b","added_at":{time}}}]}}"#);
        let devices = format!(
            r#"{{"devices":[{{"device_id":"A","display_name":"Chrome","last_seen_ts":{time}}}]}}"#
        );
        let check = checked(
            account(&[]),
            &[(SYNC, &rooms), ("/_matrix/client/v3/account/3pid", &contacts), (DEVICES, &devices)],
        );
        let report = check.report();
        for id in [FindingId::ReadableRooms, FindingId::Contacts] {
            let finding = found(&report, id).unwrap();
            assert_eq!(finding.items[0].since.unwrap_or(0), shown, "{time}");
            assert_eq!(finding.since.unwrap_or(0), shown, "{time}");
        }
        assert_eq!(found(&report, FindingId::SessionNames).unwrap().count, 1, "{time}");
    }
}

#[test]
fn a_content_network_shows_itself_in_the_headers_of_any_answer() {
    for (headers, network) in [
        ("server: Synapse/1.140\n", None),
        ("content-type: application/json\nCF-Ray: 9a\n", Some("Cloudflare")),
        ("server: cloudflare", Some("Cloudflare")),
        ("x-served-by: cache-fra-1", Some("Fastly")),
        ("x-served-by: worker1", None),
        ("no header at all", None),
    ] {
        let mut check = CheckUp::new(account(&[]));
        next_request(&mut check).unwrap();
        check.answer(Response { status: 404, headers, body: "" });
        let report = check.report();
        let told =
            found(&report, FindingId::ContentNetwork).map(|finding| finding.items[0].name.as_str());
        assert_eq!(told, network, "{headers}");
    }
}

#[test]
fn a_check_waits_when_it_is_too_fast_and_goes_on_without_an_answer_at_last() {
    let mut check = CheckUp::new(account(&[]));
    let first = next_request(&mut check).unwrap();
    let limited = r#"{"retry_after_ms":1234}"#;
    assert_eq!(check.answer(answer(429, limited)), 1_234);
    assert_eq!(next_request(&mut check).unwrap(), first, "asked again");
    assert_eq!(check.answer(answer(429, r#"{"retry_after_ms":99999999}"#)), 60_000);
    let mut more = 0;
    while next_request(&mut check).is_some() {
        more += 1;
        assert!(more < 1_000);
        check.answer(answer(429, limited));
    }
    assert_eq!(check.report().unread.len(), 7);
}

#[test]
fn no_more_rooms_are_looked_for_in_the_list_than_a_homeserver_bears() {
    let public = state("m.room.join_rules", "", json!({ "join_rule": "public" }));
    let one = state_room(vec![public], "12");
    let rooms: serde_json::Map<String, Value> =
        (0..500).map(|index| (format!("!{index}"), one.clone())).collect();
    let check = checked(account(&[]), &[(SYNC, &sync(&json!([]), &Value::Object(rooms)))]);
    assert_eq!(check.report().requests, 107);
}

const BACKUP: &str = r#"{"version":"3","algorithm":"m.megolm_backup.v1.curve25519-aes-sha2",
    "auth_data":{"public_key":"abc","signatures":{}},"count":7,"etag":"1"}"#;

/// A check-up whose homeserver tells of a key backup like this; the answer of the page's session.
fn with_backup(status: u16, told: &str, judged: Response<'_>) -> (CheckUp, usize) {
    let mut check = CheckUp::new(account(&[]));
    let mut judgements = 0;
    while let Some(inquiry) = check.next_inquiry() {
        match inquiry {
            Inquiry::Ask { request } if request.path.ends_with("/room_keys/version") => {
                assert!(request.signed);
                check.answer(answer(status, told))
            }
            Inquiry::Ask { .. } => check.answer(answer(404, "{}")),
            Inquiry::Judge { backup } => {
                assert_eq!(backup, told, "the session sees what the homeserver said");
                judgements += 1;
                check.answer(judged)
            }
        };
    }
    (check, judgements)
}

#[test]
fn a_key_backup_is_a_finding_where_the_session_does_not_know_it_for_the_persons_own() {
    for (trusted, matches, is_found) in
        [(false, false, true), (true, false, false), (false, true, false), (true, true, false)]
    {
        let said = json!({ "trusted": trusted, "matchesDecryptionKey": matches }).to_string();
        let (check, judgements) = with_backup(200, BACKUP, answer(200, &said));
        assert_eq!(judgements, 1);
        let report = check.report();
        assert_eq!(report.requests, 7, "a judgement asks no homeserver");
        assert!(!report.unread.contains(&Topic::Backup));
        let finding = found(&report, FindingId::KeyBackup);
        assert_eq!(finding.is_some(), is_found, "{said}");
        let Some(finding) = finding else { continue };
        assert_eq!((finding.count, finding.audience), (1, Audience::Homeserver));
        assert_eq!(
            (finding.items[0].name.as_str(), finding.items[0].parts.as_slice()),
            ("3", ["version"].as_slice())
        );
        assert_eq!(finding.repair, None, "Element's settings do it");
        assert!(check.repair(FindingId::KeyBackup).is_none());
    }
}

#[test]
fn a_key_backup_that_nobody_could_judge_is_said_to_be_unread() {
    let long = format!(r#"{{"version":"{}"}}"#, "3".repeat(40_000));
    let said = r#"{"trusted":false,"matchesDecryptionKey":false}"#;
    for (status, told, judged, judgements) in [
        (404, r#"{"errcode":"M_NOT_FOUND"}"#, answer(200, said), None),
        (500, BACKUP, answer(200, said), Some(0)),
        (200, "{}", answer(200, said), Some(0)),
        (200, r#"{"version":3}"#, answer(200, said), Some(0)),
        (200, "[]", answer(200, said), Some(0)),
        (200, &long, answer(200, said), Some(0)),
        // Crypto that has not come so far, or says something else.
        (200, BACKUP, answer(0, ""), Some(1)),
        (200, BACKUP, answer(429, said), Some(1)),
        (200, BACKUP, answer(200, "{}"), Some(1)),
        (200, BACKUP, answer(200, r#"{"trusted":"no","matchesDecryptionKey":false}"#), Some(1)),
    ] {
        let (check, made) = with_backup(status, told, judged);
        let report = check.report();
        assert_eq!(found(&report, FindingId::KeyBackup), None);
        assert_eq!(report.unread.contains(&Topic::Backup), judgements.is_some(), "{told:.60}");
        assert_eq!(made, judgements.unwrap_or(0));
    }
}
