//! Support tickets.

pub(super) mod change_ticket;
pub(super) mod list_tickets;
pub(super) mod reply_to_ticket;
pub(super) mod show_ticket;
