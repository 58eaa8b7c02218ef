//! What a homeserver says and does about media without signing in (MSC3916, Matrix 1.11).

use super::ServerMedia;
use mantle_wire::json::{elements, get, get_str, string};
use serde::Serialize;

/// A try counts for so long.
const FRESH_MS: u64 = 30 * 24 * 3600 * 1000;

/// What came of fetching a just-uploaded item without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// What the server did.
    pub media: ServerMedia,
    /// Whether it said otherwise.
    pub promises: bool,
    /// Of the `/versions` answer then.
    pub versions: String,
    /// Milliseconds since the epoch.
    pub time: u64,
}

impl Tried {
    /// As it was stored; `None` where it is not whole.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let promises = get(text, &["promises"]).ok()??;
        Some(Self {
            media: ServerMedia::from_name(&get_str(text, &["media"]).ok()??),
            promises: matches!(promises, "true" | "false").then_some(promises == "true")?,
            versions: get_str(text, &["versions"]).ok()??,
            time: get(text, &["time"]).ok()??.parse().ok()?,
        })
    }

    /// Whether it still counts at `now`, for a server with these versions.
    #[must_use]
    pub fn is_fresh(&self, now: u64, versions: &str) -> bool {
        self.media != ServerMedia::Unknown
            && self.versions == versions
            && now.checked_sub(self.time).is_some_and(|age| age < FRESH_MS)
    }
}

/// Whether a `/_matrix/client/versions` answer says that new media needs signing in. It only proves
/// that the endpoints exist.
#[must_use]
pub fn promises(versions: &str) -> bool {
    let is_flagged = matches!(
        get(versions, &["unstable_features", "org.matrix.msc3916.stable"]),
        Ok(Some("true"))
    );
    let listed = get(versions, &["versions"]).ok().flatten().unwrap_or("[]");
    is_flagged
        || elements(listed).unwrap_or_default().into_iter().any(|version| {
            let version = string(version.as_bytes()).unwrap_or_default();
            let mut parts = version.strip_prefix('v').unwrap_or_default().split('.');
            let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
            matches!(
                (number(parts.next()), number(parts.next())),
                (Some(1), Some(11..)) | (Some(2..), _)
            )
        })
}

/// Stands for a `/versions` answer, to see when it changes (FNV-1a, 64 bits).
#[must_use]
pub fn fingerprint(versions: &str) -> String {
    let hash = versions.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// What the HTTP statuses of tries without credentials mean; 0 stands for no answer at all.
#[must_use]
pub fn outcome(statuses: &[u16]) -> ServerMedia {
    if statuses.iter().any(|status| (200..300).contains(status)) {
        ServerMedia::Public
    } else if !statuses.is_empty()
        && statuses.iter().all(|status| matches!(status, 401 | 403 | 404))
    {
        ServerMedia::Closed
    } else {
        ServerMedia::Unknown
    }
}
