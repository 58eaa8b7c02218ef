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
}

impl<'a> Address<'a> {
    /// Cuts `url`; `None` for anything that is not an absolute URL with a host.
    #[must_use]
    pub fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !matches!(scheme, "https" | "http" | "wss" | "ws") {
            return None;
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash)?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.is_empty() {
            return None;
        }
        Some(Self { scheme, host, path: if path.is_empty() { "/" } else { path }, query })
    }

    /// The host without its port.
    #[must_use]
    pub fn host_name(&self) -> &'a str {
        let host = self.host;
        match host.rsplit_once(':') {
            // An IPv6 address keeps its own colons inside the brackets.
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        }
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
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
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
