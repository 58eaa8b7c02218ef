//! An older name does not come back, whatever date a server gives it.

use mantle_room_state::{EventId, Request, RoomId, TypeAndKey};
use serde_json::{Value, json};

use crate::people::*;

const DAY: u64 = 24 * 3_600_000;

fn dated(event: &Value, at: u64) -> Value {
    let mut event = event.clone();
    event["origin_server_ts"] = json!(at);
    event
}

fn name_of(answer: &Value) -> Option<String> {
    let lists = &answer["rooms"]["join"][ROOM];
    ["state", "timeline"].iter().rev().find_map(|list| {
        let events = lists[*list]["events"].as_array()?;
        let name = events.iter().rev().find(|event| event["type"] == "m.room.name")?;
        name["content"]["name"].as_str().map(str::to_owned)
    })
}

/// Names of Alice, a session for each group of them; the keys of each, and her devices.
fn written_by(groups: &[usize]) -> (Vec<Value>, Vec<String>, Vec<Client>) {
    let bob = Client::new(BOB);
    let mut alice = Client::new(ALICE);
    let (mut events, mut all, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        // The same device with an empty store: the next session.
        let device = alice.device.clone();
        alice = Client { device, ..Client::new(ALICE) }.tab();
        for _ in 0..*group {
            let name = format!("Name {}", events.len());
            let (mut event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named(&name));
            event["event_id"] = json!(format!("$name{}", events.len()));
            all.push(keys);
            events.push(event);
        }
        devices.push(alice.tab());
    }
    (events, all, devices)
}

/// The same, and Bob, who can open all.
fn named_by(groups: &[usize]) -> (Vec<Value>, Client) {
    let mut bob = Client::new(BOB);
    let (events, keys, alice) = written_by(groups);
    bob.knows(&alice.iter().collect::<Vec<_>>());
    for keys in keys {
        bob.engine.add_room_keys(&keys).unwrap();
    }
    (events, bob)
}

/// Bob has come when the last of them was current, and has looked at the room's history.
fn bob_has_scrolled(events: &[Value], bob: &mut Client) {
    bob.engine.set_clock(NOW);
    let (last, before) = events.split_last().unwrap();
    let mut state = room_state();
    state.push(dated(last, NOW - DAY));
    let shown = bob.open("/sync?since=a", &sync(state, vec![]));
    let name = format!("Name {}", before.len());
    assert_eq!(name_of(&shown), Some(name));
    let chunk: Vec<Value> = before.iter().map(|event| dated(event, NOW - 30 * DAY)).collect();
    let history = bob.open(&format!("/rooms/{ROOM}/messages?dir=b"), &json!({ "chunk": chunk }));
    assert!(history.to_string().contains("Name 0"), "{history}");
}

#[test]
fn a_name_of_a_month_ago_with_todays_date_is_not_shown_as_the_newest() {
    for reloads in [false, true] {
        let (events, mut bob) = named_by(&[1, 1]);
        bob_has_scrolled(&events, &mut bob);
        let keys = vec![dated(&events[0], NOW + DAY)];
        if reloads {
            bob.reload();
        }
        bob.engine.set_clock(NOW + DAY);
        let shown = bob.open("/sync?since=b", &sync(keys, vec![]));
        assert_ne!(name_of(&shown).as_deref(), Some("Name 0"), "{shown}");
        if !reloads {
            assert!(bob.codes().contains(&"rollback"));
        }
    }
}

#[test]
fn what_its_maker_sent_before_something_seen_is_not_the_newest() {
    // Bob has never seen the second name, only the third of the same session, and that as history.
    let (events, mut bob) = named_by(&[3, 1]);
    let without = [events[0].clone(), events[2].clone(), events[3].clone()];
    bob.engine.set_clock(NOW);
    let mut state = room_state();
    state.push(dated(&without[2], NOW - DAY));
    bob.open("/sync?since=a", &sync(state, vec![]));
    let chunk: Vec<Value> = without[..2].iter().map(|event| dated(event, NOW - 30 * DAY)).collect();
    bob.open(&format!("/rooms/{ROOM}/messages?dir=b"), &json!({ "chunk": chunk }));
    let shown = bob.open("/sync?since=b", &sync(vec![dated(&events[1], NOW)], vec![]));
    assert_ne!(name_of(&shown).as_deref(), Some("Name 1"), "{shown}");
    assert!(bob.codes().contains(&"rollback"));
}

#[test]
fn a_new_name_counts_after_history_was_seen() {
    for groups in [&[1, 1, 1][..], &[3, 1], &[1, 3]] {
        let (events, mut bob) = named_by(groups);
        let (last, before) = events.split_last().unwrap();
        bob_has_scrolled(before, &mut bob);
        let shown = bob.open("/sync?since=b", &sync(vec![], vec![dated(last, NOW)]));
        assert_eq!(name_of(&shown), Some(format!("Name {}", before.len())), "{groups:?}");
        assert_eq!(bob.codes(), [] as [&str; 0]);
        // The same once more, from a server whose clock has been set.
        let shown = bob.open("/sync?since=c", &sync(vec![dated(last, NOW - 5)], vec![]));
        assert_eq!(name_of(&shown), Some(format!("Name {}", before.len())), "{groups:?}");
    }
}

