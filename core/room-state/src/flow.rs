//! What happens with one kind of request or response.

pub(crate) mod request_filters;
