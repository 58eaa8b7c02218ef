//! What counts as a host, a site, a device name or an event type: here and nowhere else.
//!
//! A host is what a browser's URL parser leaves of it (`URL.host`), because it is compared with that
//! and goes into declarative rules, which a browser refuses whole when one of their hosts is none.
//! Names in other scripts therefore stand in their `xn--` form; whoever takes a host from a person
//! lets the browser's parser write it so first.

use serde::Serialize;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Most characters of a device name that Synapse takes.
pub const MAX_DEVICE_NAME: usize = 100;
/// Most bytes of a Matrix event type (Client-Server API, 'Size limits').
const MAX_TYPE: usize = 255;
/// Most bytes of a host name, and of a label of one (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Most bytes of a site's path.
const MAX_PATH: usize = 1000;

/// A place where Element lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(ts_rs::TS))]
pub struct Site {
    /// Origin, with the path under which the client lives, without a slash at the end.
    pub url: String,
    /// Without a port.
    pub host: String,
    /// Match pattern of its pages. It has no port: Firefox's patterns know none.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Match pattern of the permission it needs. It has no path: permissions know none.
    pub permission: String,
}

/// A host name or address as `URL.host` gives it, with a port where it is not that of https.
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let (name, port) = host_and_port(text)?;
    Some(match port {
        Some(port) if port != 443 => format!("{name}:{port}"),
        _ => name,
    })
}

/// An origin with a path at most: of https, or of http on this very device, which browsers take for
/// as safe (W3C Secure Contexts, 'potentially trustworthy').
#[must_use]
pub fn site(text: &str) -> Option<Site> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    let (name, port) = host_and_port(authority)?;
    let (scheme, usual_port) = match scheme.to_ascii_lowercase().as_str() {
        "https" => ("https", 443),
        "http" if is_loopback(&name) => ("http", 80),
        _ => return None,
    };
    // In a match pattern a star would stand for anything.
    let path = path.trim_end_matches('/').replace('*', "%2A");
    if path.len() > MAX_PATH || !path.split('/').all(is_segment) {
        return None;
    }
    let port = port.filter(|port| *port != usual_port).map(|port| format!(":{port}"));
    let port = port.unwrap_or_default();
    Some(Site {
        url: format!("{scheme}://{name}{port}{path}"),
        pattern: format!("{scheme}://{name}{path}/*"),
        permission: format!("{scheme}://{name}/*"),
        host: name,
    })
}

/// Whether a host, without its port, is this very device.
#[must_use]
pub fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name.ends_with(".localhost")
        || name == "[::1]"
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// What sessions may be called.
#[must_use]
pub fn device_name(text: &str) -> Option<String> {
    let text = text.trim();
    let is_long = text.chars().count() > MAX_DEVICE_NAME;
    let is_name = !text.is_empty() && !is_long && !text.chars().any(char::is_control);
    is_name.then(|| text.to_owned())
}

/// A Matrix event type.
#[must_use]
pub fn event_type(text: &str) -> Option<String> {
    let text = text.trim();
    let is_type = !text.is_empty()
        && text.len() <= MAX_TYPE
        && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control());
    is_type.then(|| text.to_owned())
}

/// The type of a state event as it can stand before a state key: a colon ends it there (MSC4362).
#[must_use]
pub fn state_type(text: &str) -> Option<String> {
    event_type(text).filter(|kind| !kind.contains(':'))
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim().to_ascii_lowercase();
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text.as_str(), None),
    };
    let port = match port {
        // `parse` alone takes a plus.
        Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    let name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => format!("[{}]", ipv6(address.parse().ok()?)),
        None => domain(name)?.to_owned(),
    };
    Some((name, port))
}

fn domain(name: &str) -> Option<&str> {
    // With a dot at its end it is the same host, and browsers take it for another.
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let is_letter =
            |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
        !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(is_letter)
    };
    if name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return None;
    }
    // A name whose last label is a number is an address to a URL parser (WHATWG URL, 'ends in a
    // number'), which reads `1`, `0x7f.1` and `010.0.0.1` as addresses nobody meant.
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_number = last.bytes().all(|digit| digit.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    (!is_number || name.parse::<Ipv4Addr>().is_ok()).then_some(name)
}