/// Two names of two devices that did not know of one another; Bob has seen both.
fn forked() -> (Vec<Value>, Client) {
    let (events, mut bob) = named_by(&[1, 1]);
    let [early, late] = [dated(&events[0], NOW), dated(&events[1], NOW + 20_000)];
    let mut state = room_state();
    state.push(early.clone());
    bob.open("/sync?since=a", &sync(state, vec![]));
    let shown = bob.open("/sync?since=b", &sync(vec![], vec![late.clone()]));
    assert_eq!(name_of(&shown).as_deref(), Some("Name 1"));
    (vec![early, late], bob)
}

fn state_after(event: &Value) -> Value {
    json!({"next_batch": "s9", "rooms": {"join": {ROOM: {
        "state_after": {"events": [event]}, "timeline": {"events": []}}}}})
}

#[test]
fn a_fork_that_settles_on_the_earlier_of_two_names_shows_it() {
    let (events, mut bob) = forked();
    for (event, name) in [(&events[0], "Name 0"), (&events[1], "Name 1"), (&events[0], "Name 0")] {
        let shown = bob.open("/sync?since=c", &state_after(event)).to_string();
        assert!(shown.contains(name), "{shown}");
        let read = bob.open(&format!("/rooms/{ROOM}/state"), &json!([event])).to_string();
        assert!(read.contains(name), "{read}");
    }
    assert_eq!(bob.codes(), [] as [&str; 0]);
    bob.reload();
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.name");
    let known =
        serde_json::to_string(&bob.engine.before(Request { method: "GET", url: &url })).unwrap();
    assert!(known.contains("Name 0"), "{known}");
}

#[test]
fn the_state_before_a_timeline_settles_no_fork_nor_does_an_old_name() {
    let (events, mut bob) = forked();
    // As servers send it whose `state` is that before the timeline.
    let shown = bob.open("/sync?since=c", &sync(vec![events[0].clone()], vec![]));
    assert_ne!(name_of(&shown).as_deref(), Some("Name 0"), "{shown}");
    let shown = bob.open("/sync?since=d", &sync(vec![], vec![events[0].clone()]));
    assert_ne!(name_of(&shown).as_deref(), Some("Name 0"), "{shown}");
    // Set minutes apart, the second knew of the first.
    let (events, mut bob) = named_by(&[1, 1]);
    let [early, late] = [dated(&events[0], NOW), dated(&events[1], NOW + 120_000)];
    let mut state = room_state();
    state.push(early.clone());
    bob.open("/sync?since=a", &sync(state, vec![]));
    bob.open("/sync?since=b", &sync(vec![], vec![late]));
    let shown = bob.open("/sync?since=c", &state_after(&early)).to_string();
    assert!(!shown.contains("Name 0"), "{shown}");
    assert!(bob.codes().contains(&"rollback"));
}

#[test]
fn a_fork_settles_on_nothing_that_its_own_author_has_replaced() {
    let (events, mut bob) = named_by(&[2, 1]);
    for (at, event) in events.iter().enumerate() {
        let at = u64::try_from(at).unwrap();
        let event = dated(event, NOW + at * 10_000);
        let before = if at == 0 { room_state() } else { vec![] };
        bob.open(&format!("/sync?since=a{at}"), &sync(before, vec![event]));
    }
    let shown = bob.open("/sync?since=c", &state_after(&dated(&events[0], NOW))).to_string();
    assert!(!shown.contains("Name 0"), "{shown}");
    let shown = bob.open("/sync?since=d", &state_after(&dated(&events[1], NOW + 10_000)));
    assert!(shown.to_string().contains("Name 1"), "{shown}");
}

#[test]
fn a_fork_settles_on_nothing_where_what_counts_was_redacted() {
    let (events, mut bob) = forked();
    let redaction = json!({"type": "m.room.redaction", "sender": ALICE, "event_id": "$gone",
        "origin_server_ts": NOW + 30_000, "redacts": events[1]["event_id"],
        "content": {"redacts": events[1]["event_id"]}});
    bob.open("/sync?since=c", &sync(vec![], vec![redaction]));
    let shown = bob.open("/sync?since=d", &state_after(&events[0])).to_string();
    assert!(!shown.contains("Name 0"), "{shown}");
}

#[test]
fn of_two_requests_that_overtook_one_another_the_later_counts() {
    for is_split in [false, true] {
        let (events, mut bob) = named_by(&[1, 2]);
        let mut state = room_state();
        state.push(dated(&events[0], NOW));
        bob.open("/sync?since=a", &sync(state, vec![]));
        let (first, second) = (dated(&events[1], NOW + 2_002), dated(&events[2], NOW + 2_001));
        let shown = if is_split {
            bob.open("/sync?since=b", &sync(vec![], vec![second.clone()]))
        } else {
            bob.open("/sync?since=b", &sync(vec![], vec![second.clone(), first.clone()]))
        };
        assert_eq!(name_of(&shown).as_deref(), Some("Name 2"), "{shown}");
        assert!(!shown.to_string().contains("Name 1"), "{shown}");
        // The homeserver did nothing wrong.
        assert_eq!(bob.codes(), [] as [&str; 0]);
        let shown = bob.open("/sync?since=c", &sync(vec![first], vec![]));
        assert_eq!(name_of(&shown).as_deref(), Some("Name 2"), "{shown}");
    }
}

