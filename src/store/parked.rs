//! Parked items: facts that are stored but cannot be shown fully yet, and what is missing. Events are never parked.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;

/// Why something is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A customer of an unknown user.
    UnknownUser,
    /// A customer whose user was deleted.
    UserDeleted,
    /// A customer whose address several confirmed users have.
    AmbiguousEmail,
    /// A subscription whose prices and products no tier names.
    NoTier,
    /// A subscription in a status that the tables cannot show.
    UnknownStatus,
    /// A pre-existing subscription that no event has reported, or one of a deleted customer whose end was not
    /// reported: only Stripe knows its state. In the database `needs_stripe`.
    CheckWithStripe,
    /// A subscription whose event shows only the first of its items.
    ItemsTruncated,
    /// A subscription with a discount of unknown terms.
    UnresolvedDiscount,
    /// A subscription whose value had to be assumed.
    EstimatedMrr,
    /// A subscription that, or whose trial, should have ended, without an event. Not Stripe's `past_due`.
    Overdue,
    /// A customer whose objects name different users, or something that is not a user. In the database `disputed_user`,
    /// which has nothing to do with chargebacks.
    ConflictingUsers,
    /// A payment too large for the column of an older table.
    AmountOutOfRange,
    /// An event without the state of its object.
    ThinEvent,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::UnknownUser,
        Self::UserDeleted,
        Self::AmbiguousEmail,
        Self::NoTier,
        Self::UnknownStatus,
        Self::CheckWithStripe,
        Self::ItemsTruncated,
        Self::UnresolvedDiscount,
        Self::EstimatedMrr,
        Self::Overdue,
        Self::ConflictingUsers,
        Self::AmountOutOfRange,
        Self::ThinEvent,
    ];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::UserDeleted => "user_gone",
            Self::AmbiguousEmail => "ambiguous_email",
            Self::NoTier => "no_tier",
            Self::UnknownStatus => "unknown_status",
            Self::CheckWithStripe => "needs_stripe",
            Self::ItemsTruncated => "items_truncated",
            Self::UnresolvedDiscount => "unresolved_discount",
            Self::EstimatedMrr => "estimated_mrr",
            Self::Overdue => "overdue",
            Self::ConflictingUsers => "disputed_user",
            Self::AmountOutOfRange => "amount_out_of_range",
            Self::ThinEvent => "thin_event",
        }
    }
}

/// What was checked: only the parked items found now remain for it.
#[derive(Debug, Default)]
pub struct Checked {
    /// Customers whose owner was decided.
    pub customers: BTreeSet<String>,
    /// Valued subscriptions about which something was or is parked.
    pub subscriptions: BTreeSet<String>,
    /// Checked payments that exceed a four-byte integer, or did before.
    pub payments: BTreeSet<String>,
    /// Objects of which it was checked whether their newest event came without a state.
    pub thin_event_objects: BTreeSet<String>,
}

impl Checked {
    /// Each subject with the reasons that were checked. One id can be several things: a guest's charge is a
    /// payment and represents the customer.
    fn pairs(&self) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
        let groups = [
            (
                &self.customers,
                &[Reason::UnknownUser, Reason::UserDeleted, Reason::AmbiguousEmail, Reason::ConflictingUsers]
                    [..],
            ),
            (
                &self.subscriptions,
                &[
                    Reason::NoTier,
                    Reason::UnknownStatus,
                    Reason::CheckWithStripe,
                    Reason::ItemsTruncated,
                    Reason::UnresolvedDiscount,
                    Reason::EstimatedMrr,
                    Reason::Overdue,
                ],
            ),
            (&self.payments, &[Reason::AmountOutOfRange]),
            (&self.thin_event_objects, &[Reason::ThinEvent]),
        ];
        groups.into_iter().flat_map(|(subjects, reasons)| {
            let names: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
            subjects.iter().map(move |subject| (subject.as_str(), names.clone()))
        })
    }
}

/// One parked item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parked {
    /// The object's id.
    pub subject: String,
    /// Why it is parked.
    pub reason: Reason,
    /// What is missing, for operators.
    pub detail: String,
}

/// Objects parked because their newest event came without a state. Checked for `objects`, and for parked ones among
/// those whose fact `changed`. Depends on the set of events only.
pub async fn thin_objects(
    tx: &mut PgConnection,
    objects: &BTreeSet<String>,
    changed: &BTreeSet<String>,
) -> Result<Vec<Parked>, sqlx::Error> {
    if objects.is_empty() && changed.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as::<_, (String, String, String)>(
        "with checked (subject) as (
             select unnest($1::text[])
             union
             select subject from parked where reason = $3 and subject = any($2)
         )
         select distinct on (i.subject) i.subject, i.event_type, i.event_id
         from checked c join ingest.events i on i.subject = c.subject and i.source = 'stripe'
         left join stripe_facts f on f.id = c.subject
         where i.not_counted is null and (f.id is null or (not f.final and i.occurred_at > f.occurred_at))
         order by i.subject, i.occurred_at desc, i.event_id desc",
    )
    .bind(objects.iter().map(String::as_str).collect::<Vec<_>>())
    .bind(changed.iter().map(String::as_str).collect::<Vec<_>>())
    .bind(Reason::ThinEvent.as_str())
    .fetch_all(tx)
    .await?;
    let parked = |(subject, event_type, event_id)| Parked {
        subject,
        reason: Reason::ThinEvent,
        detail: format!("{event_type} {event_id} carries no state"),
    };
    Ok(rows.into_iter().map(parked).collect())
}

/// Replaces the parked items of what was `checked` by `parked`.
pub async fn replace(
    tx: &mut PgConnection,
    checked: &Checked,
    parked: &[Parked],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (subjects, reasons): (Vec<&str>, Vec<String>) =
        checked.pairs().map(|(subject, reasons)| (subject, reasons.join(" "))).unzip();
    if subjects.is_empty() {
        return Ok(());
    }
    sqlx::query(
        // Found by index and deleted by ctid: a join would scan the table if its statistics are stale.
        "with cleared as (
             delete from parked where ctid = any(array(
                 select p.ctid from unnest($1::text[], $2::text[]) as w (subject, reasons)
                 cross join lateral (
                     select p.ctid, p.reason from parked p
                     where p.subject = w.subject and p.reason = any(string_to_array(w.reasons, ' '))
                     offset 0
                 ) p
                 where (w.subject, p.reason) not in (select * from unnest($3::text[], $4::text[]))
             ))
         )
         insert into parked (subject, reason, detail, parked_at)
         select subject, reason, detail, $6
         from unnest($3::text[], $4::text[], $5::text[]) as p (subject, reason, detail)
         on conflict (subject, reason) do update set detail = excluded.detail where parked.detail <> excluded.detail",
    )
    .bind(subjects)
    .bind(reasons)
    .bind(parked.iter().map(|p| p.subject.as_str()).collect::<Vec<_>>())
    .bind(parked.iter().map(|p| p.reason.as_str()).collect::<Vec<_>>())
    .bind(parked.iter().map(|p| p.detail.as_str()).collect::<Vec<_>>())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
