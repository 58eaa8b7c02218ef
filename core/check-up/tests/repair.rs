//! A repair over its life: waits, pauses, cuts, and the way back.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;

use mantle_check_up::{
    Account, CheckUp, FindingId, Inquiry, Next, Pause, Repair, RepairState, RepairView, Request,
    Response,
};
use serde_json::{Value, json};

const ME: &str = "@alice:hs.example.org";

fn account() -> Account {
    Account {
        user: ME.to_owned(),
        device: "HERE".to_owned(),
        session_name: "Element".to_owned(),
        convertible: vec![],
        now: 1_764_000_000_000,
    }
}

fn answer(status: u16, body: &str) -> Response<'_> {
    Response { status, headers: "", body }
}

/// Steps that were made, or taken back.
const fn done(view: &RepairView) -> usize {
    view.settled - view.changed - view.refused
}

fn limited(body: &str) -> Response<'_> {
    answer(429, body)
}

/// Sessions `S000`, `S001`… with names of their own.
struct Homeserver {
    names: BTreeMap<String, String>,
    writes: usize,
}

impl Homeserver {
    fn new(sessions: usize) -> Self {
        let names = (0..sessions).map(|index| (format!("S{index:03}"), format!("Chrome {index}")));
        Self { names: names.collect(), writes: 0 }
    }

    fn check(&self) -> CheckUp {
        let devices: Vec<Value> = self
            .names
            .iter()
            .map(|(id, name)| json!({ "device_id": id, "display_name": name }))
            .collect();
        let body = json!({ "devices": devices }).to_string();
        let mut check = CheckUp::new(account());
        while let Some(Inquiry::Ask { request }) = check.next_inquiry() {
            let is_devices = request.path.ends_with("/devices");
            let body = if is_devices { body.as_str() } else { "{}" };
            check.answer(Response { status: 200, headers: "", body });
        }
        check
    }

    fn repair(&self) -> Repair {
        self.check().repair(FindingId::SessionNames).expect("there is something to repair")
    }

    fn take(&mut self, request: &Request) -> (u16, String) {
        let id = request.path.rsplit('/').next().unwrap();
        let Some(name) = self.names.get_mut(id) else { return (404, "{}".to_owned()) };
        if request.method == "PUT" {
            let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
            body["display_name"].as_str().unwrap().clone_into(name);
            self.writes += 1;
            return (200, "{}".to_owned());
        }
        (200, json!({ "device_id": id, "display_name": name }).to_string())
    }

    fn all_are(&self, name: &str) -> bool {
        self.names.values().all(|known| known == name)
    }
}

/// Goes on until there is nothing to do, at most so many answers.
fn run(repair: &mut Repair, server: &mut Homeserver, most: usize) -> usize {
    for answers in 0..most {
        let Next::Ask { request } = repair.next(0) else { return answers };
        let (status, body) = server.take(&request);
        repair.answered(0, answer(status, &body));
    }
    most
}

#[test]
fn all_steps_are_made_and_taken_back_the_last_first() {
    let mut server = Homeserver::new(5);
    let before = server.names.clone();
    let mut repair = server.repair();
    run(&mut repair, &mut server, 1_000);
    let view = repair.view(0);
    assert!(server.all_are("Element"));
    assert_eq!(
        (view.state, done(&view), view.total, view.undoable),
        (RepairState::Ended, 5, 5, true)
    );

    assert!(repair.undo());
    assert!(!repair.undo(), "once");
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert!(request.path.ends_with("S004"));
    run(&mut repair, &mut server, 1_000);
    let view = repair.view(0);
    assert_eq!(server.names, before);
    assert_eq!((view.undoing, done(&view), view.settled, view.total), (true, 5, 5, 5));
    assert_eq!((view.state, view.undoable), (RepairState::Ended, false));
}

#[test]
fn two_hundred_steps_go_on_wherever_they_are_cut() {
    let whole = {
        let mut server = Homeserver::new(200);
        run(&mut server.repair(), &mut server, 10_000)
    };
    assert_eq!(whole, 400);
    for cut in (0..whole).step_by(7) {
        let mut server = Homeserver::new(200);
        let mut repair = server.repair();
        run(&mut repair, &mut server, cut);
        let kept = repair.text();
        // One request more arrives, but its answer finds nobody.
        if let Next::Ask { request } = repair.next(0) {
            server.take(&request);
        }
        let mut repair = Repair::from_text(&kept, ME).expect("it was kept");
        repair.resume();
        run(&mut repair, &mut server, 10_000);
        assert!(server.all_are("Element"), "cut at {cut}");
        assert_eq!(server.writes, 200, "cut at {cut}");
        assert_eq!(done(&repair.view(0)), 200, "cut at {cut}");
        assert!(repair.undo());
    }
}

