//! What happens to an upload: sent as it is, sent without metadata, asked about, or refused.

use super::{Findings, Kind, Plan, Refusal, Report};
use mantle_settings::Mode;
use mantle_wire::json::{get, get_str};
use mantle_wire::url::percent_decoded;
use serde::Serialize;

/// The settings of the media shield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// flag: only told; ask: asked; on: refused without asking.
    pub mode: Mode,
    /// Take metadata out of pictures.
    pub removes_metadata: bool,
    /// Take the file's name out of the request.
    pub removes_name: bool,
}

impl Settings {
    /// From the settings of the shield as the core tells them; the strictest where they are not
    /// readable.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let is_set = |key: &str| !matches!(get_str(text, &["options", key]), Ok(Some(value)) if value == "keep");
        let mode = get_str(text, &["mode"]).ok().flatten();
        Self {
            mode: mode.as_deref().and_then(Mode::from_name).unwrap_or(Mode::On),
            removes_metadata: is_set("metadata"),
            removes_name: is_set("fileName"),
        }
    }
}

/// To whom a homeserver gives media that is uploaded now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerMedia {
    /// To anyone with the link: tried without credentials.
    Public,
    /// To signed-in users only: tried.
    Closed,
    /// It could not be tried.
    #[default]
    Unknown,
}

impl ServerMedia {
    /// By its name in JSON; unknown for all others.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "public" => Self::Public,
            "closed" => Self::Closed,
            _ => Self::Unknown,
        }
    }
}

/// A choice the person made before, for this room or server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// Send without metadata.
    Clean,
    /// Send as it is.
    Send,
}

/// An upload and what is known around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// Host of the homeserver.
    pub host: String,
    /// The request's content type.
    pub content_type: String,
    /// Whether the request names the file.
    pub has_name: bool,
    /// Whether the page shows a room, so that a choice can be remembered for it.
    pub has_room: bool,
    /// What the server does.
    pub server: ServerMedia,
    /// Whether it says that media needs signing in (MSC3916, Matrix 1.11).
    pub promises: bool,
    /// Day of the last try, for people.
    pub tried: String,
    /// What the person chose before.
    pub remembered: Option<Remembered>,
}

impl Upload {
    /// From an object with these fields, in camel case; what it lacks or has otherwise is unknown.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let string = |key: &str| get_str(text, &[key]).ok().flatten();
        let is_true = |key: &str| matches!(get(text, &[key]), Ok(Some("true")));
        Self {
            host: string("host").unwrap_or_default(),
            content_type: string("contentType").unwrap_or_default(),
            has_name: is_true("hasName"),
            has_room: is_true("hasRoom"),
            server: ServerMedia::from_name(&string("server").unwrap_or_default()),
            promises: is_true("promises"),
            tried: string("tried").unwrap_or_default(),
            remembered: match string("remembered").as_deref() {
                Some("clean") => Some(Remembered::Clean),
                Some("send") => Some(Remembered::Send),
                _ => None,
            },
        }
    }
}

/// A button of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// clean, send or cancel.
    pub id: &'static str,
    /// On the button.
    pub label: String,
    /// primary, danger or plain.
    pub kind: &'static str,
}

/// A question to the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub text: Vec<String>,
    /// Buttons.
    pub choices: Vec<Choice>,
    /// Boxes to tick: room, server.
    pub remember: Vec<Choice>,
}

/// What happens to the upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", rename_all_fields = "camelCase")]
pub enum Decision {
    /// It goes.
    Send {
        /// By the report's plan.
        clean: bool,
        /// Without its name.
        without_name: bool,
        /// The ledger tells of what still goes out.
        flagged: bool,
        /// Tells the person what the file says that is sent without a question.
        sentence: Option<String>,
    },
    /// The person decides. Whatever is sent then goes `without_name`.
    Ask {
        /// What is asked.
        question: Ask,
        /// Without its name.
        without_name: bool,
    },
    /// It does not go.
    Refuse {
        /// One sentence with what to do.
        sentence: String,
    },
}

