//! The room's flag means what it says, in the way every client reads it.

use mantle_room_state::{CALL_TYPES, EncryptedTypes, Plan, Request, RoomId, StateSettings};
use serde_json::{Value, json};

use crate::people::*;

fn room_flagged(name: &str, value: &Value) -> Vec<Value> {
    let mut state = room_state();
    state[2]["content"] = json!({"algorithm": "m.megolm.v1.aes-sha2"});
    state[2]["content"][name] = value.clone();
    state
}

#[test]
fn the_flag_is_read_as_matrix_js_sdk_reads_it() {
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.name/");
    let on = [
        json!(true),
        json!(1),
        json!(-1),
        json!(0.5),
        json!("true"),
        json!("false"),
        json!("0"),
        json!({}),
        json!([]),
    ];
    let off = [json!(false), json!(null), json!(0), json!(0.0), json!(-0.0), json!("")];
    for name in ["io.element.msc4362.encrypt_state_events", "encrypt_state_events"] {
        for (values, is_on) in [(&on[..], true), (&off[..], false)] {
            for value in values {
                let mut by_sync = Client::new(ALICE);
                by_sync.open("/sync?since=a", &sync(room_flagged(name, value), vec![]));
                let mut by_page = Client::new(ALICE);
                let events = json!(room_flagged(name, value)).to_string();
                by_page.engine.add_room_state(RoomId(ROOM), &events).unwrap();
                for alice in [by_sync, by_page] {
                    assert_eq!(alice.engine.encrypts_state(ROOM), is_on, "{name}: {value}");
                    let plan = alice
                        .engine
                        .plan_put(Request { method: "PUT", url: &url }, b"{\"name\":\"Secret\"}");
                    let is_encrypted = matches!(plan, Plan::Encrypt { .. });
                    assert_eq!(is_encrypted, is_on, "{name}: {value}: {plan:?}");
                }
            }
        }
    }
    // The page sets it itself.
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.encryption/");
    for value in on {
        let alice = Client::new(ALICE);
        let body = json!({"algorithm": "m.megolm.v1.aes-sha2", FLAG: value}).to_string();
        let plan = alice.engine.plan_put(Request { method: "PUT", url: &url }, body.as_bytes());
        assert!(matches!(plan, Plan::Flag { .. }), "{value}: {plan:?}");
    }
}

/// Alice's name under another state key than MSC4362's.
fn opaque(event: &Value, key: &str, id: &str) -> Value {
    let mut event = event.clone();
    event["state_key"] = json!(key);
    event["event_id"] = json!(id);
    event
}

