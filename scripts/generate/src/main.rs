//! Writes rules, tables and docs from the Rust tables, or checks that they are fresh.
//!
//! `mantle-generate --write` writes, `--check` fails when a file differs.

use mantle_settings::{GENERAL, GENERAL_OPTIONS, OptionInfo, OptionKind, Profile};
use mantle_shields::catalogue::{LEAKS, SECTIONS};
use mantle_shields::shields::{Info, Rule, SHIELDS, SITES, Shield};
use mantle_wire::route::protected_patterns;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod schema;
mod types;

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
        ("extension/generated/types.ts".into(), types::types()),
        ("extension/generated/protected.json".into(), pretty(&protected())),
        ("extension/generated/rules.json".into(), pretty(&rules())),
        ("extension/generated/managed-schema.json".into(), pretty(&schema::managed_schema())),
        ("docs/leaks.md".into(), leaks_page()),
        ("docs/shields.md".into(), shields_page()),
        ("docs/policy.md".into(), schema::policy_page()),
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
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

/// What a person reads of the tables, in English: entries of a browser extension's table of texts.
/// `extension/browser/messages.ts` looks them up by these names.
fn texts() -> Value {
    let mut texts = serde_json::Map::new();
    let mut add = |name: String, text: &str| {
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        texts.insert(name, json!({ "message": text }));
    };
    for info in SHIELDS.iter().map(|shield| shield.info()) {
        let id = info.id;
        add(format!("shield_{id}_name"), info.name);
        add(format!("shield_{id}_purpose"), info.purpose);
        add(format!("shield_{id}_loses"), info.loses);
        if let Some(title) = info.allow {
            add(format!("shield_{id}_allow"), title);
        }
    }
    let of_shields = SHIELDS.iter().map(|shield| (shield.info().id, shield.info().options));
    for (id, options) in of_shields.chain([(GENERAL, &GENERAL_OPTIONS[..])]) {
        for option in options {
            let key = option.key;
            add(format!("option_{id}_{key}"), option.title);
            if id == GENERAL {
                add(format!("why_{id}_{key}"), option.why);
            }
            if let OptionKind::Choice(choices) = option.kind {
                for (value, label) in choices {
                    add(format!("choice_{id}_{key}_{value}"), label);
                }
            }
        }
    }
    Value::Object(texts)
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
    let rules = || SHIELDS.iter().flat_map(|shield| shield.info().rules);
    let addresses = rules().filter_map(|rule| match rule {
        Rule::Addresses(pattern) => Some((*pattern).to_owned()),
        Rule::Domains(_) | Rule::Asked(_) | Rule::Header(..) => None,
    });
    let domains: Vec<_> = rules()
        .flat_map(|rule| match rule {
            Rule::Domains(domains) | Rule::Asked(domains) => *domains,
            Rule::Addresses(_) | Rule::Header(..) => &[],
        })
        .map(|domain| domain.replace('.', r"\."))
        .collect();
    let domains = domains.join("|");
    let below = format!(r"^(https?|wss?)://([^/?#]*[.@])?({domains})\.?(:\d+)?(/|\?|#|$)");
    json!({
        "refuse": protected_patterns()
            .into_iter()
            .map(|(method, pattern)| json!({ "methods": [method], "pattern": pattern }))
            .collect::<Vec<_>>(),
        "block": addresses
            .chain([below])
            .map(|pattern| json!({ "pattern": pattern }))
            .collect::<Vec<_>>(),
    })
}

/// By shield: the rules it declares, numbered from one.
fn rules() -> Value {
    let ruleset = |shield: &&'static dyn Shield| {
        let Info { id, rules, .. } = *shield.info();
        let rules: Vec<_> =
            (1..).zip(rules).filter_map(|(number, rule)| declarative(number, rule)).collect();
        (!rules.is_empty()).then(|| (id.to_owned(), Value::Array(rules)))
    };
    Value::Object(SHIELDS.iter().filter_map(ruleset).collect())
}

/// Without resource types a rule that blocks covers all but top-level navigation (a person may still
/// open the site), and no browser meets a type it does not know: Firefox then refuses the whole
/// ruleset. A header is set on what the sites themselves serve: documents, workers and style sheets,
/// each of which sets the policy of what it starts. `{{sites}}` becomes the sites' hosts.
fn declarative(id: u32, rule: &Rule) -> Option<Value> {
    let (action, condition) = match rule {
        // It would stop what the person agreed to.
        Rule::Asked(_) => return None,
        Rule::Domains(domains) => {
            // A dot at the end leads to the same server, and browsers tell the two apart.
            let dotted = domains.iter().map(|domain| format!("{domain}."));
            let all: Vec<_> =
                domains.iter().map(|domain| (*domain).to_owned()).chain(dotted).collect();
            (json!({ "type": "block" }), json!({ "requestDomains": all }))
        }
        Rule::Addresses(pattern) => (json!({ "type": "block" }), json!({ "regexFilter": pattern })),
        Rule::Header(name, value) => (
            json!({
                "type": "modifyHeaders",
                "responseHeaders": [{ "header": name, "operation": "set", "value": value }],
            }),
            json!({
                "requestDomains": ["{{sites}}"],
                "resourceTypes": ["main_frame", "sub_frame", "script", "stylesheet", "xmlhttprequest", "other"],
            }),
        ),
    };
    Some(json!({ "id": id, "priority": 1, "action": action, "condition": condition }))
}

fn leaks_page() -> String {
    let mut page = String::from(
        "# Leaks\n\nGenerated from `core/shields`; do not edit.\n\n\
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
    page
}

fn shields_page() -> String {
    let mut page = String::from(
        "# Shields\n\nGenerated from `core/shields`; do not edit.\n\n\
         What each shield does, what you lose by it, and what it is set to where nobody chose, with the reason. \
         [leaks.md](leaks.md) names the leaks it closes, [policy.md](policy.md) the keys that an organisation sets it by.\n\n\
         | shield | what it does | what you lose | recommended | strict | why |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for info in SHIELDS.iter().map(|shield| shield.info()) {
        let _ = writeln!(
            page,
            "| {}<br>`{}` | {} | {} | {} | {} | {} |",
            info.name,
            info.id,
            info.purpose,
            info.loses,
            info.default.name(),
            info.strict.name(),
            info.why
        );
    }
    page
}
