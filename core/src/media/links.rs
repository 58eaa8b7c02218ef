//! Links to media that need no signing in, in text about to be sent.

use memchr::memmem;

const MARK: &str = "/_matrix/media/";

/// Such a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Byte range in the text.
    pub range: std::ops::Range<usize>,
    /// `https://host[/prefix]`.
    pub base: String,
    /// download or thumbnail.
    pub action: &'static str,
    /// `server/mediaId`.
    pub media: String,
}

impl Link {
    /// Whose media it is served by.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(host, _)| host)
    }

    /// For Matrix clients (Client-Server API, 'Matrix Content (mxc://) URIs').
    #[must_use]
    pub fn mxc(&self) -> String {
        format!("mxc://{}", self.media)
    }

    /// The same on the homeserver, for signed-in clients only.
    #[must_use]
    pub fn authenticated(&self) -> String {
        format!("{}/_matrix/client/v1/media/{}/{}", self.base, self.action, self.media)
    }
}

/// Every link to unauthenticated media, in order. JSON's `\/` is not looked through: no client
/// writes it.
#[must_use]
pub fn find(text: &str) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for at in memmem::find_iter(text.as_bytes(), MARK) {
        if let Some(link) = link_at(text, at)
            && links.last().is_none_or(|last| last.range.end <= link.range.start)
        {
            links.push(link);
        }
    }
    links
}

/// The text with every link in another form.
#[must_use]
pub fn replace(text: &str, form: impl Fn(&Link) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for link in find(text) {
        out.push_str(text.get(at..link.range.start).unwrap_or_default());
        out.push_str(&form(&link));
        at = link.range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

fn link_at(text: &str, at: usize) -> Option<Link> {
    let before = text.get(..at)?;
    let host = before.rfind(|c: char| is_end(c)).map_or(0, |end| {
        end + before.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    // "[text](https://…" and the like.
    let scheme = ["https://", "http://"]
        .iter()
        .filter_map(|scheme| before.get(host..)?.rfind(scheme).map(|skip| host + skip))
        .max()?;
    let tail = text.get(at + MARK.len()..)?;
    let end = tail.find(is_end).unwrap_or(tail.len());
    let path = tail.get(..end)?;
    let (path_only, _) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let mut parts = path_only.split('/');
    if !matches!(parts.next()?, "r0" | "v1" | "v3" | "unstable") {
        return None;
    }
    let action = match parts.next()? {
        "download" => "download",
        "thumbnail" => "thumbnail",
        _ => return None,
    };
    let (server, id) = (parts.next()?, parts.next()?);
    let id = id.trim_end_matches(['.', ',', '!', ';', ':']);
    if server.is_empty() || id.is_empty() {
        return None;
    }
    Some(Link {
        range: scheme..at + MARK.len() + path.trim_end_matches(['.', ',', '!', ';', ':']).len(),
        base: before.get(scheme..)?.to_owned(),
        action,
        media: format!("{server}/{id}"),
    })
}

/// What no link in text or HTML within JSON goes past.
fn is_end(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\\' | '<' | '>' | '(' | ')' | '[' | ']' | '\'')
}