#[test]
fn what_somebody_changed_meanwhile_stays_in_both_directions() {
    let mut server = Homeserver::new(3);
    let mut repair = server.repair();
    server.names.insert("S001".to_owned(), "Named just now".to_owned());
    run(&mut repair, &mut server, 1_000);
    let view = repair.view(0);
    assert_eq!((done(&view), view.changed, view.refused), (2, 1, 0));
    assert_eq!(server.names["S001"], "Named just now");

    server.names.insert("S002".to_owned(), "And this".to_owned());
    assert!(repair.undo());
    run(&mut repair, &mut server, 1_000);
    let names: Vec<_> = server.names.values().map(String::as_str).collect();
    assert_eq!(names, ["Chrome 0", "Named just now", "And this"]);
    let view = repair.view(0);
    assert_eq!((done(&view), view.changed, view.total), (1, 1, 2));
}

#[test]
fn what_is_gone_or_refused_costs_itself_alone() {
    let mut server = Homeserver::new(3);
    let mut repair = server.repair();
    server.names.remove("S000");
    let mut refusals = 0;
    while let Next::Ask { request } = repair.next(0) {
        let (status, body) = server.take(&request);
        let is_refused = request.path.ends_with("S001") && request.method == "PUT";
        refusals += usize::from(is_refused);
        repair.answered(0, answer(if is_refused { 403 } else { status }, &body));
    }
    let view = repair.view(0);
    assert_eq!((refusals, done(&view), view.changed, view.refused), (1, 1, 1, 1));
    assert_eq!(view.state, RepairState::Ended);
}

#[test]
fn waits_as_long_as_the_homeserver_asks_also_over_a_cut() {
    let server = Homeserver::new(1);
    let mut repair = server.repair();
    assert!(matches!(repair.next(1_000), Next::Ask { .. }));
    repair.answered(1_000, limited(&format!("{{\"retry_after_ms\":{}}}", 4_000)));
    assert_eq!(repair.next(1_001), Next::Wait { until: 5_000 });
    assert_eq!(repair.view(1_001).waiting, Some(5_000));
    let mut repair = Repair::from_text(&repair.text(), ME).unwrap();
    repair.resume();
    assert_eq!(repair.next(4_999), Next::Wait { until: 5_000 });
    assert!(matches!(repair.next(5_000), Next::Ask { .. }));
    assert_eq!(repair.view(5_000).waiting, None);
}

