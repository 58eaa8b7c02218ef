//! `cargo bench -p mantle-shields`: what a request's route and decision take, in nanoseconds.

// A measurement that fails to set up has failed.
#![allow(clippy::unwrap_used)]

use mantle_shields::Engine;
use mantle_wire::route::route;
use mantle_wire::url::Address;
use std::hint::black_box;
use std::time::Instant;

/// What Element asks for, by and large in the proportions of a session.
const PATHS: [&str; 26] = [
    "/_matrix/client/versions",
    "/_matrix/client/v3/capabilities",
    "/_matrix/client/v3/pushrules/",
    "/_matrix/client/v3/voip/turnServer",
    "/_matrix/client/v3/thirdparty/protocols",
    "/_matrix/client/v3/user/%40alice%3Ahs.example.org/filter",
    "/_matrix/client/v3/sync?filter=0&timeout=30000&since=s72595_4483_1934",
    "/_matrix/client/v3/sync?filter=0&timeout=30000&since=s72596_4483_1935&set_presence=offline",
    "/_matrix/client/v3/keys/upload",
    "/_matrix/client/v3/keys/query",
    "/_matrix/client/v3/sendToDevice/m.room.encrypted/m1700000000.1",
    "/_matrix/client/v3/rooms/!abcdefghijklmnopqr%3Ahs.example.org/send/m.room.encrypted/m1700000000.2",
    "/_matrix/client/v3/rooms/!abcdefghijklmnopqr%3Ahs.example.org/receipt/m.read/%24event",
    "/_matrix/client/v3/rooms/!abcdefghijklmnopqr%3Ahs.example.org/typing/%40alice%3Ahs.example.org",
    "/_matrix/client/v3/rooms/!abcdefghijklmnopqr%3Ahs.example.org/messages?from=t1&dir=b&limit=30",
    "/_matrix/client/v3/rooms/!abcdefghijklmnopqr%3Ahs.example.org/members?not_membership=leave",
    "/_matrix/client/v1/rooms/!abcdefghijklmnopqr%3Ahs.example.org/relations/%24event?limit=20",
    "/_matrix/client/v3/profile/%40bob%3Ahs.example.org",
    "/_matrix/client/v1/media/download/hs.example.org/abcdefghijkl?allow_redirect=true",
    "/_matrix/client/v1/media/thumbnail/hs.example.org/abcdefghijkl?width=96&height=96&method=crop",
    "/_matrix/client/v1/media/preview_url?url=https%3A%2F%2Fexample.org%2F&ts=1700000000000",
    "/_matrix/client/unstable/org.matrix.msc3575/sync?pos=1",
    "/_matrix/client/v3/user/%40alice%3Ahs.example.org/account_data/im.vector.web.settings",
    "/_matrix/client/v3/room_keys/version",
    "/i18n/en_EN.7d1a1ad.json",
    "/_matrix/identity/v2",
];
const ROUNDS: u32 = 300;
const REPEATS: u32 = 20;

/// The best of many rounds, a request.
fn nanoseconds(urls: &[String], mut act: impl FnMut(&str)) -> f64 {
    let count = f64::from(REPEATS) * f64::from(u32::try_from(urls.len()).unwrap());
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..REPEATS {
            for url in urls {
                act(black_box(url));
            }
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / count);
    }
    best
}

fn main() {
    let urls: Vec<_> =
        PATHS.iter().map(|path| format!("https://hs.example.org/base{path}")).collect();
    let routed = nanoseconds(&urls, |url| {
        let address = Address::parse(url).unwrap();
        black_box(route("GET", &address));
    });
    println!("route    {routed:8.0} ns");
    for settings in [None, Some(r#"{"profile":"strict"}"#)] {
        let mut engine = Engine::new("https://chat.example.org/app/");
        engine.apply_settings(settings, None);
        let decided = nanoseconds(&urls, |url| {
            black_box(engine.decide("GET", url));
        });
        engine.effects(0);
        println!("decision {decided:8.0} ns with {}", settings.unwrap_or("no settings"));
    }
}
