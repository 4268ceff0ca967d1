//! Who is at the console: signing in and out, sessions, and what keeps other sites out.

pub(super) mod cookie;
pub(super) mod guard;
pub mod links;
pub(super) mod same_origin;
pub(super) mod sessions;
pub(super) mod sign_in;
pub(super) mod sign_in_link;
pub(super) mod sign_out;
pub mod supabase;