#[test]
fn a_wait_is_told_by_matrix_or_by_http() {
    for (headers, body, until) in [
        ("", r#"{"retry_after_ms":1500}"#, 1_500),
        ("retry-after: 7", r#"{"retry_after_ms":1500}"#, 1_500),
        ("server: x\nRetry-After: 7\n", r#"{"errcode":"M_LIMIT_EXCEEDED"}"#, 7_000),
        ("retry-after: Fri, 01 Jan 2100 00:00:00 GMT", "{}", 2_000),
        ("", r#"{"retry_after_ms":-1}"#, 2_000),
        ("", r#"{"retry_after_ms":"soon"}"#, 2_000),
        ("", "Too many requests", 2_000),
    ] {
        let mut repair = Homeserver::new(1).repair();
        repair.next(0);
        repair.answered(0, Response { status: 429, headers, body });
        assert_eq!(repair.next(0), Next::Wait { until }, "{headers} {body}");
    }
}

#[test]
fn a_wait_that_nobody_sits_out_pauses_and_holds_for_who_goes_on() {
    let mut repair = Homeserver::new(1).repair();
    repair.next(0);
    repair.answered(0, limited(&format!("{{\"retry_after_ms\":{}}}", 3_600_000)));
    assert_eq!(repair.view(0).state, RepairState::Paused { why: Pause::Slow });
    assert_eq!(repair.next(0), Next::Rest);
    repair.resume();
    assert_eq!(repair.next(0), Next::Wait { until: 3_600_000 });
    let mut now = 3_600_000;
    for absurd in [u64::MAX, u64::MAX - 5] {
        repair.next(now);
        repair.answered(now, limited(&format!("{{\"retry_after_ms\":{}}}", absurd)));
        repair.resume();
        assert_eq!(repair.next(now), Next::Wait { until: now + 86_400_000 }, "a day at most");
        now += 86_400_000;
    }
}

#[test]
fn what_cannot_be_reached_is_tried_ever_later_and_then_rests() {
    for (status, why) in [(0, Pause::Unreachable), (401, Pause::SignedOut), (503, Pause::Failing)] {
        let mut server = Homeserver::new(2);
        let mut repair = server.repair();
        let mut now = 0;
        let mut tries = 0;
        let mut last = 0;
        loop {
            match repair.next(now) {
                Next::Ask { .. } => {
                    tries += 1;
                    repair.answered(now, answer(status, ""));
                }
                Next::Wait { until } => {
                    assert!(until - now >= last, "{status}");
                    last = until - now;
                    now = until;
                }
                _ => break,
            }
            assert!(tries < 100);
        }
        assert_eq!(repair.view(now).state, RepairState::Paused { why });
        assert_eq!(tries, 6);
        repair.resume();
        let mut repair = Repair::from_text(&repair.text(), ME).unwrap();
        while let Next::Wait { until } = repair.next(now) {
            now = until;
        }
        for _ in 0..10 {
            let Next::Ask { request } = repair.next(now) else { break };
            let (status, body) = server.take(&request);
            repair.answered(now, answer(status, &body));
        }
        assert!(server.all_are("Element"));
    }
}

#[test]
fn pausing_keeps_what_was_under_way() {
    let mut server = Homeserver::new(2);
    let mut repair = server.repair();
    run(&mut repair, &mut server, 1);
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert_eq!(request.method, "PUT");
    repair.pause();
    assert_eq!(repair.next(0), Next::Rest);
    let (status, body) = server.take(&request);
    repair.answered(0, answer(status, &body));
    let view = repair.view(0);
    assert_eq!((done(&view), view.state), (1, RepairState::Paused { why: Pause::Asked }));
    assert!(view.undoable, "a paused repair may be taken back");
    repair.resume();
    run(&mut repair, &mut server, 100);
    assert!(server.all_are("Element"));
}

/// Runs on while one session answers with this status only.
fn run_past(repair: &mut Repair, server: &mut Homeserver, id: &str, status: u16) {
    let mut now = 0;
    for _ in 0..1_000 {
        match repair.next(now) {
            Next::Wait { until } => now = until,
            Next::Ask { request } if request.path.ends_with(id) => {
                repair.answered(now, answer(status, ""));
            }
            Next::Ask { request } => {
                let (status, body) = server.take(&request);
                repair.answered(now, answer(status, &body));
            }
            _ => return,
        }
    }
    panic!("no end");
}

#[test]
fn one_step_that_never_succeeds_does_not_hold_up_all_behind_it() {
    for (status, why) in [(0, Pause::Unreachable), (503, Pause::Failing)] {
        let mut server = Homeserver::new(3);
        let mut repair = server.repair();
        run_past(&mut repair, &mut server, "S001", status);
        assert_eq!(repair.view(0).state, RepairState::Paused { why });
        assert_eq!(repair.view(0).settled, 1);
        let mut repair = Repair::from_text(&repair.text(), ME).unwrap();
        repair.resume();
        run_past(&mut repair, &mut server, "S001", status);
        let view = repair.view(0);
        assert_eq!((view.state, view.refused), (RepairState::Ended, 1), "{status}");
        assert_eq!(server.names["S002"], "Element");

        assert!(repair.undo());
        run_past(&mut repair, &mut server, "S002", status);
        assert_eq!(repair.view(0).state, RepairState::Paused { why });
        repair.resume();
        run_past(&mut repair, &mut server, "S002", status);
        assert_eq!((repair.view(0).state, repair.view(0).changed), (RepairState::Ended, 1));
        assert_eq!(server.names["S000"], "Chrome 0");
    }
    // Nothing is refused to somebody who is signed out.
    let mut server = Homeserver::new(3);
    let mut repair = server.repair();
    for _ in 0..3 {
        run_past(&mut repair, &mut server, "S000", 401);
        assert_eq!(repair.view(0).state, RepairState::Paused { why: Pause::SignedOut });
        repair.resume();
    }
}

#[test]
fn of_what_is_over_and_cannot_be_taken_back_nothing_is_kept_but_how_it_ended() {
    let mut server = Homeserver::new(3);
    let mut repair = server.repair();
    server.names.insert("S001".to_owned(), "Named just now".to_owned());
    run(&mut repair, &mut server, 100);
    let text = repair.text();
    assert!(text.contains("Chrome 0") && text.contains("S002"), "the way back is");
    assert!(!text.contains("Chrome 1") && !text.contains("S001"), "{text}");
    let mut repair = Repair::from_text(&text, ME).expect("it was kept");
    assert!(repair.undo());
    assert!(repair.text().contains("Chrome 0"));
    run(&mut repair, &mut server, 100);
    assert_eq!(server.names["S000"], "Chrome 0");
    let text = repair.text();
    assert!(!text.contains("Chrome") && !text.contains("S00"), "{text}");
    let kept = Repair::from_text(&text, ME).expect("it was kept");
    assert_eq!(kept.view(0), repair.view(0));
    assert!(Repair::from_text(&text.replace("\"ended\"", "\"running\""), ME).is_err());

    let rooms: Vec<String> = (0..2).map(|index| format!("!secret{index}:hs")).collect();
    let event =
        |kind: &str, content: Value| json!({ "type": kind, "state_key": "", "content": content });
    let state = json!({ "state": { "events": [
        event("m.room.encryption", json!({ "algorithm": "m" })),
        event("m.room.name", json!({ "name": "Orchard" })),
    ] } });
    let joined: BTreeMap<_, _> = rooms.iter().map(|id| (id.clone(), state.clone())).collect();
    let body = json!({ "rooms": { "join": joined } }).to_string();
    let mut check = CheckUp::new(Account { convertible: rooms, ..account() });
    while let Some(Inquiry::Ask { request }) = check.next_inquiry() {
        check.answer(answer(200, if request.path.contains("/sync") { &body } else { "{}" }));
    }
    let mut repair = check.repair(FindingId::ReadableRooms).unwrap();
    while let Next::Convert { .. } = repair.next(0) {
        assert!(repair.text().contains("secret1"));
        repair.answered(0, answer(200, ""));
    }
    let text = repair.text();
    assert!(!text.contains("Orchard") && !text.contains("secret"), "{text}");
    assert_eq!(Repair::from_text(&text, ME).unwrap().view(0), repair.view(0));
}

#[test]
fn an_answer_to_what_is_asked_no_longer_is_nobody_s() {
    let mut server = Homeserver::new(2);
    let mut repair = server.repair();
    run(&mut repair, &mut server, 2);
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert_eq!((request.method, request.path.ends_with("S001")), ("GET", true));
    let (status, body) = server.take(&request);
    repair.pause();
    assert!(repair.undo());
    repair.answered(0, answer(status, &body));
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert!(request.path.ends_with("S000"), "the undo is not over by another's answer");
    run(&mut repair, &mut server, 100);
    assert_eq!(server.names["S000"], "Chrome 0");

    let mut repair = server.repair();
    run(&mut repair, &mut server, 1);
    let Next::Ask { request } = repair.next(0) else { panic!("no request") };
    assert_eq!(request.method, "PUT");
    repair.pause();
    repair.resume();
    repair.answered(0, answer(200, "{}"));
    repair.answered(0, answer(200, "{}"));
    assert_eq!(repair.view(0).changed, 0);
    run(&mut repair, &mut server, 100);
    assert!(server.all_are("Element"));
}

#[test]
fn only_a_repair_of_this_account_is_taken_up() {
    let repair = Homeserver::new(2).repair();
    let text = repair.text();
    assert!(Repair::from_text(&text, ME).is_ok());
    assert!(Repair::from_text(&text, "@bob:hs.example.org").is_err());
    for broken in [
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        text.replace("\"version\":1", "\"version\":2"),
        text.replacen("\"open\",", "", 1),
        text.replace("/_matrix/client/v3/devices/S001", "/_synapse/admin/v1/users"),
        text.replace("session-names", "something-new"),
        format!("{text}{}", " ".repeat(300_000)),
        "[".repeat(200_000),
    ] {
        assert!(Repair::from_text(&broken, ME).is_err(), "{broken:.60}");
    }
}
