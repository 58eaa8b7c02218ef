//! Telemetry: usage events, error reports, logs and timings stay here.
//!
//! Catalogue sections 9, 13 and 14. Services are known by Element's own hosts, and on other hosts by
//! the paths of their protocols. Answers are those the senders take for success, so that nothing is
//! sent again; a bug report, which a person sends, is refused in words.

use super::{BodyStep, Context, Head, HeadStep, Info, Rule, Shield, declared, documented};
use crate::verdict::{Action, Reply};
use crate::wire::address::{Address, percent_decoded};
use crate::wire::endpoint::Endpoint;
use crate::wire::json_edit::{Edit, JsonError, quoted};

/// Domains of the services that Element's own builds name.
const HOSTS: [&str; 6] = [
    "posthog.element.io",
    "posthog.com",
    "sentry.tools.element.io",
    "sentry.io",
    "rageshakes.element.io",
    "rageshakes.matrix.org",
];

pub(super) struct Telemetry;

static INFO: Info = Info {
    id: "telemetry",
    name: "Usage data and reports",
    purpose: documented(
        "Keeps what you do in Element, its errors and its logs from analytics, error tracking and bug report services.",
    ),
    loses: documented("You cannot send bug reports from Element."),
    why: documented(
        "Logs name you, your device and your rooms; nothing in Element depends on sending them.",
    ),
    allow: Some("Services you trust with usage data and bug reports"),
    rules: declared(&[Rule::Domains(&HOSTS)]),
    ..Info::PLAIN
};

const REFUSED: &str = "Mantle keeps Element from sending bug reports, because logs name you and your rooms; allow this host in Mantle's settings if you trust it.";

enum Service {
    /// PostHog.
    Usage,
    /// Sentry.
    Errors,
    /// Rageshake.
    Reports,
}

impl Shield for Telemetry {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::Foreign if !context.policy.is_allowed(INFO.id, head.address.host) => {
                let reply = match service(head, context) {
                    None => return HeadStep::Pass,
                    Some(Service::Usage) => Reply::ok(r#"{"status":1}"#),
                    Some(Service::Errors) => Reply::ok("{}"),
                    Some(Service::Reports) => Reply::forbidden(REFUSED),
                };
                HeadStep::Reply(Action::Blocked, reply)
            }
            Endpoint::AccountData
                if head.method == "PUT" && segment(head, 0) == "im.vector.analytics" =>
            {
                HeadStep::Body
            }
            Endpoint::Send if segment(head, 1) == "io.element.performance_metric" => {
                let event_id = quoted(&format!("$mantle-{}", segment(head, 0)));
                HeadStep::Reply(
                    Action::Answered,
                    Reply::ok(&format!(r#"{{"event_id":{event_id}}}"#)),
                )
            }
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        _body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        // The answer, also a "no", stays; only the lasting ID goes.
        Ok(BodyStep::Edit(vec![Edit::remove(&["id"])]))
    }
}

/// A segment of the path, unescaped, counted from its end.
fn segment(head: &Head<'_>, from_end: usize) -> String {
    let path = head.address.path.trim_end_matches('/');
    path.rsplit('/').nth(from_end).map(percent_decoded).unwrap_or_default().into_owned()
}

fn service(head: &Head<'_>, context: &Context<'_>) -> Option<Service> {
    let address = &head.address;
    let path = address.path;
    let by_path = if is_envelope(path) {
        Some(Service::Errors)
    } else if path.ends_with("/bugreports/submit") || path == "/api/submit" {
        Some(Service::Reports)
    } else if is_usage(address) {
        Some(Service::Usage)
    } else {
        None
    };
    let is_known = HOSTS.iter().any(|domain| address.is_within(domain));
    if is_known {
        return by_path.or(Some(Service::Usage));
    }
    // A site may well have paths like these of its own.
    by_path.filter(|_| head.method == "POST" && address.host != context.page_host)
}

/// `/api/{project}/envelope/` (Sentry's ingestion protocol).
fn is_envelope(path: &str) -> bool {
    let mut parts = path.trim_end_matches('/').rsplit('/');
    parts.next() == Some("envelope")
        && parts.next().is_some_and(|project| project.bytes().all(|digit| digit.is_ascii_digit()))
        && parts.next() == Some("api")
}

/// PostHog's endpoints for events and feature flags.
fn is_usage(address: &Address<'_>) -> bool {
    ["/i/v0/e/", "/e/", "/decide/", "/flags/"].contains(&address.path)
        && (address.path == "/i/v0/e/"
            || ["ip", "v", "ver", "compression"].iter().any(|name| address.has_parameter(name)))
}
