//! What responses and requests told about servers, and who said it.
//!
//! A server says much about itself and others, so nothing of it reaches further than who said it: a
//! call service counts when one's own homeserver or domain names it, and nobody names the page's own
//! host, a homeserver in use or the server one signs in at as something to keep away from. Each kind
//! has a bound, for each who says it too, and the oldest goes.

use crate::shields::{OpenIdToken, Place};
use mantle_wire::json::{self, JsonError};
use mantle_wire::secret::Secret;
use mantle_wire::url::Address;
use serde::Serialize;

/// OpenID tokens live an hour; this many are followed at once.
const MAX_TOKENS: usize = 64;
/// Of any other kind.
const MAX_ENTRIES: usize = 64;
/// Of any other kind, by one server.
const MAX_BY_ONE: usize = 8;
/// Longest host and path prefix, in bytes. Longer ones no browser asks for.
const MAX_LENGTH: usize = 1024;
/// Longest token, in bytes.
const MAX_TOKEN: usize = 4096;

/// Something a server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Said<T> {
    by: String,
    what: T,
}

/// What one document has learned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Learned {
    managers: Vec<Said<Place>>,
    tokens: Vec<OpenIdToken>,
    rtc_hosts: Vec<Said<String>>,
    auth_hosts: Vec<Said<String>>,
    turn_hosts: Vec<Said<String>>,
    /// Hosts that Element talks the Client-Server API to, if only to see what they are.
    homeservers: Vec<Said<String>>,
    /// The host that Element last talked to for an account; empty before.
    own_server: String,
    /// Matrix IDs that Element signs in with; the last is in use.
    accounts: Vec<Said<String>>,
    /// Where the site's own configuration has bug reports sent.
    reports: Vec<Said<Place>>,
    /// Call services that were given a token.
    used_call_servers: Vec<Said<String>>,
    /// Call servers that the person agreed to, whoever named them.
    agreed_call_servers: Vec<Said<String>>,
}

impl Learned {
    /// Where an integration manager is; whether that is new.
    pub(crate) fn manager(&mut self, page_host: &str, by: &str, place: Place) -> bool {
        let Place { host, path_prefix } = &place;
        let is_own = host == page_host || self.is_homeserver(host) || self.is_auth(host);
        !is_own
            && path_prefix.len() <= MAX_LENGTH
            && host.len() <= MAX_LENGTH
            && add(&mut self.managers, by, place)
    }

