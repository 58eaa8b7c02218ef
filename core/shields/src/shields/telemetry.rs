//! Telemetry: usage events, error reports, logs and timings stay here.
//!
//! Catalogue sections 9, 13 and 14. Services are known by Element's own hosts, and on other hosts by
//! the paths of their protocols. Answers are those the senders take for success, so that nothing is
//! sent again; a bug report, which a person sends, is asked about.

use super::{
    BodyStep, Context, Head, HeadStep, Info, Place, Question, ResponseStep, Rule, Shield, declared,
    documented,
};
use crate::verdict::{Action, Reply};
use mantle_settings::Mode;
use mantle_wire::json::{Document, Edit, JsonError, quoted};
use mantle_wire::route::Endpoint;
use mantle_wire::url::{Address, Found, found};
use std::borrow::Cow;

/// Domains of the services that Element's own builds name.
const HOSTS: [&str; 4] =
    ["posthog.element.io", "posthog.com", "sentry.tools.element.io", "sentry.io"];
/// Those that take bug reports.
const REPORT_HOSTS: [&str; 2] = ["rageshakes.element.io", "rageshakes.matrix.org"];

pub(super) struct Telemetry;

pub(super) static INFO: Info = Info {
    id: "telemetry",
    name: "Usage data and reports",
    purpose: documented(
        "Keeps what you do in Element and its errors from analytics and error tracking services, and asks before a bug report with Element's logs leaves.",
    ),
    loses: documented(
        "A question comes before a bug report; another person's Element is not asked for its logs when a message of theirs cannot be read.",
    ),
    default: Mode::Ask,
    why: documented(
        "Logs name you, your device and your rooms, but whoever reports a bug may want them read; nothing depends on the rest.",
    ),
    modes: &Mode::ALL,
    allow: Some("Services you trust with usage data and bug reports"),
    rules: declared(&[Rule::Domains(&HOSTS), Rule::Asked(&REPORT_HOSTS)]),
    endpoints: &[
        Endpoint::Foreign,
        Endpoint::AccountData,
        Endpoint::SendToDevice,
        Endpoint::Send,
        Endpoint::ElementConfig,
    ],
    ..Info::PLAIN
};

static REPORT: Question = Question {
    id: "report",
    title: "Send this report?",
    text: "Whoever runs the bug report service can read it. Element's logs, which come with it unless you left them out, name your Matrix ID, your device and your rooms.",
    send: "Send report",
    remember: None,
};

/// How Element has a sender's device send its logs, when it cannot read a message.
const REPORT_REQUEST: &str = "im.vector.auto_rs_request";

/// Where Element's configuration says that bug reports go.
const REPORT_URLS: [&str; 2] = ["bug_report_endpoint_url", "bugReportEndpointUrl"];

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
            Endpoint::ElementConfig if head.address.host == context.page_host => {
                HeadStep::InspectResponse
            }
            Endpoint::Foreign if !context.policy.is_allowed(INFO.id, head.address.host) => {
                let reply = match service(head, context) {
                    None => return HeadStep::Pass,
                    Some(Service::Usage) => Reply::ok(r#"{"status":1}"#),
                    Some(Service::Errors) => Reply::ok("{}"),
                    Some(Service::Reports) => return HeadStep::Ask(&REPORT),
                };
                HeadStep::Reply(Action::Blocked, reply)
            }
            Endpoint::AccountData
                if head.method == "PUT" && head.route.is_parameter(1, "im.vector.analytics") =>
            {
                HeadStep::Body
            }
            Endpoint::SendToDevice if head.route.is_parameter(0, REPORT_REQUEST) => {
                HeadStep::Reply(Action::Answered, Reply::ok("{}"))
            }
            Endpoint::Send if head.route.is_parameter(1, "io.element.performance_metric") => {
                let transaction = head.route.parameter(2).unwrap_or_default();
                let event_id = quoted(&format!("$mantle-{transaction}"));
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

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        REPORT_URLS.map(Cow::Borrowed).to_vec()
    }

    fn response(
        &self,
        _head: &Head<'_>,
        context: &Context<'_>,
        body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        for path in REPORT_URLS {
            let Some(url) = body.get_str(path).filter(|url| !url.is_empty()) else { continue };
            match reported_to(&url, context) {
                // What is left is the whole site, which also serves Element.
                Some(place) if place.host == context.page_host && place.path_prefix == "/" => {}
                Some(place) => step.reports.push(place),
                // Reports would leave unasked for where only a URL parser knows.
                None => step.edits.push(Edit::remove(&[path])),
            }
        }
        Ok(step)
    }
}

/// Where reports go by the configuration, which may say it relative to the page; `None` where that
/// cannot be told.
fn reported_to(url: &str, context: &Context<'_>) -> Option<Place> {
    if found(url) != Found::Relative {
        return Place::of(url);
    }
    match url.trim_start().strip_prefix('/') {
        Some(path) => Place::of(&format!("https://{}/{path}", context.page_host)),
        None => Place::of(&format!("{}{}", context.page_folder, url.trim())),
    }
}

fn service(head: &Head<'_>, context: &Context<'_>) -> Option<Service> {
    let address = &head.address;
    // Whoever has such a service behind a proxy may put a folder in front.
    let path = address.path.trim_end_matches('/');
    let by_path = if is_envelope(path) {
        Some(Service::Errors)
    } else if path.ends_with("/bugreports/submit") || path.ends_with("/api/submit") {
        Some(Service::Reports)
    } else if is_usage(address) {
        Some(Service::Usage)
    } else {
        None
    };
    // The site's own too: whoever runs it is no more asked for than another.
    if context.learned.is_report(address) && !matches!(head.method, "GET" | "HEAD") {
        return Some(Service::Reports);
    }
    if REPORT_HOSTS.iter().any(|domain| address.is_within(domain)) {
        return Some(Service::Reports);
    }
    if HOSTS.iter().any(|domain| address.is_within(domain)) {
        return by_path.or(Some(Service::Usage));
    }
    // A site may well have paths like these of its own.
    by_path.filter(|_| head.method == "POST" && address.host != context.page_host)
}

/// `/api/{project}/envelope/` (Sentry's ingestion protocol).
fn is_envelope(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next() == Some("envelope")
        && parts.next().is_some_and(|project| project.bytes().all(|digit| digit.is_ascii_digit()))
        && parts.next() == Some("api")
}

/// PostHog's endpoints for events and feature flags.
fn is_usage(address: &Address<'_>) -> bool {
    address.path.ends_with("/i/v0/e/")
        || ["/e/", "/decide/", "/flags/"].iter().any(|end| address.path.ends_with(end))
            && ["ip", "v", "ver", "compression"].iter().any(|name| address.has_parameter(name))
}
