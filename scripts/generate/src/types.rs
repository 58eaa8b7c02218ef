//! TypeScript's types of what crosses the boundary, from the Rust ones.

use mantle_check_up as check_up;
use mantle_settings as settings;
use mantle_shields::ledger::Record;
use mantle_shields::shields::{self, FrameStep as FrameVerdict, PeerStep as PeerVerdict};
use mantle_shields::{Delegate, Effect, overview, verdict};
use ts_rs::{Config, TS};

/// `extension/generated/types.ts`.
pub(crate) fn types() -> String {
    // Counts and times stay below 2^53.
    let config = Config::new().with_large_int("number");
    let mut page = String::from(
        "/** Generated from the Rust types that cross the boundary; do not edit. */\n",
    );
    let mut add = |docs: Option<String>, declaration: String| {
        page.push('\n');
        page.push_str(&docs.unwrap_or_default());
        page.push_str("export ");
        page.push_str(&declaration);
        page.push('\n');
    };
    macro_rules! declare {
        ($($of:ty),* $(,)?) => { $(add(<$of>::docs(), <$of>::decl(&config));)* };
    }
    declare!(
        settings::Mode,
        settings::Profile,
        settings::Source,
        settings::InForce<()>,
        settings::Item,
        settings::OptionKind,
        settings::OptionInfo,
        settings::OptionValue,
        settings::Change,
        settings::ImportError,
        settings::Site,
        verdict::Handler,
        verdict::Action,
        shields::Question,
        Delegate,
        Record,
        Effect,
        PeerVerdict,
        FrameVerdict,
        overview::OptionView,
        overview::ShieldView,
        overview::TextView,
        overview::SettingsView,
        overview::SiteLists,
        check_up::Account,
        check_up::Request,
        check_up::Inquiry,
        check_up::Topic,
        check_up::FindingId,
        check_up::Audience,
        check_up::Grade,
        check_up::Item,
        check_up::Offer,
        check_up::Finding,
        check_up::Report,
        check_up::Pause,
        check_up::RepairState,
        check_up::Next,
        check_up::RepairView,
    );
    page
}