    /// An OpenID token and the homeserver that issued it; whether that is new.
    pub(crate) fn token(&mut self, issuer: &str, value: String) -> bool {
        // Short texts would match by accident.
        if !(8..=MAX_TOKEN).contains(&value.len()) {
            return false;
        }
        let token = OpenIdToken { value: Secret::new(value), issuer: issuer.to_owned() };
        if self.tokens.contains(&token) {
            return false;
        }
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.remove(0);
        }
        self.tokens.push(token);
        true
    }

    /// A host for calls (MSC4143); whether that is new.
    pub(crate) fn rtc_host(&mut self, by: &str, host: String) -> bool {
        host.len() <= MAX_LENGTH && add(&mut self.rtc_hosts, by, host)
    }

    /// A host where one signs in (MSC2965); whether that is new.
    pub(crate) fn auth_host(&mut self, by: &str, host: String) -> bool {
        let is_new = host.len() <= MAX_LENGTH && add(&mut self.auth_hosts, by, host.clone());
        if is_new && self.is_auth(&host) {
            self.managers.retain(|said| said.what.host != host);
        }
        is_new
    }

    /// A TURN server (Client-Server API, `GET voip/turnServer`); whether that is new.
    pub(crate) fn turn_host(&mut self, by: &str, host: String) -> bool {
        host.len() <= MAX_LENGTH && add(&mut self.turn_hosts, by, host)
    }

    /// Element talks the Client-Server API to this host; whether that is new.
    pub(crate) fn homeserver(&mut self, host: &str) -> bool {
        let is_new = !self.is_homeserver(host) && add(&mut self.homeservers, host, host.to_owned());
        if is_new {
            self.managers.retain(|said| said.what.host != host);
        }
        is_new
    }

    /// Element acts for this Matrix ID; whether it did for another one before.
    pub(crate) fn user(&mut self, user: &str) -> bool {
        if !user.starts_with('@') || user.len() > MAX_LENGTH || self.account() == Some(user) {
            return false;
        }
        let is_known = self.accounts.iter().any(|said| said.what == user);
        self.accounts.retain(|said| said.what != user);
        let is_new = add(&mut self.accounts, user, user.to_owned());
        if !is_known {
            self.forget_strangers();
        }
        is_new
    }

    /// A request that needs an account goes to this host, for this Matrix ID where it says so; whether
    /// that is new.
    pub(crate) fn acts(&mut self, host: &str, user: Option<&str>) -> bool {
        let is_new = self.own_server != host && host.len() <= MAX_LENGTH;
        if is_new {
            host.clone_into(&mut self.own_server);
        }
        let is_new_user = user.is_some_and(|user| self.user(user));
        if is_new {
            // Whose domain spoke is not known before the account is.
            let own = self.owners().map(str::to_owned);
            self.homeservers.retain(|said| is_one_of(&own, &said.by));
        }
        is_new || is_new_user
    }

    /// What servers said that were only tried is forgotten once it is clear whose account it is.
    fn forget_strangers(&mut self) {
        self.agreed_call_servers.clear();
        self.used_call_servers.clear();
        let own = self.owners().map(str::to_owned);
        for list in
            [&mut self.homeservers, &mut self.rtc_hosts, &mut self.auth_hosts, &mut self.turn_hosts]
        {
            list.retain(|said| is_one_of(&own, &said.by));
        }
    }

    /// The session ended: what belongs to it is forgotten.
    pub(crate) fn sign_out(&mut self) {
        self.accounts.clear();
        self.tokens.clear();
        self.used_call_servers.clear();
        self.agreed_call_servers.clear();
        self.homeservers.clear();
        self.own_server.clear();
        self.rtc_hosts.clear();
        self.auth_hosts.clear();
        self.turn_hosts.clear();
    }

    /// Where bug reports are sent; whether that is new.
    pub(crate) fn report(&mut self, by: &str, place: Place) -> bool {
        let length = place.path_prefix.len().max(place.host.len());
        length <= MAX_LENGTH && add(&mut self.reports, by, place)
    }

    /// A call service of one's own was given a token; whether that is new.
    pub(crate) fn used_call_server(&mut self, host: &str) -> bool {
        add(&mut self.used_call_servers, host, host.to_owned())
    }

    /// The person agreed to a stranger's call service, which is given a token; whether that is new.
    pub(crate) fn agreed_call_server(&mut self, host: &str) -> bool {
        let is_new = add(&mut self.agreed_call_servers, host, host.to_owned());
        self.used_call_server(host) || is_new
    }

    /// Whether a place that was named as an integration manager's holds this address.
    #[must_use]
    pub fn is_manager(&self, address: &Address<'_>) -> bool {
        self.managers.iter().any(|said| said.what.holds(address))
    }

    /// OpenID tokens seen so far.
    #[must_use]
    pub fn tokens(&self) -> &[OpenIdToken] {
        &self.tokens
    }

    /// Whether bug reports go there by the site's own configuration.
    #[must_use]
    pub fn is_report(&self, address: &Address<'_>) -> bool {
        self.reports.iter().any(|said| said.what.holds(address))
    }

    /// The Matrix ID that Element acts for.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.accounts.last().map(|said| said.what.as_str())
    }

    /// Whether one's own homeserver or domain names this host for calls, or the person agreed to it.
    #[must_use]
    pub fn is_call_server(&self, host: &str) -> bool {
        self.rtc_hosts.iter().any(|said| said.what == host && self.is_own(&said.by))
            || self.agreed_call_servers.iter().any(|said| said.what == host)
    }

    /// Whether a call service of one's own was given a token: a call with it may be under way.
    #[must_use]
    pub fn has_used_call_server(&self) -> bool {
        !self.used_call_servers.is_empty()
    }

    /// Whether this host was named for signing in. Before anybody signed in, whoever is asked may name
    /// one; afterwards it is for one's own homeserver or domain to say, and for a server that Element
    /// turned to since: a session can end without a word to its homeserver.
    #[must_use]
    pub fn is_auth(&self, host: &str) -> bool {
        let may_say = |by: &str| self.is_nobody() || self.is_own(by) || self.is_homeserver(by);
        self.auth_hosts.iter().any(|said| said.what == host && may_say(&said.by))
    }

    /// Whether a homeserver in use offers this TURN server.
    #[must_use]
    pub fn is_turn(&self, host: &str) -> bool {
        let may_say = |by: &str| self.is_nobody() || self.is_own(by);
        self.turn_hosts.iter().any(|said| said.what == host && may_say(&said.by))
    }

    /// Whether Element talks the Client-Server API to this host.
    #[must_use]
    pub fn is_homeserver(&self, host: &str) -> bool {
        self.homeservers.iter().any(|said| said.what == host)
    }

    /// Whether somebody has signed in, and Element has asked nothing of this host yet.
    #[must_use]
    pub(crate) fn is_strange(&self, host: &str) -> bool {
        !self.is_nobody() && !self.is_homeserver(host) && !self.is_own(host)
    }

    /// Whether nobody has signed in, as far as is known.
    const fn is_nobody(&self) -> bool {
        self.accounts.is_empty() && self.own_server.is_empty()
    }

    /// The homeserver and the domain of the account in use; empty where they are not known.
    fn owners(&self) -> [&str; 2] {
        let domain = self.account().and_then(|user| user.split_once(':'));
        [&self.own_server, domain.map_or("", |(_, domain)| domain)]
    }

    fn is_own(&self, host: &str) -> bool {
        is_one_of(&self.owners(), host)
    }

    /// Reads what [`serde_json::to_string`] made of another.
    ///
    /// # Errors
    /// [`JsonError`] where the text is no such thing.
    pub(crate) fn read(text: &str) -> Result<Self, JsonError> {
        let own_server = json::get_str(text, &["own_server"])?.unwrap_or_default();
        let list = |key| json::elements(json::get(text, &[key])?.unwrap_or("[]"));
        let text = |item, path: &[&str]| json::get_str(item, path).map(Option::unwrap_or_default);
        let hosts = |key| -> Result<Vec<Said<String>>, JsonError> {
            list(key)?
                .into_iter()
                .map(|said| Ok(Said { by: text(said, &["by"])?, what: text(said, &["what"])? }))
                .collect()
        };
        let mut learned = Self {
            rtc_hosts: hosts("rtc_hosts")?,
            auth_hosts: hosts("auth_hosts")?,
            turn_hosts: hosts("turn_hosts")?,
            homeservers: hosts("homeservers")?,
            own_server,
            accounts: hosts("accounts")?,
            used_call_servers: hosts("used_call_servers")?,
            agreed_call_servers: hosts("agreed_call_servers")?,
            ..Self::default()
        };
        for (key, places) in
            [("managers", &mut learned.managers), ("reports", &mut learned.reports)]
        {
            for said in list(key)? {
                let host = text(said, &["what", "host"])?;
                let what = Place { host, path_prefix: text(said, &["what", "path_prefix"])? };
                places.push(Said { by: text(said, &["by"])?, what });
            }
        }
        for token in list("tokens")? {
            let value = Secret::new(text(token, &["value"])?);
            learned.tokens.push(OpenIdToken { value, issuer: text(token, &["issuer"])? });
        }
        Ok(learned)
    }
}