/// Decides about an upload whose content was examined.
#[must_use]
pub fn decide(settings: Settings, upload: &Upload, report: &Report) -> Decision {
    let send = |clean, without_name, flagged| Decision::Send {
        clean,
        without_name,
        flagged,
        sentence: None,
    };
    if is_ciphertext(upload, report.kind) {
        return send(false, false, false);
    }
    let is_open = upload.server != ServerMedia::Closed;
    if settings.mode == Mode::Flag || settings.mode == Mode::Off {
        let flagged = settings.mode == Mode::Flag && (is_open || report.findings.any());
        return send(false, false, flagged);
    }
    let can_clean = report.plan.as_ref().is_ok_and(|plan| !Plan::is_unchanged(plan));
    let clean = can_clean && settings.removes_metadata;
    let without_name = settings.removes_name && upload.has_name;
    // A picture that should have been cleaned and cannot be, or of a kind nobody knows.
    let is_stuck = settings.removes_metadata
        && (report.kind.is_picture() && report.plan.is_err() || is_unknown_picture(upload, report));
    if !is_open && !is_stuck {
        // Documents, films and some sound files keep what they say; the person is told.
        let flagged = report.findings.any() && !clean;
        let sentence = if settings.removes_metadata && flagged { warning(report) } else { None };
        return Decision::Send { clean, without_name, flagged, sentence };
    }
    match upload.remembered {
        Some(Remembered::Send) => {
            return send(false, without_name, true);
        }
        Some(Remembered::Clean) if !is_stuck => {
            return send(can_clean, without_name, true);
        }
        _ => {}
    }
    if settings.mode == Mode::Ask {
        let question = question(upload, report, is_open, is_stuck, can_clean);
        return Decision::Ask { question, without_name };
    }
    let why = if is_open { open_sentence(upload) } else { stuck_sentence(upload, report) };
    Decision::Refuse {
        sentence: format!(
            "Mantle did not send this {}. {why} Change “Media” in Mantle's settings to be asked instead.",
            report.kind.noun()
        ),
    }
}

/// An attachment of an encrypted room: no name, no type, no pattern (Client-Server API, 'Sending
/// encrypted attachments').
#[must_use]
pub fn is_ciphertext(upload: &Upload, kind: Kind) -> bool {
    let is_untyped = upload.content_type.is_empty()
        || upload.content_type.eq_ignore_ascii_case("application/octet-stream");
    !upload.has_name && is_untyped && kind == Kind::Random
}

fn question(
    upload: &Upload,
    report: &Report,
    is_open: bool,
    is_stuck: bool,
    can_clean: bool,
) -> Ask {
    let noun = report.kind.noun();
    let title = if is_open {
        format!("Anyone with the link could open this {noun}. Send it?")
    } else {
        format!("Mantle cannot clean this {noun}. Send it?")
    };
    let mut text = Vec::new();
    if is_open {
        text.push(open_sentence(upload));
    }
    if is_stuck {
        text.push(stuck_sentence(upload, report));
    }
    if let Some(sentence) = told(&report.findings, report.kind) {
        text.push(sentence);
    }
    text.push(
        "It is not encrypted: the room is not, or it is a profile or room picture, which everyone can see."
            .to_owned(),
    );
    let choice = |id, label: &str, kind| Choice { id, label: label.to_owned(), kind };
    let mut choices = Vec::new();
    if can_clean {
        choices.push(choice("clean", "Send without these details", "primary"));
        choices.push(choice("send", "Send as it is", "danger"));
    } else {
        choices.push(choice("send", "Send it", "danger"));
    }
    choices.push(choice("cancel", "Do not send", "plain"));
    let mut remember = Vec::new();
    if upload.has_room {
        remember.push(choice("room", "Do the same in this room from now on", "plain"));
    }
    let label = format!("Do the same on {} from now on", upload.host);
    remember.push(choice("server", &label, "plain"));
    Ask { title, text, choices, remember }
}

