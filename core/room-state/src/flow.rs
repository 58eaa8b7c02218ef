//! What happens with one kind of request or response.

pub(crate) mod invite_state;
pub(crate) mod redactions;
pub(crate) mod request_filters;
pub(crate) mod retry;