/// As URLs have it: never with a part in decimals (WHATWG URL, 'IPv6 serializer').
fn ipv6(address: Ipv6Addr) -> String {
    match address.to_ipv4_mapped() {
        Some(mapped) => {
            let [a, b, c, d] = mapped.octets();
            format!("::ffff:{:x}:{:x}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        None => address.to_string(),
    }
}

/// A part of a path as `URL.pathname` has it, without what means something else in match patterns.
fn is_segment(segment: &str) -> bool {
    let is_letter =
        |letter: u8| letter.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%|[]".contains(&letter);
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    segment.bytes().all(is_letter) && plain != "." && plain != ".."
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_what_a_url_parser_leaves_of_them() {
        for (text, expected) in [
            ("scalar.example.org", "scalar.example.org"),
            (" Scalar.EXAMPLE.org ", "scalar.example.org"),
            ("a.example.", "a.example"),
            ("a.example:8448", "a.example:8448"),
            ("a.example:08448", "a.example:8448"),
            ("a.example:443", "a.example"),
            ("localhost", "localhost"),
            ("my_host-1.local", "my_host-1.local"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("1.2.3.4", "1.2.3.4"),
            ("[::1]", "[::1]"),
            ("[::1]:5", "[::1]:5"),
            ("[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"),
            ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
            ("7.example", "7.example"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_no_rule_could_name_is_no_host() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a.".repeat(124));
        for text in [
            "",
            " ",
            ".",
            "..",
            "a..b",
            ".a",
            "a%b",
            "a%2eb",
            "a b",
            "a\tb",
            "a\u{0}b",
            "*",
            "*.example.org",
            "a.*.org",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a\\b",
            "https://a.example",
            "a:",
            ":1",
            "a:0",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:1:2",
            "a:x",
            "[::1",
            "::1",
            "[]",
            "[a]",
            "[::1%eth0]",
            "[1.2.3.4]",
            "127.1",
            "1",
            "0x7f.1",
            "010.0.0.1",
            "256.1.1.1",
            "1.2.3.4.5",
            "1.2.3.0x",
            "bücher.example",
            "a.example,b.example",
            "a|b",
            "a^b",
            "(a)",
            "a.example..",
            &long_label,
            &long_name,
        ] {
            assert_eq!(host(text), None, "{text:?}");
        }
    }

    #[test]
    fn sites_have_patterns_of_their_own() {
        for (text, url, pattern, permission) in [
            (
                "https://chat.example.org",
                "https://chat.example.org",
                "https://chat.example.org/*",
                "https://chat.example.org/*",
            ),
            (
                "HTTPS://Chat.Example.org:443/",
                "https://chat.example.org",
                "https://chat.example.org/*",
                "https://chat.example.org/*",
            ),
            (
                "https://a.example:8443/element//",
                "https://a.example:8443/element",
                "https://a.example/element/*",
                "https://a.example/*",
            ),
            (
                "https://a.example/a%20b/(c)",
                "https://a.example/a%20b/(c)",
                "https://a.example/a%20b/(c)/*",
                "https://a.example/*",
            ),
            (
                "https://a.example/x*",
                "https://a.example/x%2A",
                "https://a.example/x%2A/*",
                "https://a.example/*",
            ),
            (
                "http://localhost:8080",
                "http://localhost:8080",
                "http://localhost/*",
                "http://localhost/*",
            ),
            (
                "http://localhost:80/x",
                "http://localhost/x",
                "http://localhost/x/*",
                "http://localhost/*",
            ),
            (
                "http://app.localhost",
                "http://app.localhost",
                "http://app.localhost/*",
                "http://app.localhost/*",
            ),
            (
                "http://127.8.0.1:3000",
                "http://127.8.0.1:3000",
                "http://127.8.0.1/*",
                "http://127.8.0.1/*",
            ),
            ("http://[::1]:8080", "http://[::1]:8080", "http://[::1]/*", "http://[::1]/*"),
            (
                "https://localhost",
                "https://localhost",
                "https://localhost/*",
                "https://localhost/*",
            ),
        ] {
            let found = site(text).unwrap();
            assert_eq!(
                (found.url.as_str(), found.pattern.as_str(), found.permission.as_str()),
                (url, pattern, permission),
                "{text}"
            );
            assert_eq!(site(&found.url).as_ref(), Some(&found), "{text}");
        }
    }

    #[test]
    fn what_is_no_site_is_none() {
        for text in [
            "",
            "a.example",
            "//a.example",
            "https://",
            "https:a.example",
            "ftp://localhost",
            "http://a.example",
            "http://localhost.example",
            "http://notlocalhost",
            "http://128.0.0.1",
            "http://[::2]",
            "http://127.1",
            "http://10.0.0.1",
            "wss://a.example",
            "https://u@a.example",
            "https://u:p@a.example",
            "https://a.example?q",
            "https://a.example/?q",
            "https://a.example/#f",
            "https://a.example/a b",
            "https://*.example",
            "https://a.example\\b",
            "https://a.example/a/../b",
            "https://a.example/%2E%2e/b",
            "https://a.example/ä",
            "https://a%b",
            "https://a.example:0",
            "https://a.example:99999",
            "file:///x",
        ] {
            assert_eq!(site(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_host_stays_as_it_is_when_read_again(text in "[a-z0-9.:\\[\\]%_* -]{0,20}") {
            if let Some(found) = host(&text) {
                prop_assert_eq!(host(&found), Some(found));
            }
        }

        #[test]
        fn a_site_stays_as_it_is_when_read_again(text in "https?://(localhost|a[.]b|127[.]1[.]1[.]1)(:[0-9]{1,5})?(/[a-z.*% ]{0,5}){0,3}") {
            if let Some(found) = site(&text) {
                prop_assert_eq!(site(&found.url), Some(found));
            }
        }
    }
}