fn open_sentence(upload: &Upload) -> String {
    let host = &upload.host;
    match (upload.server, upload.promises) {
        (ServerMedia::Unknown, _) => format!(
            "Mantle could not find out whether {host} gives uploaded files to people who are not signed in, so it assumes that it does."
        ),
        (_, true) => format!(
            "{host} says that files need signing in, but gave one to Mantle without (tried {}).",
            upload.tried
        ),
        (_, false) => format!(
            "{host} gives uploaded files to anyone with the link, without signing in (tried {}).",
            upload.tried
        ),
    }
}

/// Sent as a picture, and none that Mantle knows.
fn is_unknown_picture(upload: &Upload, report: &Report) -> bool {
    let kind = upload.content_type.get(..6).unwrap_or_default();
    report.kind.is_unknown() && kind.eq_ignore_ascii_case("image/")
}

fn stuck_sentence(upload: &Upload, report: &Report) -> String {
    match &report.plan {
        _ if is_unknown_picture(upload, report) => {
            "Mantle does not know this kind of picture, so it could not look for hidden details in it."
                .to_owned()
        }
        Err(Refusal::NotRemovable) => {
            format!("Mantle cannot remove hidden details from a {} of this kind.", report.kind.noun())
        }
        Err(refusal) => format!("Mantle could not remove hidden details from it: {refusal}."),
        Ok(_) => "Mantle could not remove hidden details from it.".to_owned(),
    }
}

/// "This film says where it was made and which device or program made it." No part has a comma or
/// "and" in it but the last picture's: the page translates part by part.
fn told(findings: &Findings, kind: Kind) -> Option<String> {
    let noun = kind.noun();
    // Only the pictures in a document have a place.
    let place =
        if noun == "document" { "where a picture in it was made" } else { "where it was made" };
    let preview =
        if kind.is_picture() { "a second, smaller picture" } else { "a cover or preview picture" };
    let says = [
        (findings.place, place),
        (findings.time, "when it was made"),
        (findings.camera, "which device or program made it"),
        (findings.names, "who made or changed it"),
    ];
    let holds = [
        (findings.serial, "serial or other unique numbers"),
        (findings.path, "names of folders on a computer"),
        (findings.text, "titles or comments"),
        (findings.preview, preview),
        (findings.hidden, "hidden data"),
        (findings.other, "technical details"),
    ];
    match (listed(&says), listed(&holds)) {
        (Some(says), Some(holds)) => Some(format!("This {noun} says {says}. It holds {holds}.")),
        (Some(says), None) => Some(format!("This {noun} says {says}.")),
        (None, Some(holds)) => Some(format!("This {noun} holds {holds}.")),
        (None, None) => None,
    }
}

/// "a, b and c"
fn listed(parts: &[(bool, &str)]) -> Option<String> {
    let parts: Vec<&str> =
        parts.iter().filter_map(|(is_there, text)| is_there.then_some(*text)).collect();
    let (last, first) = parts.split_last()?;
    if first.is_empty() {
        Some((*last).to_owned())
    } else {
        Some(format!("{} and {last}", first.join(", ")))
    }
}

/// For a file that was sent with place, device or author in it.
fn warning(report: &Report) -> Option<String> {
    let Findings { place, camera, serial, names, path, .. } = report.findings;
    if !(place || camera || serial || names || path) {
        return None;
    }
    let said = told(&report.findings, report.kind)?;
    Some(format!("{said} Mantle sent it as it is. Delete the message if others should not know."))
}

/// The URL without its `filename` parameters, where it has some.
#[must_use]
pub fn without_name(url: &str) -> Option<String> {
    let (base, fragment) =
        url.split_once('#').map_or((url, None), |(base, tail)| (base, Some(tail)));
    let (path, query) = base.split_once('?')?;
    let is_name = |part: &&str| {
        percent_decoded(part.split_once('=').map_or(*part, |(key, _)| key)) == "filename"
    };
    if !query.split('&').any(|part| is_name(&part)) {
        return None;
    }
    let left: Vec<_> = query.split('&').filter(|part| !is_name(part)).collect();
    let mut made = path.to_owned();
    if !left.is_empty() {
        made.push('?');
        made.push_str(&left.join("&"));
    }
    if let Some(fragment) = fragment {
        made.push('#');
        made.push_str(fragment);
    }
    Some(made)
}
