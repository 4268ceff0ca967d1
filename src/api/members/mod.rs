//! Members, and what their revenue is made of.

pub(super) mod change_member;
pub(super) mod explain_mrr;
pub(super) mod list_member_events;
pub(super) mod list_members;
pub(super) mod list_timeline;
pub(super) mod show_member;
pub(super) mod show_mrr;
