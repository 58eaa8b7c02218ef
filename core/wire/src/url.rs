//! The parts of a URL that the browser has already normalised.
//!
//! Only browsers parse URLs well; the hooks hand over `URL.href`, and this
//! module merely cuts that text at its delimiters (WHATWG URL, serialising).

use std::borrow::Cow;

/// An absolute http(s) or ws(s) URL, cut into borrowed parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// Without the colon: `https`.
    pub scheme: &'a str,
    /// Host, with `:port` where the URL names one.
    pub host: &'a str,
    /// From the first slash, never empty, without query and fragment.
    pub path: &'a str,
    /// Without the question mark; empty when there is none.
    pub query: &'a str,
    /// Without the number sign; empty when there is none. No server sees it.
    pub fragment: &'a str,
}

impl<'a> Address<'a> {
    /// Cuts `url`; `None` for anything that is not an absolute URL with a host.
    #[must_use]
    pub fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !matches!(scheme, "https" | "http" | "wss" | "ws") {
            return None;
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash)?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.is_empty() {
            return None;
        }
        let path = if path.is_empty() { "/" } else { path };
        Some(Self { scheme, host, path, query, fragment })
    }

    /// The host without its port.
    #[must_use]
    pub fn host_name(&self) -> &'a str {
        let host = self.host;
        let name = match host.rsplit_once(':') {
            // An IPv6 address keeps its own colons inside the brackets.
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        // Where names begin (RFC 1034, section 3.1): it leads to the same server.
        name.strip_suffix('.').unwrap_or(name)
    }

    /// Whether the host is this domain or one below it.
    #[must_use]
    pub fn is_within(&self, domain: &str) -> bool {
        self.host_name()
            .strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The unescaped value of the first parameter of this name; a plus is a space.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(key) == name)
                .then(|| percent_decoded(&value.replace('+', " ")).into_owned())
        })
    }

    /// Whether the query has a parameter of this (unescaped) name.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        self.query.split('&').any(|pair| {
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            percent_decoded(key) == name
        })
    }
}

/// A host, with its port where named, without the dot where names begin (RFC 1034, section 3.1): it
/// leads to the same server.
#[must_use]
pub fn without_dot(host: &str) -> Cow<'_, str> {
    match host.strip_suffix('.') {
        Some(name) => Cow::Borrowed(name),
        None if host.contains(".:") => Cow::Owned(host.replacen(".:", ":", 1)),
        None => Cow::Borrowed(host),
    }
}

/// What a text that a server or a page's owner wrote is as an address.
///
/// A URL parser as the browser's needs tables that are larger than the rest of the core. So what
/// needs no more than cutting is understood, and all else is told apart from it: to be judged as if
/// it led to a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It names no host: it lies where the page lies.
    Relative,
    /// An http(s) or ws(s) address, as `new URL` serialises it on a page with https. Of a host with
    /// a punycode label that means nothing `new URL` makes no address at all.
    Absolute(String),
    /// Another scheme, in lower case: `data`, `blob`, `mxc`.
    Other(String),
    /// Only a URL parser can tell.
    Unknown,
}

/// Reads an address in a text as `new URL(text, document.baseURI)` does (WHATWG URL, 'basic URL
/// parser').
#[must_use]
pub fn found(text: &str) -> Found {
    let text = text.trim_matches(|letter: char| letter <= ' ');
    let text: Cow<'_, str> = if text.contains(['\t', '\n', '\r']) {
        text.replace(['\t', '\n', '\r'], "").into()
    } else {
        text.into()
    };
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let (scheme, rest) = match text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if text.starts_with(['/', '\\']) && text.chars().nth(1).is_some_and(is_slash) => {
            ("https".to_owned(), text.as_ref())
        }
        None => return Found::Relative,
    };
    let default_port = match scheme.as_str() {
        "https" | "wss" => 443,
        "http" | "ws" => 80,
        // These are read as web addresses are, but nothing here asks for them.
        "ftp" | "file" => return Found::Unknown,
        _ => return Found::Other(scheme),
    };
    // Other slashes, fewer or more of them lead to a host as well, or to the page's own.
    let after = rest.strip_prefix("//").filter(|after| !after.starts_with(is_slash));
    let Some(after) = after else { return Found::Unknown };
    let end = after.find(['/', '\\', '?', '#']).unwrap_or(after.len());
    let Some((authority, path)) = after.split_at_checked(end) else { return Found::Unknown };
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if !is_plain_host(host) || !is_plain_path(path) {
        return Found::Unknown;
    }
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    let port = match port.parse::<u16>() {
        Ok(number) if is_number && number != default_port => format!(":{number}"),
        Ok(_) if is_number => String::new(),
        _ if port.is_empty() => String::new(),
        _ => return Found::Unknown,
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    Found::Absolute(format!("{scheme}://{}{port}{slash}{path}", host.to_ascii_lowercase()))
}

