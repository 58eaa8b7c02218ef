//! Writes rules, tables and docs from the Rust tables, or checks that they are fresh.
//!
//! `mantle-generate --write` writes, `--check` fails when a file differs.

use mantle_core::leaks::{LEAKS, SECTIONS};
use mantle_core::policy::{GENERAL_OPTIONS, OptionInfo, Profile};
use mantle_core::shields::{
    EXTRA_HOSTS, IDENTITY_PATH_REGEX, INTEGRATION_HOSTS, INTEGRATIONS_PATH_REGEX, Info, MAP_HOSTS,
    REFERRER_POLICY, SCALAR_TOKEN_REGEX, SHIELDS, SITES, Shield, TELEMETRY_HOSTS,
};
use mantle_core::wire::endpoint::protected_patterns;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod schema;

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        Some("--check") => true,
        Some("--write") => false,
        _ => {
            eprintln!("usage: mantle-generate --write | --check");
            return ExitCode::from(2);
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = Vec::new();
    for (path, text) in files() {
        let path = root.join(path);
        if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if check {
            stale.push(path);
        } else if let Err(error) = write(&path, &text) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    for path in &stale {
        eprintln!("{} is stale; run scripts/build and commit it", path.display());
    }
    if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text)
}

fn files() -> Vec<(PathBuf, String)> {
    vec![
        ("extension/generated/tables.json".into(), pretty(&tables())),
        ("extension/generated/texts.json".into(), pretty(&texts())),
        ("extension/generated/protected.json".into(), pretty(&protected())),
        ("extension/generated/rules/integrations.json".into(), pretty(&integration_rules())),
        ("extension/generated/rules/identity.json".into(), pretty(&identity_rules())),
        ("extension/generated/rules/telemetry.json".into(), pretty(&host_rules(&TELEMETRY_HOSTS))),
        ("extension/generated/rules/maps.json".into(), pretty(&host_rules(&MAP_HOSTS))),
        ("extension/generated/rules/extras.json".into(), pretty(&host_rules(&EXTRA_HOSTS))),
        ("extension/generated/managed-schema.json".into(), pretty(&schema::managed_schema())),
        ("extension/generated/rules/referrer.json".into(), pretty(&referrer_rules())),
        ("docs/leaks.md".into(), leaks_page()),
        ("docs/policy.md".into(), schema::policy_page()),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What the popup says of each shield.
fn texts() -> Value {
    let text = |shield: &&'static dyn Shield| {
        let Info { id, purpose, loses, .. } = *shield.info();
        (id.to_owned(), json!({ "purpose": purpose, "loses": loses }))
    };
    Value::Object(SHIELDS.iter().map(text).collect())
}

fn tables() -> Value {
    let shields: Vec<_> = SHIELDS
        .iter()
        .map(|shield| {
            let info = shield.info();
            json!({
                "id": info.id,
                "name": info.name,
                "purpose": info.purpose,
                "loses": info.loses,
                "default": info.default,
                "why": info.why,
                "strict": info.strict,
                "modes": info.modes,
                "allow": info.allow,
                "options": info.options.iter().map(option).collect::<Vec<_>>(),
                "policyKey": format!("shields.{}", info.id),
                "section": section(info.id),
            })
        })
        .collect();
    let leaks: Vec<_> = LEAKS
        .iter()
        .map(|leak| json!({ "id": leak.id, "section": leak.section, "what": leak.what, "to": leak.to, "shield": leak.shield }))
        .collect();
    json!({ "sites": SITES, "sections": SECTIONS, "shields": shields, "leaks": leaks, "profiles": Profile::ALL, "general": GENERAL_OPTIONS.iter().map(option).collect::<Vec<_>>() })
}

/// Of the catalogue, that most of the shield's leaks are in; the later one of two.
fn section(shield: &str) -> Option<u8> {
    let rows = |section: u8| {
        LEAKS.iter().filter(|leak| leak.section == section && leak.shield == Some(shield)).count()
    };
    (1..=u8::MAX).take(SECTIONS.len()).filter(|at| rows(*at) > 0).max_by_key(|at| rows(*at))
}

fn option(option: &OptionInfo) -> Value {
    json!({
        "key": option.key,
        "title": option.title,
        "kind": option.kind,
        "default": option.default_value(),
        "why": option.why,
    })
}

/// For a page whose core does not run: what is refused, what is blocked.
fn protected() -> Value {
    let hosts = INTEGRATION_HOSTS.map(|host| host.replace('.', r"\.")).join("|");
    let domains: Vec<_> =
        TELEMETRY_HOSTS.iter().chain(&MAP_HOSTS).map(|host| host.replace('.', r"\.")).collect();
    let domains = domains.join("|");
    json!({
        "refuse": protected_patterns()
            .into_iter()
            .map(|(method, pattern)| json!({ "methods": [method], "pattern": pattern }))
            .collect::<Vec<_>>(),
        "block": [
            { "pattern": IDENTITY_PATH_REGEX },
            { "pattern": INTEGRATIONS_PATH_REGEX },
            { "pattern": SCALAR_TOKEN_REGEX },
            { "pattern": format!(r"^(https?|wss?)://({hosts})(:\d+)?(/|\?|#|$)") },
            { "pattern": format!(r"^(https?|wss?)://([^/?#]+\.)?({domains})(:\d+)?(/|\?|#|$)") },
        ],
    })
}

/// Without resource types a rule covers all but top-level navigation (a person may still open the
/// site), and no browser meets a type it does not know: Firefox then refuses the whole ruleset.
fn rule(id: u32, condition: Value) -> Value {
    json!({ "id": id, "priority": 1, "action": { "type": "block" }, "condition": condition })
}

fn integration_rules() -> Value {
    json!([
        rule(1, json!({ "requestDomains": INTEGRATION_HOSTS })),
        rule(2, json!({ "regexFilter": INTEGRATIONS_PATH_REGEX })),
        rule(3, json!({ "regexFilter": SCALAR_TOKEN_REGEX })),
    ])
}

fn identity_rules() -> Value {
    json!([rule(1, json!({ "regexFilter": IDENTITY_PATH_REGEX }))])
}

fn host_rules(hosts: &[&str]) -> Value {
    json!([rule(1, json!({ "requestDomains": hosts }))])
}

/// On what the sites themselves serve: documents, workers and style sheets, each of which sets the
/// policy of what it starts. `{{sites}}` becomes the sites' hosts.
fn referrer_rules() -> Value {
    json!([{
        "id": 1,
        "priority": 1,
        "action": {
            "type": "modifyHeaders",
            "responseHeaders": [
                { "header": "referrer-policy", "operation": "set", "value": REFERRER_POLICY },
            ],
        },
        "condition": {
            "requestDomains": ["{{sites}}"],
            "resourceTypes": ["main_frame", "sub_frame", "script", "stylesheet", "xmlhttprequest", "other"],
        },
    }])
}

fn leaks_page() -> String {
    let mut page = String::from(
        "# Leaks\n\nGenerated from `core/src/leaks.rs` and `core/src/shields/`; do not edit.\n\n\
         What Element Web tells whom beside the encrypted messages, and which shield closes it.\n",
    );
    for (index, title) in SECTIONS.iter().enumerate() {
        let number = index.saturating_add(1);
        let _ = write!(
            page,
            "\n## {number}. {title}\n\n| id | what leaks | to whom | shield |\n| --- | --- | --- | --- |\n"
        );
        for leak in LEAKS.iter().filter(|leak| usize::from(leak.section) == number) {
            let shield = match leak.shield {
                None => "none: out of a browser's reach".to_owned(),
                Some(id) if SHIELDS.iter().any(|shield| shield.info().id == id) => {
                    format!("`{id}`")
                }
                Some(id) => format!("`{id}` (planned)"),
            };
            let _ = writeln!(page, "| `{}` | {} | {} | {shield} |", leak.id, leak.what, leak.to);
        }
    }
    let _ = write!(
        page,
        "\n## Shields\n\n| id | what it does | what you lose | default | why |\n| --- | --- | --- | --- | --- |\n"
    );
    for shield in SHIELDS {
        let info = shield.info();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            info.id,
            info.purpose,
            info.loses,
            info.default.name(),
            info.why
        );
    }
    page
}
