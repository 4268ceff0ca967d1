-- A subscription whose trial or self should have ended, and nobody has told what became of it.
comment on column ingest.parked.reason is
    'unknown_user, user_gone, ambiguous_email, disputed_user, no_tier, unknown_status, needs_stripe, items_truncated, unresolved_discount, estimated_mrr, overdue, amount_out_of_range, thin_event.';