fn is_slash(letter: char) -> bool {
    matches!(letter, '/' | '\\')
}

/// Whether this is a host that a URL parser only makes lower case.
fn is_plain_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if host.len() > 253 || !name.split('.').all(is_label) {
        return false;
    }
    // A last label that is a number makes an IPv4 address of it, which may be written in many ways.
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    !is_number || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Whether a URL parser leaves path, query and fragment as they are.
fn is_plain_path(path: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/%?#".contains(&byte);
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let segments = path.get(..end).unwrap_or_default();
    path.bytes().all(is_plain)
        && segments.split('/').all(|segment| {
            let dots = segment.to_ascii_lowercase().replace("%2e", ".");
            !matches!(dots.as_str(), "." | "..")
        })
}

/// The URL with this parameter, once and with this value (neither needs escapes); `None` when it is
/// so already.
#[must_use]
pub fn with_parameter(url: &str, name: &str, value: &str) -> Option<String> {
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, rest)| (url, Some(rest)));
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let is_named =
        |pair: &&str| percent_decoded(pair.split('=').next().unwrap_or_default()) == name;
    let wanted = format!("{name}={value}");
    let present: Vec<_> = query.split('&').filter(is_named).collect();
    if present == [wanted.as_str()] {
        return None;
    }
    let others = query.split('&').filter(|pair| !pair.is_empty() && !is_named(pair));
    let pairs: Vec<_> = others.chain([wanted.as_str()]).collect();
    let fragment = fragment.map_or_else(String::new, |rest| format!("#{rest}"));
    Some(format!("{base}?{}{fragment}", pairs.join("&")))
}

/// Undoes percent-encoding; bytes that do not form UTF-8 are replaced.
#[must_use]
pub fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes: Vec<_> = percent_bytes(text).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// One value of a query, or one segment of a path: all but RFC 3986's unreserved characters.
pub fn encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.extend(HEX.get(usize::from(digit)).copied().map(char::from));
            }
        }
    }
    out
}

/// The bytes that a percent-encoded text stands for.
pub(crate) fn percent_bytes(text: &str) -> impl Iterator<Item = u8> {
    percent_bytes_of(text.as_bytes())
}