/// Adds what is not there yet; of too many the oldest goes, of too many by one the oldest of theirs.
fn add<T: PartialEq>(list: &mut Vec<Said<T>>, by: &str, what: T) -> bool {
    if by.len() > MAX_LENGTH || list.iter().any(|said| said.by == by && said.what == what) {
        return false;
    }
    let is_new = !list.iter().any(|said| said.what == what);
    let theirs = list.iter().filter(|said| said.by == by).count();
    let oldest = match theirs >= MAX_BY_ONE {
        true => list.iter().position(|said| said.by == by),
        false => (list.len() >= MAX_ENTRIES).then_some(0),
    };
    if let Some(oldest) = oldest {
        list.remove(oldest);
    }
    list.push(Said { by: by.to_owned(), what });
    is_new
}

fn is_one_of(hosts: &[impl AsRef<str>], host: &str) -> bool {
    !host.is_empty() && hosts.iter().any(|one| one.as_ref() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str) -> Place {
        Place { host: host.to_owned(), path_prefix: "/".to_owned() }
    }

    #[test]
    fn nothing_that_is_in_use_becomes_a_manager() {
        let mut learned = Learned::default();
        learned.homeserver("hs.example");
        learned.auth_host("hs.example", "auth.example".to_owned());
        for host in ["chat.example", "hs.example", "auth.example"] {
            assert!(!learned.manager("chat.example", "evil.example", place(host)), "{host}");
        }
        assert!(learned.manager("chat.example", "evil.example", place("later.example")));
        learned.homeserver("later.example");
        assert!(!learned.is_manager(&Address::parse("https://later.example/x").unwrap()));
    }

    #[test]
    fn a_stranger_names_no_place_to_sign_in_for_who_has_signed_in() {
        let mut learned = Learned::default();
        learned.homeserver("typed.example");
        learned.auth_host("typed.example", "auth.example".to_owned());
        assert!(learned.is_auth("auth.example"));
        learned.user("@a:own.example");
        assert!(!learned.is_auth("auth.example"));
        learned.manager("chat.example", "hs.example", place("m.example"));
        learned.auth_host("typed.example", "m.example".to_owned());
        assert!(learned.is_manager(&Address::parse("https://m.example/x").unwrap()));
        learned.auth_host("own.example", "auth.example".to_owned());
        assert!(learned.is_auth("auth.example"));
    }

    #[test]
    fn call_servers_count_for_those_who_may_name_them() {
        let mut learned = Learned::default();
        learned.homeserver("evil.example");
        learned.rtc_host("evil.example", "sfu.evil.example".to_owned());
        learned.rtc_host("own.example", "sfu.own.example".to_owned());
        assert!(!learned.is_call_server("sfu.own.example"));
        learned.user("@a:own.example");
        assert!(learned.is_call_server("sfu.own.example"));
        assert!(!learned.is_call_server("sfu.evil.example"));
    }

    #[test]
    fn a_server_that_was_only_tried_is_not_ones_own() {
        let said = |learned: &mut Learned, by: &str| {
            learned.homeserver(by);
            learned.rtc_host(by, format!("sfu.{by}"));
            learned.auth_host(by, format!("auth.{by}"));
            learned.turn_host(by, format!("turn.{by}"));
        };
        let is_own = |learned: &Learned, by: &str| {
            [
                learned.is_call_server(&format!("sfu.{by}")),
                learned.is_auth(&format!("auth.{by}")),
                learned.is_turn(&format!("turn.{by}")),
                learned.is_homeserver(by),
            ]
        };
        let mut learned = Learned::default();
        for by in ["evil.example", "hs.example", "own.example"] {
            said(&mut learned, by);
            // All that signing in needs, and nothing else.
            assert_eq!(is_own(&learned, by), [false, true, true, true]);
        }
        learned.acts("hs.example", Some("@a:own.example"));
        assert_eq!(is_own(&learned, "evil.example"), [false; 4]);
        assert_eq!(is_own(&learned, "hs.example"), [true; 4]);
        assert_eq!(is_own(&learned, "own.example")[..3], [true; 3]);
        // What the domain said before its account was known stays.
        let mut delegated = Learned::default();
        delegated.rtc_host("own.example", "sfu.own.example".to_owned());
        said(&mut delegated, "evil.example");
        delegated.acts("hs.example", None);
        assert_eq!(is_own(&delegated, "evil.example"), [false; 4]);
        delegated.acts("hs.example", Some("@a:own.example"));
        assert!(delegated.is_call_server("sfu.own.example"));
        // Whoever signs in anew may, though nobody heard that the session had ended.
        said(&mut learned, "next.example");
        assert_eq!(is_own(&learned, "next.example"), [false, true, false, true]);
        learned.acts("next.example", None);
        assert_eq!(is_own(&learned, "next.example"), [true; 4]);
        learned.acts("next.example", Some("@b:next.example"));
        assert_eq!(is_own(&learned, "hs.example"), [false; 4]);
        assert_eq!(is_own(&learned, "next.example"), [true; 4]);
        learned.sign_out();
        assert_eq!(learned, Learned::default());
    }

    #[test]
    fn one_server_pushes_out_only_what_it_said_itself() {
        let mut learned = Learned::default();
        learned.manager("chat.example", "own.example", place("manager.example"));
        for number in 0..1000 {
            learned.manager("chat.example", "evil.example", place(&format!("{number}.example")));
        }
        assert_eq!(learned.managers.len(), MAX_BY_ONE + 1);
        let holds = |url| learned.is_manager(&Address::parse(url).unwrap());
        assert!(holds("https://manager.example/x") && holds("https://999.example/"));
        assert!(!holds("https://0.example/"));
    }

    #[test]
    fn what_is_kept_has_bounds() {
        let mut learned = Learned::default();
        for number in 0..1000 {
            let host = format!("{number}.example");
            learned.rtc_host(&host, host.clone());
            learned.auth_host(&host, host.clone());
            learned.turn_host(&host, host.clone());
            learned.homeserver(&host);
            learned.used_call_server(&host);
            learned.agreed_call_server(&host);
            learned.manager("", &host, place(&format!("m{host}")));
            learned.report(&host, place(&host));
            learned.token("hs.example", format!("long enough {number}"));
        }
        let long = "x".repeat(MAX_LENGTH + 1);
        assert!(!learned.acts(&long, None));
        assert!(
            !learned.rtc_host("a.example", long.clone()) && !learned.rtc_host(&long, "b".into())
        );
        assert!(!learned.token("hs.example", "x".repeat(MAX_TOKEN + 1)));
        assert!(!learned.token("hs.example", "short".to_owned()));
        let text = serde_json::to_string(&learned).unwrap();
        assert!(text.len() < 64 * 1024, "{}", text.len());
        assert_eq!(Learned::read(&text).unwrap(), learned);
        for number in 0..1000 {
            let host = format!("{number}.example");
            learned.acts(&host, Some(&format!("@a:{host}")));
        }
        let text = serde_json::to_string(&learned).unwrap();
        assert!(text.len() < 64 * 1024, "{}", text.len());
        assert_eq!(Learned::read(&text).unwrap(), learned);
    }
}