#[test]
fn an_opaque_key_says_nothing_in_a_room_that_packs_them() {
    for key in ["sleeper", "", ":m.room.name", "m.room.name"] {
        for list in ["state", "timeline"] {
            let mut alice = Client::new(ALICE);
            let mut bob = Client::new(BOB);
            bob.knows(&[&alice]);
            let (sleeper, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Sleeper"));
            let (current, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
            bob.engine.add_room_keys(&keys).unwrap();
            let sleeper = opaque(&sleeper, key, "$sleeper");
            for first in [true, false] {
                let mut events = vec![current.clone(), sleeper.clone()];
                if first {
                    events.reverse();
                }
                let answer = match list {
                    "state" => sync([room_state(), events].concat(), vec![]),
                    _ => sync(room_state(), events),
                };
                let shown = bob.open("/sync?since=a", &answer).to_string();
                assert!(shown.contains("Secret"), "{key:?} in {list}: {shown}");
                assert!(!shown.contains("Sleeper"), "{key:?} in {list}: {shown}");
            }
        }
    }
}

#[test]
fn an_opaque_key_is_understood_in_a_room_without_the_flag() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.knows(&[&alice]);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.engine.add_room_keys(&keys).unwrap();
    let mut state = room_flagged(FLAG, &json!(false));
    state.push(opaque(&event, "opaque", "$opaque"));
    let shown = bob.open("/sync?since=a", &sync(state, vec![])).to_string();
    assert!(shown.contains("Secret"), "{shown}");
}

/// A change of a room's picture, and where it goes.
fn picture(client: &Client) -> Plan {
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.avatar/");
    client
        .engine
        .plan_put(Request { method: "PUT", url: &url }, br#"{"url":"mxc://example.org/secret"}"#)
}

#[test]
fn what_is_encrypted_in_a_room_stays_so_whatever_its_type() {
    let (mut alice, mut bob) = (Client::new(ALICE), Client::new(BOB));
    bob.knows(&[&alice]);
    bob.open("/sync?since=a", &sync(room_state(), vec![]));
    assert_eq!(picture(&bob), Plan::Pass, "nothing is encrypted there but the name");
    let content = json!({"url": "mxc://example.org/first"});
    let (mut event, keys) = alice.send(ROOM, &[&bob], "m.room.avatar", &content);
    event["state_key"] = json!("m.room.avatar:");
    bob.engine.add_room_keys(&keys).unwrap();
    bob.open("/sync?since=b", &sync(vec![], vec![event]));
    for reloads in [false, true] {
        if reloads {
            bob.reload();
        }
        let plan = picture(&bob);
        assert!(matches!(plan, Plan::Encrypt { .. }), "reloads: {reloads}: {plan:?}");
        let topic = format!("{HS}/rooms/{ROOM}/state/org.example.other/");
        assert_eq!(bob.engine.plan_put(Request { method: "PUT", url: &topic }, b"{}"), Plan::Pass);
    }
}

#[test]
fn where_element_encrypts_by_itself_all_that_may_be_leaves_encrypted() {
    let mut alice = Client::new(ALICE);
    alice.engine.set_encrypts_all(true);
    assert!(matches!(picture(&alice), Plan::NeedRoom { .. }), "the room may have the flag");
    alice.open("/sync?since=a", &sync(room_state(), vec![]));
    assert!(matches!(picture(&alice), Plan::Encrypt { .. }));
    for never in ["m.room.member", "m.room.power_levels", "m.space.child", "m.room.tombstone"] {
        let url = format!("{HS}/rooms/{ROOM}/state/{never}/");
        assert_eq!(
            alice.engine.plan_put(Request { method: "PUT", url: &url }, b"{}"),
            Plan::Pass,
            "{never}"
        );
    }
    let mut state = room_state();
    state[2]["content"] = json!({"algorithm": "m.megolm.v1.aes-sha2"});
    let mut alice = Client::new(ALICE);
    alice.engine.set_encrypts_all(true);
    alice.engine.add_room_state(RoomId(ROOM), &json!(state).to_string()).unwrap();
    assert_eq!(picture(&alice), Plan::Pass, "without the flag nothing is");
}

#[test]
fn what_only_native_clients_encrypt_blames_no_server() {
    let (mut alice, mut bob) = (Client::new(ALICE), Client::new(BOB));
    bob.knows(&[&alice]);
    let (picture, keys) =
        alice.send(ROOM, &[&bob], "m.room.avatar", &json!({"url": "mxc://example.org/first"}));
    bob.engine.add_room_keys(&keys).unwrap();
    let clear = json!({"type": "m.room.avatar", "state_key": "", "sender": ALICE,
        "event_id": "$clear", "origin_server_ts": NOW, "content": {"url": "mxc://example.org/c"}});
    bob.open("/sync?since=a", &sync(room_state(), vec![picture]));
    bob.open("/sync?since=b", &sync(vec![], vec![clear]));
    let problems = bob.engine.problems();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["readable-state"]);
    assert!(!problems[0].sentence.contains("server"), "{}", problems[0].sentence);
}

fn readable(name: &str, at: u64) -> Value {
    json!({"type": "m.room.name", "state_key": "", "sender": ALICE, "event_id": "$readable",
        "origin_server_ts": at, "content": {"name": name}})
}

/// A room with the flag since `NOW`, of which no encrypted name is known.
fn flagged_client() -> (Client, Vec<Value>) {
    let mut state = room_state();
    state[2]["origin_server_ts"] = json!(NOW);
    (Client::new(BOB), state)
}

#[test]
fn a_readable_name_in_a_room_that_encrypts_names_is_shown_only_if_it_was_there_before() {
    const DAY: u64 = 24 * 3_600_000;
    for list in ["state", "timeline"] {
        for (first, at, is_shown) in [
            (true, NOW + DAY, false),
            (false, NOW + DAY, false),
            (true, NOW - DAY, true),
            (false, NOW - DAY, true),
            // Made together with the room.
            (true, NOW + 5_000, true),
        ] {
            let (mut bob, mut state) = flagged_client();
            if !first {
                bob.open("/sync?since=a", &sync(state.clone(), vec![]));
                bob.reload();
                state.clear();
            }
            let name = readable("Forged", at);
            let answer = match list {
                "state" => sync([state, vec![name]].concat(), vec![]),
                _ => sync(state, vec![name]),
            };
            let shown = bob.open("/sync?since=b", &answer).to_string();
            assert_eq!(shown.contains("Forged"), is_shown, "{list} {first} {at}: {shown}");
            assert_eq!(bob.codes().contains(&"readable-name"), !is_shown, "{list} {first} {at}");
        }
    }
}

#[test]
fn a_readable_name_does_not_stand_for_one_whose_key_is_awaited() {
    let mut alice = Client::new(ALICE);
    let (mut bob, state) = flagged_client();
    bob.knows(&[&alice]);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.open("/sync?since=a", &sync(state, vec![event]));
    let shown = bob.open("/sync?since=b", &sync(vec![], vec![readable("Forged", NOW - 9)]));
    assert!(!shown.to_string().contains("Forged"), "{shown}");
    bob.engine.add_room_keys(&keys).unwrap();
    let step = bob.engine.retried(10);
    assert!(step.events.iter().any(|event| event.event.get().contains("Secret")));
}

#[test]
fn a_readable_state_that_nobody_encrypts_is_shown_as_ever() {
    let (mut bob, state) = flagged_client();
    let mut picture = readable("x", NOW + 99_000_000);
    picture["type"] = json!("m.room.avatar");
    picture["content"] = json!({"url": "mxc://example.org/shown"});
    let shown = bob.open("/sync?since=a", &sync([state, vec![picture]].concat(), vec![]));
    assert!(shown.to_string().contains("mxc://example.org/shown"), "{shown}");
    assert_eq!(bob.codes(), [] as [&str; 0]);
}

#[test]
fn who_is_in_a_call_leaves_readable_whatever_else_is_encrypted() {
    for call in CALL_TYPES {
        let (mut alice, mut bob) = (Client::new(ALICE), Client::new(BOB));
        bob.knows(&[&alice]);
        let (mut event, keys) = alice.send(ROOM, &[&bob], call, &json!({"joined": true}));
        event["state_key"] = json!(format!("{call}:"));
        bob.engine.add_room_keys(&keys).unwrap();
        bob.engine.set_encrypts_all(true);
        let (types, _) = EncryptedTypes::with_additions([call]);
        bob.engine.apply_settings(StateSettings { types, ..StateSettings::default() });
        bob.open("/sync?since=a", &sync(room_state(), vec![event]));
        for query in ["", "?org.matrix.msc4140.delay=8000"] {
            let url = format!("{HS}/rooms/{ROOM}/state/{call}/{query}");
            assert_eq!(
                bob.engine.plan_put(Request { method: "PUT", url: &url }, b"{}"),
                Plan::Pass,
                "{call} {query}"
            );
        }
        let left = json!({"type": call, "state_key": "", "sender": ALICE, "event_id": "$left",
            "origin_server_ts": NOW + 9, "content": {}});
        let shown = bob.open("/sync?since=b", &sync(vec![], vec![left])).to_string();
        assert!(shown.contains("$left"), "{shown}");
        assert_eq!(bob.codes(), [] as [&str; 0]);
    }
}

#[test]
fn what_is_to_be_sent_later_is_not_encrypted_before_what_is_sent_now() {
    let mut alice = Client::new(ALICE);
    alice.engine.set_encrypts_all(true);
    alice.open("/sync?since=a", &sync(room_state(), vec![]));
    for kind in ["m.room.name", "m.room.avatar"] {
        for query in ["org.matrix.msc4140.delay=8000", "a=b&delay=1"] {
            let url = format!("{HS}/rooms/{ROOM}/state/{kind}/?{query}");
            let plan = alice
                .engine
                .plan_put(Request { method: "PUT", url: &url }, br#"{"name":"Secret"}"#);
            assert!(matches!(plan, Plan::Refuse { .. }), "{kind} {query}: {plan:?}");
        }
    }
}

#[test]
fn what_nobody_may_have_set_hides_no_readable_name() {
    for (level, is_shown) in [(0, true), (50, false)] {
        let mut carol = Client::new(CAROL);
        let (mut bob, mut state) = flagged_client();
        bob.knows(&[&carol]);
        state[1]["content"] = json!({"users": {ALICE: 100, CAROL: level}, "state_default": 50,
            "events": {"m.room.encrypted": 0}});
        let (event, _) = carol.send(ROOM, &[&bob], "m.room.name", &named("Never"));
        bob.open("/sync?since=a", &sync(state, vec![event]));
        let shown = bob.open("/sync?since=b", &sync(vec![], vec![readable("Readable", NOW - 9)]));
        assert_eq!(shown.to_string().contains("Readable"), is_shown, "{level}: {shown}");
    }
}

/// An `m.room.encryption` event, with the flag or without it.
fn encryption(is_flagged: bool, id: &str) -> Value {
    let mut event = room_state().remove(2);
    event["event_id"] = json!(id);
    if !is_flagged {
        event["content"] = json!({"algorithm": "m.megolm.v1.aes-sha2"});
    }
    event
}

/// A new name of the room, and where it goes.
fn renamed(client: &Client) -> Plan {
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.name/");
    client.engine.plan_put(Request { method: "PUT", url: &url }, br#"{"name":"Secret"}"#)
}

#[test]
fn a_flag_counts_though_the_same_answer_takes_it_away() {
    let mut rules = room_state();
    rules.remove(2);
    let (on, off) = (encryption(true, "$on"), encryption(false, "$off"));
    let with = |events: &[&Value]| {
        let further = events.iter().map(|event| (*event).clone());
        rules.iter().cloned().chain(further).collect::<Vec<Value>>()
    };
    let all_of = |shown: &Value, list: &str| shown["rooms"]["join"][ROOM][list]["events"].clone();
    let cases = [
        ("/sync", sync(with(&[&on, &off]), vec![])),
        ("/sync?since=a", sync(with(&[]), vec![on.clone(), off.clone()])),
        ("/sync", sync(with(&[&on]), vec![off.clone()])),
        ("/sync", sync(with(&[&off]), vec![on.clone(), encryption(false, "$again")])),
    ];
    for (at, (path, answer)) in cases.into_iter().enumerate() {
        let mut bob = Client::new(BOB);
        let shown = bob.open(path, &answer);
        let last = ["timeline", "state"].into_iter().find_map(|list| {
            let events = all_of(&shown, list);
            let mut all = events.as_array().unwrap().iter();
            all.rfind(|event| event["type"] == "m.room.encryption").cloned()
        });
        assert_eq!(last.unwrap()["content"][FLAG], true, "{at}: {shown}");
        assert_eq!(bob.codes(), ["flag-removed"], "{at}");
        for reloads in [false, true] {
            if reloads {
                bob.reload();
            }
            assert!(bob.engine.encrypts_state(ROOM), "{at}, reloads: {reloads}");
            let plan = renamed(&bob);
            assert!(matches!(plan, Plan::Encrypt { .. }), "{at}, reloads: {reloads}: {plan:?}");
        }
    }
    // What `GET /rooms/…/state` says.
    let mut bob = Client::new(BOB);
    bob.open(&format!("/rooms/{ROOM}/state"), &json!(with(&[&on, &off])));
    assert!(matches!(renamed(&bob), Plan::Encrypt { .. }));
    // An older event without it takes nothing away.
    let mut bob = Client::new(BOB);
    let answer = sync(with(&[&off]), vec![on]);
    for path in ["/sync", "/sync?since=b"] {
        assert_eq!(bob.open(path, &answer), answer);
        assert_eq!(bob.codes(), [] as [&str; 0]);
    }
}

#[test]
fn what_is_encrypted_there_leaves_encrypted_though_the_flag_was_hidden() {
    let mut hidden = room_state();
    hidden[2] = encryption(false, "$off");
    for (opens, is_redacted) in [(true, false), (false, false), (true, true)] {
        let (mut alice, mut bob) = (Client::new(ALICE), Client::new(BOB));
        bob.knows(&[&alice]);
        bob.open("/sync", &sync(hidden.clone(), vec![]));
        assert!(!matches!(renamed(&bob), Plan::Encrypt { .. }), "nothing says that it encrypts");
        let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        if opens {
            bob.engine.add_room_keys(&keys).unwrap();
        }
        let mut bob = bob;
        let state = [hidden.clone(), vec![event.clone()]].concat();
        let shown = bob.open("/sync?since=a", &sync(state, vec![])).to_string();
        assert_eq!(shown.contains("Secret"), opens, "{shown}");
        if is_redacted {
            let mut event = event;
            event["content"] = json!({});
            event["unsigned"] = json!({"redacted_because": {"event_id": "$because"}});
            bob.open("/sync?since=b", &sync(vec![event], vec![]));
        }
        let plan = renamed(&bob);
        assert!(matches!(plan, Plan::Encrypt { .. }), "{opens} {is_redacted}: {plan:?}");
        let url = format!("{HS}/rooms/{ROOM}/state/im.vector.modular.widgets/w");
        let widget = br#"{"data":{"roomName":"Secret"}}"#;
        let plan = bob.engine.plan_put(Request { method: "PUT", url: &url }, widget);
        let Plan::Rewrite { body } = plan else { panic!("{opens} {is_redacted}: {plan:?}") };
        assert!(!body.contains("Secret"), "{body}");
        if opens {
            bob.reload();
            let plan = renamed(&bob);
            assert!(matches!(plan, Plan::Encrypt { .. }), "{is_redacted} reloaded: {plan:?}");
        }
        // Nothing else is.
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.avatar/");
        let avatar = bob.engine.plan_put(Request { method: "PUT", url: &url }, b"{}");
        assert_eq!(avatar, Plan::Pass);
    }
}

#[test]
fn who_comes_and_goes_matters_where_names_are_encrypted_though_the_flag_was_hidden() {
    let mut hidden = room_state();
    hidden[2] = encryption(false, "$off");
    let (mut alice, mut bob) = (Client::new(ALICE), Client::new(BOB));
    bob.knows(&[&alice]);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.engine.add_room_keys(&keys).unwrap();
    let dave = "@dave:example.org";
    let is_due = |client: &mut Client| {
        let due = client.engine.sharing_due();
        due.iter().any(|due| due.room_id == ROOM && due.members.iter().any(|of| of.user_id == dave))
    };
    // Alice has made the name, and Bob reads it.
    for client in [&mut alice, &mut bob] {
        let state = [hidden.clone(), vec![event.clone()]].concat();
        client.open("/sync?since=a", &sync(state, vec![]));
        client.engine.sharing_due();
        client.open("/sync?since=b", &sync(vec![], vec![member(dave, "join")]));
        assert!(is_due(client), "{}: he is to be given the key", client.user);
        client.open("/sync?since=c", &sync(vec![], vec![member(dave, "leave")]));
        assert!(is_due(client), "{}: and another one is made then", client.user);
    }
    // Nobody who only reads rooms that encrypt nothing is troubled.
    let mut carol = Client::new(CAROL);
    carol.open("/sync?since=a", &sync(hidden, vec![]));
    carol.open("/sync?since=b", &sync(vec![], vec![member(dave, "join")]));
    assert!(carol.engine.sharing_due().is_empty());
}

#[test]
fn a_flag_that_the_homeserver_shows_in_a_room_s_history_counts_too() {
    let flag = encryption(true, "$on");
    let room = ROOM.replace('!', "%21").replace(':', "%3A");
    for (path, answer) in [
        ("messages?dir=b", json!({"chunk": [flag], "state": [], "start": "a"})),
        ("messages?dir=b", json!({"chunk": [], "state": [flag], "start": "a"})),
        ("context/%24x", json!({"events_before": [flag], "state": []})),
        ("event/%24on", flag.clone()),
    ] {
        let mut hidden = room_state();
        hidden[2] = encryption(false, "$off");
        let mut bob = Client::new(BOB);
        bob.open("/sync", &sync(hidden, vec![]));
        bob.open(&format!("/rooms/{room}/{path}"), &answer);
        for reloads in [false, true] {
            if reloads {
                bob.reload();
            }
            let plan = renamed(&bob);
            assert!(matches!(plan, Plan::Encrypt { .. }), "{path}, reloads: {reloads}: {plan:?}");
        }
    }
    // One without it takes nothing away, and what an inviter's server says counts for nothing: anybody
    // could say that of any room.
    let mut bob = Client::new(BOB);
    bob.open("/sync", &sync(room_state(), vec![]));
    let off = json!({"chunk": [encryption(false, "$off")], "start": "a"});
    bob.open(&format!("/rooms/{room}/messages?dir=b"), &off);
    assert!(matches!(renamed(&bob), Plan::Encrypt { .. }));
    assert_eq!(bob.codes(), [] as [&str; 0]);
    let mut bob = Client::new(BOB);
    let invite = json!({"next_batch": "b", "rooms": {"invite": {ROOM: {
        "invite_state": {"events": [encryption(true, "$on")]}}}}});
    bob.open("/sync", &invite);
    assert!(!bob.engine.encrypts_state(ROOM));
}