/// As [`percent_bytes`].
pub(crate) fn percent_bytes_of(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        if first != b'%' {
            return Some(first);
        }
        let [high, low, after @ ..] = after else { return Some(first) };
        let Some((high, low)) = hex(*high).zip(hex(*low)) else { return Some(first) };
        rest = after;
        Some(high << 4 | low)
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_every_part() {
        let address =
            Address::parse("https://me:pw@hs.example.org:8448/base/_matrix?x=1&y#frag").unwrap();
        assert_eq!(address.scheme, "https");
        assert_eq!(address.host, "hs.example.org:8448");
        assert_eq!(address.host_name(), "hs.example.org");
        assert_eq!(address.path, "/base/_matrix");
        assert_eq!(address.query, "x=1&y");
        assert_eq!(address.fragment, "frag");
    }

    #[test]
    fn a_missing_path_is_a_slash() {
        assert_eq!(Address::parse("https://hs.example.org").unwrap().path, "/");
        assert_eq!(Address::parse("https://hs.example.org?a=b").unwrap().query, "a=b");
    }

    #[test]
    fn other_schemes_are_no_address() {
        for url in
            ["", "about:blank", "blob:https://x/1", "data:,x", "https://", "/relative", "file:///x"]
        {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }

    #[test]
    fn ipv6_hosts_keep_their_colons() {
        assert_eq!(Address::parse("http://[::1]:80/").unwrap().host_name(), "[::1]");
        assert_eq!(Address::parse("http://[::1]/").unwrap().host_name(), "[::1]");
    }

    #[test]
    fn parameters_are_compared_unescaped() {
        let address = Address::parse("https://x/?a=1&scalar%5Ftoken=t").unwrap();
        assert!(address.has_parameter("scalar_token"));
        assert!(!address.has_parameter("token"));
    }

    #[test]
    fn a_parameter_is_set_once() {
        let set = |url| with_parameter(url, "set_presence", "offline");
        assert_eq!(set("https://x/sync").unwrap(), "https://x/sync?set_presence=offline");
        assert_eq!(
            set("https://x/sync?since=a&set%5Fpresence=online&timeout=0&set_presence=offline#f")
                .unwrap(),
            "https://x/sync?since=a&timeout=0&set_presence=offline#f"
        );
        assert_eq!(set("https://x/sync?set_presence=offline&since=a"), None);
    }

    #[test]
    fn addresses_in_texts_are_what_the_browser_makes_of_them() {
        for (text, href) in [
            ("https://hs.example.org", "https://hs.example.org/"),
            (" \u{0}https://HS.example.org:443/a?b#c\n ", "https://hs.example.org/a?b#c"),
            ("ht\ttps://hs.exa\nmple.org:0444", "https://hs.example.org:444/"),
            ("//hs.example.org/x", "https://hs.example.org/x"),
            ("HTTP://hs.example.org.:80/", "http://hs.example.org./"),
            ("wss://127.0.0.1:/x", "wss://127.0.0.1/x"),
        ] {
            assert_eq!(found(text), Found::Absolute(href.to_owned()), "{text}");
        }
        for text in ["", " ", "welcome.html", "/a\\b", "?q=https://x/", "#x", ":x", "1a:b", "a/b:c"]
        {
            assert_eq!(found(text), Found::Relative, "{text}");
        }
        for (text, scheme) in [("data:,x", "data"), ("MXC://hs/id", "mxc"), ("a.b:", "a.b")] {
            assert_eq!(found(text), Found::Other(scheme.to_owned()), "{text}");
        }
        for text in [
            "https:hs.example.org",
            "https:/hs.example.org",
            "https:///hs.example.org",
            "https:\\\\hs.example.org",
            "/\\hs.example.org",
            "\\\\hs.example.org",
            "///hs.example.org",
            "//",
            "https://",
            "https://me@hs.example.org/",
            "https://hs.example.org:x/",
            "https://hs.example.org:65536/",
            "https://hs.example.org:+1/",
            "https://hs%2eexample.org/",
            "https://hs\u{3002}example.org/",
            "https://b\u{fc}cher.example/",
            "https://0x7f000001/",
            "https://127.1/",
            "https://127.0.0.01/",
            "https://127.0.0.1./",
            "https://x.0x/",
            "https://a..b/",
            "https://[::1]/",
            "https://hs.example.org/a/../b",
            "https://hs.example.org/%2E%2e/b",
            "https://hs.example.org\\b",
            "https://hs.example.org/\u{fc}",
            "https://hs.example.org/a b",
            "file:///etc/hosts",
        ] {
            assert_eq!(found(text), Found::Unknown, "{text}");
        }
    }

    #[test]
    fn domains_and_parameters() {
        let address = Address::parse("https://api.maptiler.com:444/?server=a%20b+c&x").unwrap();
        assert!(address.is_within("maptiler.com") && address.is_within("api.maptiler.com"));
        assert!(!address.is_within("tiler.com") && !address.is_within("x.api.maptiler.com"));
        assert_eq!(address.parameter("server").as_deref(), Some("a b c"));
        assert_eq!(address.parameter("x").as_deref(), Some(""));
        assert_eq!(address.parameter("y"), None);
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(percent_decoded("a%2"), "a%2");
        assert_eq!(percent_decoded("%zz%41"), "%zzA");
    }
}
