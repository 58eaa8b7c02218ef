//! What happens with one kind of request or response. A flow knows the model and no other flow: what
//! it has seen that another must know, it returns as observations.

pub(crate) mod convert;
pub(crate) mod pending;
pub(crate) mod plan_write;
pub(crate) mod reencrypt;
pub(crate) mod request_filters;
pub(crate) mod responses;
pub(crate) mod retry;
pub(crate) mod share_keys;
