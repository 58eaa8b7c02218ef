//! SVG: drawings keep every element and what it draws; editors' own attributes and elements,
//! comments, and the content of `<metadata>` go.
//!
//! Elements are emptied, not taken out, so that style sheets count the same ones. A file with
//! anything that this reader does not know (entities, scripts, pictures within) is left as it is.

use super::bytes::find;
use super::plan::Plan;
use super::reader::Reader;
use super::{Findings, Refusal};

/// Larger drawings are not read whole.
const MAX_SVG: u64 = 16 << 20;
const MAX_DEPTH: usize = 1_000;
/// Prefixes of namespaces.
const MAX_SPACES: usize = 100;

/// Whether the first element is an SVG's.
pub(super) fn is_svg(head: &[u8]) -> bool {
    let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    loop {
        rest = rest.trim_ascii_start();
        let end: &[u8] = match rest {
            _ if rest.starts_with(b"<?") => b"?>",
            _ if rest.starts_with(b"<!--") => b"-->",
            _ if rest.starts_with(b"<!DOCTYPE") || rest.starts_with(b"<!doctype") => {
                // An internal subset ends with a bracket.
                let close = memchr::memchr(b'>', rest).unwrap_or(rest.len());
                if memchr::memchr(b'[', rest).is_some_and(|open| open < close) {
                    b"]>"
                } else {
                    b">"
                }
            }
            _ => {
                let name = rest.strip_prefix(b"<").unwrap_or_default();
                let end = name.iter().position(|byte| is_name_end(*byte)).unwrap_or(name.len());
                let name = name.get(..end).unwrap_or_default();
                return name == b"svg" || name.ends_with(b":svg");
            }
        };
        let Some(at) = find(rest, end) else { return false };
        rest = rest.get(at + end.len()..).unwrap_or_default();
    }
}

fn is_name_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')
}

pub(super) async fn clean(reader: &Reader, found: &mut Findings) -> Result<Plan, Refusal> {
    let size = reader.size();
    if size > MAX_SVG {
        return Err(Refusal::TooComplex);
    }
    let length = usize::try_from(size).unwrap_or(0);
    let bytes = reader.read_ahead(0, length, length).await?;
    found.note_paths(&bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::Unsupported)?;
    let mut drawing = Drawing { text, found, dropped: Vec::new(), spaces: Vec::new() };
    drawing.read()?;
    let ranges = drawing.dropped;
    let mut plan = Plan::new(size);
    let mut kept = Vec::new();
    let mut at = 0;
    for (from, to) in ranges.into_iter().chain([(length, length)]) {
        if from < to {
            found.other = true;
            found.note_words(bytes.get(from..to).unwrap_or_default());
        }
        kept.extend_from_slice(bytes.get(at..from).unwrap_or_default());
        plan.keep(at as u64, from as u64);
        at = to;
    }
    // A link to a folder belongs to the drawing itself.
    let mut left = Findings::default();
    left.note_paths(&kept);
    if left.any() { Err(Refusal::NotRemovable) } else { Ok(plan) }
}

const SVG: &str = "http://www.w3.org/2000/svg";
/// Namespaces that are drawn or linked by.
const DRAWN: [&str; 5] = [
    SVG,
    "http://www.w3.org/1999/xlink",
    "http://www.w3.org/1999/xhtml",
    "http://www.w3.org/1998/Math/MathML",
    "http://www.w3.org/XML/1998/namespace",
];

struct Attribute<'a> {
    /// With the blanks before it.
    range: (usize, usize),
    name: &'a str,
    value: &'a str,
}

struct Tag<'a> {
    name: &'a str,
    attributes: Vec<Attribute<'a>>,
    is_empty: bool,
    end: usize,
}

struct Drawing<'a, 'f> {
    text: &'a str,
    found: &'f mut Findings,
    /// Ranges that go, in order.
    dropped: Vec<(usize, usize)>,
    /// Prefixes and what they stand for.
    spaces: Vec<(&'a str, &'a str)>,
}

