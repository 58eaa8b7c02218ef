//! The law of the check-up: spellings of JSON do not count, it ends, and what it keeps it can read.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests may panic")]

#[path = "../../../fuzz/src/oracle.rs"]
mod oracle;

use mantle_check_up::{Account, CheckUp, Inquiry, Next, Repair, Response};
use oracle::{Read, value};
use serde_json::{Value, json};

const ME: &str = "@alice:hs.example.org";

fn checked(answers: &[&str]) -> CheckUp {
    let mut check = CheckUp::new(Account {
        user: ME.to_owned(),
        device: "HERE".to_owned(),
        session_name: "Element".to_owned(),
        convertible: vec!["!r:x".to_owned()],
        now: 1_764_000_000_000,
    });
    let mut answers = answers.iter();
    let mut requests = 0;
    while let Some(inquiry) = check.next_inquiry() {
        requests += 1;
        assert!(requests < 500, "it does not end");
        if let Inquiry::Ask { request } = &inquiry {
            assert!(
                request.method == "GET" && request.path.starts_with("/_matrix/"),
                "{request:?}"
            );
        }
        let body = answers.next().copied().unwrap_or("{}");
        check.answer(Response { status: 200, headers: "", body });
    }
    check
}

/// Findings, and what their repairs would do, step by step.
fn told(check: &CheckUp, repaired: &str) -> Value {
    let report = check.report();
    let mut repairs = Vec::new();
    for finding in &report.findings {
        let Some(mut repair) = check.repair(finding.id) else { continue };
        let mut asked = Vec::new();
        let mut now = 0;
        for _ in 0..40 {
            let kept = repair.text();
            let again = Repair::from_text(&kept, ME);
            assert!(again.is_ok(), "it cannot read what it kept: {kept}");
            match repair.next(now) {
                Next::Ask { request } => {
                    asked.push(serde_json::to_value(&request).unwrap());
                    repair.answered(now, Response { status: 200, headers: "", body: repaired });
                }
                next => asked.push(serde_json::to_value(&next).unwrap()),
            }
            now += 10_000;
        }
        repairs.push(json!([asked, serde_json::to_value(repair.view(now)).unwrap()]));
    }
    json!([serde_json::to_value(&report).unwrap(), repairs])
}

/// Answers of a homeserver, one a line.
pub fn check_up(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let answers: Vec<_> = text.lines().collect();
    let repaired = answers.last().copied().unwrap_or("{}");
    let outcome = told(&checked(&answers), repaired);
    if let Ok(repair) = Repair::from_text(repaired, ME) {
        let again = Repair::from_text(&repair.text(), ME).unwrap();
        assert_eq!(again.text(), repair.text());
    }
    let mut plain = Vec::new();
    for answer in &answers {
        plain.push(match oracle::read(answer) {
            Read::Value(value) => value.to_string(),
            Read::Invalid => (*answer).to_owned(),
            // What serde_json has no value of, it reads in parts.
            Read::Valid | Read::Unknown => return,
        });
    }
    let spelled: Vec<_> = plain.iter().map(String::as_str).collect();
    let repaired = spelled.last().copied().unwrap_or("{}");
    assert_eq!(outcome, told(&checked(&spelled), repaired));
    assert!(value(&outcome.to_string()).is_some());
}
