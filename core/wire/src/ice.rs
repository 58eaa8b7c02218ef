//! ICE servers, candidates and the SDP lines that hold network addresses.
//!
//! URLs: RFC 7064 (`stun:`) and RFC 7065 (`turn:`). Lines: RFC 8839
//! (`a=candidate`, `a=rtcp`) and RFC 8866 (`c=`, `o=`).

/// A server that a peer connection may contact before it reaches its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// TURN: it relays. Otherwise STUN, which only tells one's own address.
    pub relays: bool,
    /// Lower case, with port where the URL names one.
    pub host: String,
}

impl IceServer {
    /// `None` for anything that is no STUN or TURN URL.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let relays = match scheme.to_ascii_lowercase().as_str() {
            "stun" | "stuns" => false,
            "turn" | "turns" => true,
            _ => return None,
        };
        let host = rest.split('?').next().unwrap_or(rest).trim_start_matches('/');
        (!host.is_empty()).then(|| Self { relays, host: host.to_ascii_lowercase() })
    }
}

/// Whether a candidate line (with or without `a=`) names a relay, or only ends the list.
///
/// Its words stand between single spaces, the type in the eighth place: what is written otherwise, no
/// browser says of a relay.
#[must_use]
pub fn is_relay_candidate(line: &str) -> bool {
    let line = line.trim_ascii_start();
    if !line.strip_prefix("a=").unwrap_or(line).starts_with("candidate:") {
        return true;
    }
    let mut words = line.trim_ascii_end().split(' ').skip(6);
    words.next() == Some("typ") && words.next() == Some("relay")
}

/// A relay candidate without the address it was reached from; `None` when it names none.
#[must_use]
pub fn without_related_address(line: &str) -> Option<String> {
    let words: Vec<_> = line.split(' ').collect();
    let mut changed = false;
    let mut previous = "";
    let next: Vec<_> = words
        .iter()
        .enumerate()
        .map(|(at, &word)| {
            let hidden = match previous {
                "raddr" if word.contains(':') => Some("::"),
                "raddr" => Some("0.0.0.0"),
                "rport" => Some("0"),
                _ => None,
            };
            // Behind the type; the first eight words have their places.
            previous = if at < 8 { "" } else { word };
            match hidden {
                Some(hidden) if hidden != word => {
                    changed = true;
                    hidden
                }
                _ => word,
            }
        })
        .collect();
    changed.then(|| next.join(" "))
}

/// A session description that names no address but a relay's; `None` when it did not name any.
#[must_use]
pub fn relay_only(sdp: &str) -> Option<String> {
    let mut changed = false;
    let mut next = String::with_capacity(sdp.len());
    for whole in sdp.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\r', '\n']);
        let end = whole.get(line.len()..).unwrap_or_default();
        if line.starts_with("a=candidate:") && !is_relay_candidate(line) {
            changed = true;
            continue;
        }
        let hidden = if line.starts_with("a=candidate:") {
            without_related_address(line)
        } else if ["c=", "o=", "a=rtcp:"].iter().any(|start| line.starts_with(start)) {
            without_connection_address(line)
        } else {
            None
        };
        changed |= hidden.is_some();
        next.push_str(hidden.as_deref().unwrap_or(line));
        next.push_str(end);
    }
    changed.then_some(next)
}

/// ICE reads its candidates, not these lines; browsers write 0.0.0.0 there themselves at first.
fn without_connection_address(line: &str) -> Option<String> {
    for (kind, unspecified) in [(" IP4 ", "0.0.0.0"), (" IP6 ", "::")] {
        if let Some((before, address)) = line.split_once(kind) {
            return (!matches!(address, "0.0.0.0" | "127.0.0.1" | "::" | "::1"))
                .then(|| format!("{before}{kind}{unspecified}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = "a=candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host generation 0";
    const RELAY: &str =
        "a=candidate:3 1 udp 41885439 198.51.100.9 61000 typ relay raddr 192.0.2.7 rport 50000";

    #[test]
    fn servers_are_told_apart() {
        for (url, relays, host) in [
            ("stun:turn.matrix.org", false, "turn.matrix.org"),
            ("STUNS:Stun.Example.org:5349", false, "stun.example.org:5349"),
            ("turn:turn.example.org:3478?transport=udp", true, "turn.example.org:3478"),
            ("turns:[2001:db8::1]:443?transport=tcp", true, "[2001:db8::1]:443"),
        ] {
            assert_eq!(IceServer::parse(url), Some(IceServer { relays, host: host.into() }));
        }
        for url in ["", "turn.example.org", "http://x/", "turn:", "turn:?transport=udp"] {
            assert_eq!(IceServer::parse(url), None, "{url}");
        }
    }

    #[test]
    fn descriptions_keep_relays_only() {
        let sdp = format!(
            "v=0\r\no=- 1 2 IN IP4 192.0.2.7\r\nc=IN IP6 2001:db8::7\r\na=rtcp:9 IN IP4 192.0.2.7\r\n{HOST}\r\n{RELAY}\r\na=mid:0\r\n"
        );
        let hidden = relay_only(&sdp).unwrap();
        assert!(!hidden.contains("192.0.2.7") && !hidden.contains("2001:db8"), "{hidden}");
        assert!(hidden.contains("198.51.100.9 61000 typ relay raddr 0.0.0.0 rport 0\r\n"));
        assert!(hidden.ends_with("a=mid:0\r\n"));
        assert_eq!(relay_only(&hidden), None);
        assert_eq!(relay_only("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nc=IN IP4 0.0.0.0\r\n"), None);
    }

    #[test]
    fn candidates_of_events_are_told_apart() {
        assert!(!is_relay_candidate("candidate:1 1 udp 1 192.0.2.7 5 typ host"));
        assert!(!is_relay_candidate("candidate:1 1 udp 1 192.0.2.7 5 typ srflx raddr 10.0.0.1"));
        assert!(!is_relay_candidate("candidate:1 1 udp 1 192.0.2.7 5 typ"));
        assert!(is_relay_candidate(RELAY) && is_relay_candidate(""));
    }

    proptest! {
        #[test]
        fn what_is_hidden_stays_hidden(
            lines in proptest::collection::vec(
                prop_oneof![Just(HOST.to_owned()), Just(RELAY.to_owned()), "[ -~]{0,40}"], 0..8)
        ) {
            let sdp = lines.join("\r\n");
            if let Some(hidden) = relay_only(&sdp) {
                prop_assert_eq!(relay_only(&hidden), None);
            }
        }
    }
}