impl<'a> Drawing<'a, '_> {
    fn read(&mut self) -> Result<(), Refusal> {
        let text = self.text;
        // Browsers apply rules by namespace and by the attributes that go here.
        if text.contains("@namespace") || text.contains("[data-") || text.contains("[*|") {
            return Err(Refusal::Unsupported);
        }
        let mut open: Vec<&str> = Vec::new();
        // Depth of the element whose content goes, and where that starts.
        let mut hidden: Option<(usize, usize)> = None;
        let mut at = 0;
        while let Some(next) = text.get(at..).and_then(|rest| rest.find('<')) {
            let start = at + next;
            let rest = text.get(start..).unwrap_or_default();
            let drop_to = |end: usize, this: &mut Self| {
                if hidden.is_none() {
                    this.dropped.push((start, end));
                }
            };
            if rest.starts_with("<!--") {
                at = start + end_of(rest, "-->")?;
                drop_to(at, self);
            } else if rest.starts_with("<![CDATA[") {
                at = start + end_of(rest, "]]>")?;
            } else if rest.starts_with("<?") {
                at = start + end_of(rest, "?>")?;
                if rest.starts_with("<?xml-stylesheet") {
                    return Err(Refusal::Unsupported);
                }
                if !rest.starts_with("<?xml ") {
                    drop_to(at, self);
                }
            } else if rest.starts_with("<!") {
                let end = end_of(rest, ">")?;
                // Entities may stand for anything.
                let is_plain = rest.get(..end).is_some_and(|tag| !tag.contains('['));
                if !rest.starts_with("<!DOCTYPE") || !is_plain {
                    return Err(Refusal::Unsupported);
                }
                at = start + end;
            } else if let Some(closing) = rest.strip_prefix("</") {
                let end = closing.find('>').ok_or(Refusal::Malformed)?;
                if open.pop() != closing.get(..end).map(str::trim_end) {
                    return Err(Refusal::Malformed);
                }
                if let Some((_, from)) = hidden.filter(|(depth, _)| open.len() < *depth) {
                    if from < start {
                        self.dropped.push((from, start));
                    }
                    hidden = None;
                }
                at = start + 2 + end + 1;
            } else {
                let tag = self.tag(start)?;
                at = tag.end;
                let goes = hidden.is_none() && self.treat(&tag)?;
                if tag.is_empty {
                    continue;
                }
                open.push(tag.name);
                if open.len() > MAX_DEPTH {
                    return Err(Refusal::TooComplex);
                }
                if goes {
                    hidden = Some((open.len(), at));
                }
            }
        }
        if open.is_empty() { Ok(()) } else { Err(Refusal::Malformed) }
    }

    /// The start tag at `start`.
    fn tag(&self, start: usize) -> Result<Tag<'a>, Refusal> {
        let text = self.text;
        let from = |at: usize| text.get(at..).unwrap_or_default();
        let token = |at: usize| {
            let rest = from(at);
            let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/' | '='));
            rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
        };
        let name = token(start + 1);
        let mut at = start + 1 + name.len();
        let mut attributes = Vec::new();
        if name.is_empty() {
            return Err(Refusal::Malformed);
        }
        loop {
            let before = at;
            at += from(at).len() - from(at).trim_ascii_start().len();
            if from(at).starts_with('>') {
                return Ok(Tag { name, attributes, is_empty: false, end: at + 1 });
            }
            if from(at).starts_with("/>") {
                return Ok(Tag { name, attributes, is_empty: true, end: at + 2 });
            }
            if at == before {
                return Err(Refusal::Malformed);
            }
            let name = token(at);
            let rest = from(at + name.len()).trim_ascii_start();
            let rest = rest.strip_prefix('=').ok_or(Refusal::Malformed)?.trim_ascii_start();
            let quote = rest
                .chars()
                .next()
                .filter(|c| matches!(c, '"' | '\''))
                .ok_or(Refusal::Malformed)?;
            let rest = rest.get(1..).unwrap_or_default();
            let length = rest.find(quote).ok_or(Refusal::Malformed)?;
            let value = rest.get(..length).unwrap_or_default();
            if name.is_empty() || value.contains('<') {
                return Err(Refusal::Malformed);
            }
            at = text.len() - rest.len() + length + 1;
            attributes.push(Attribute { range: (before, at), name, value });
        }
    }

    /// Takes attributes out; whether the element's content goes.
    fn treat(&mut self, tag: &Tag<'a>) -> Result<bool, Refusal> {
        for attribute in &tag.attributes {
            let Some(prefix) = attribute.name.strip_prefix("xmlns:") else { continue };
            match self.spaces.iter().find(|(known, _)| *known == prefix) {
                Some((_, space)) if *space != attribute.value => return Err(Refusal::Unsupported),
                Some(_) => {}
                None if self.spaces.len() >= MAX_SPACES => return Err(Refusal::TooComplex),
                None => self.spaces.push((prefix, attribute.value)),
            }
        }
        let local = tag.name.rsplit(':').next().unwrap_or_default();
        let is_foreign = self.is_foreign(tag.name)?;
        if !is_foreign && local == "script" {
            return Err(Refusal::Unsupported);
        }
        for attribute in &tag.attributes {
            let name = attribute.name;
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            if is_foreign || self.is_foreign(name)? || name.starts_with("data-") {
                self.dropped.push(attribute.range);
            } else if name.starts_with("on") {
                return Err(Refusal::Unsupported);
            } else if matches!(name, "href" | "xlink:href") {
                self.linked(attribute.value)?;
            }
        }
        Ok(is_foreign || local == "metadata")
    }

    fn is_foreign(&self, name: &str) -> Result<bool, Refusal> {
        let Some((prefix, _)) = name.split_once(':') else { return Ok(false) };
        if matches!(prefix, "xml" | "xmlns") {
            return Ok(false);
        }
        let space = self.spaces.iter().find(|(known, _)| *known == prefix);
        // Browsers show an error instead of such a drawing.
        let (_, space) = space.ok_or(Refusal::Malformed)?;
        Ok(!DRAWN.contains(space))
    }

    /// A picture within the drawing must have nothing to remove.
    fn linked(&mut self, value: &str) -> Result<(), Refusal> {
        let Some(data) = value.trim_ascii_start().strip_prefix("data:") else { return Ok(()) };
        let (kind, packed) = data.split_once(',').ok_or(Refusal::Unsupported)?;
        if !kind.trim_ascii_end().ends_with("base64") {
            return Err(Refusal::Unsupported);
        }
        let bytes = base64(packed).ok_or(Refusal::Unsupported)?;
        let (kind, findings, is_clear) = super::look_within(bytes);
        self.found.add(&findings);
        match () {
            () if !kind.is_picture() || kind == super::Kind::Svg => Err(Refusal::Unsupported),
            () if !is_clear || findings.any() => Err(Refusal::NotRemovable),
            () => Ok(()),
        }
    }
}

fn end_of(rest: &str, end: &str) -> Result<usize, Refusal> {
    rest.find(end).map(|at| at + end.len()).ok_or(Refusal::Malformed)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut made, mut bits, mut count) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            made.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(made)
}