#[test]
fn an_old_name_behind_a_new_one_does_not_hide_it() {
    let (events, mut bob) = named_by(&[2, 1]);
    for event in &events[..2] {
        let event = dated(event, NOW);
        let mut state = room_state();
        state.push(event);
        bob.open("/sync?since=a", &sync(state, vec![]));
    }
    let mut replayed = dated(&events[0], NOW + 3);
    let timeline = vec![dated(&events[2], NOW + 2), replayed.clone()];
    let shown = bob.open("/sync?since=b", &sync(vec![], timeline));
    assert_eq!(name_of(&shown).as_deref(), Some("Name 2"), "{shown}");
    assert!(!shown.to_string().contains("Name 0"), "{shown}");
    assert_eq!(bob.codes(), ["rollback"]);
    // Neither does a message that came before, under another id.
    replayed["event_id"] = json!("$replayed");
    let shown = bob.open("/sync?since=c", &sync(vec![], vec![replayed]));
    assert!(!shown.to_string().contains("Name 0"), "{shown}");
}

/// A tab of Bob's that knows the room and Alice's devices.
fn knowing(mut tab: Client, alice: &[Client]) -> Client {
    tab.knows(&alice.iter().collect::<Vec<_>>());
    tab.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    tab
}

/// Takes over what another tab has stored.
fn merges(tab: &mut Client, other: &mut Client) {
    other.persist();
    tab.persist();
    tab.store.extend(other.store.clone());
    tab.engine.become_writer(&Value::Object(tab.store.clone()).to_string()).unwrap();
}

#[test]
fn what_a_tab_ahead_of_this_one_has_seen_counts_when_it_comes_here() {
    for comes_late in [false, true] {
        for is_reloaded in [false, true] {
            let (events, keys, alice) = written_by(&[1, 1]);
            let [early, late] = [dated(&events[0], NOW), dated(&events[1], NOW + 20_000)];
            let first = Client::new(BOB);
            let mut ahead = knowing(first.tab(), &alice);
            let mut behind = knowing(first.tab(), &alice);
            if comes_late {
                behind.open("/sync?since=a", &sync(vec![], vec![early.clone()]));
            }
            // The other one's sync has a gap, or it could not open what was before.
            ahead.engine.add_room_keys(&keys[1]).unwrap();
            let shown = ahead.open("/sync?since=b", &sync(vec![], vec![late.clone()]));
            assert_eq!(name_of(&shown).as_deref(), Some("Name 1"));
            merges(&mut behind, &mut ahead);
            if is_reloaded {
                behind = knowing(behind.tab(), &alice);
            }
            for keys in &keys {
                behind.engine.add_room_keys(keys).unwrap();
            }
            behind.retried();
            if !comes_late {
                behind.open("/sync?since=a", &sync(vec![], vec![early.clone()]));
            }
            let shown = behind.open("/sync?since=b", &sync(vec![], vec![late.clone()]));
            let what = format!("late: {comes_late}, reloaded: {is_reloaded}: {shown}");
            assert_eq!(name_of(&shown).as_deref(), Some("Name 1"), "{what}");
            assert_eq!(behind.codes(), [] as [&str; 0], "{what}");
            // From then on the one before is over, where it was seen here.
            let shown = behind.open("/sync?since=c", &sync(vec![], vec![early.clone()]));
            if !(comes_late && is_reloaded) {
                assert_eq!(name_of(&shown), None, "{what}");
            }
        }
    }
}

#[test]
fn what_a_tab_behind_this_one_has_stored_counts_no_more_than_before() {
    for sessions in [&[1, 1][..], &[2]] {
        let (events, keys, alice) = written_by(sessions);
        let [early, late] = [dated(&events[0], NOW), dated(&events[1], NOW + 20_000)];
        let first = Client::new(BOB);
        let mut behind = knowing(first.tab(), &alice);
        let mut ahead = knowing(first.tab(), &alice);
        for (tab, event) in [(&mut behind, &early), (&mut ahead, &late)] {
            for keys in &keys {
                tab.engine.add_room_keys(keys).unwrap();
            }
            tab.open("/sync?since=a", &sync(vec![], vec![event.clone()]));
        }
        merges(&mut ahead, &mut behind);
        let id = EventId { room_id: ROOM, id: "$name1" };
        assert!(ahead.engine.is_current(id, TypeAndKey::single("m.room.name")), "{sessions:?}");
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.name");
        let read = ahead.engine.before(Request { method: "GET", url: &url });
        assert!(serde_json::to_string(&read).unwrap().contains("Name 1"), "{sessions:?}");
    }
}
