//! Which live rows are compared with those that were computed again: all of a table, or those of a subset, found by index.

use crate::store::tables::ComputedTable;

/// All rows of the table that are computed, as a query.
pub(super) fn all(table: &ComputedTable) -> String {
    format!("select * from {} where {}", table.live(), table.row_filter)
}

/// Those of the subset: the counterparts of the rows that were computed again, and what else belongs to the subset's ids.
pub(super) fn of_subset(table: &ComputedTable) -> String {
    let ComputedTable { name, key, row_filter, .. } = table;
    let live = table.live();
    let same_row: Vec<_> = key.iter().map(|column| format!("l.{column} = d.{column}")).collect();
    let counterparts = format!(
        "select l.ctid from {name} d cross join lateral (
             select l.ctid from {live} l where {} offset 0) l",
        same_row.join(" and ")
    );
    let belonging = belonging(table).iter().map(|belongs| {
        format!(
            "select l.ctid from scope s cross join lateral (
                 select l.ctid from {live} l where {belongs} offset 0) l"
        )
    });
    let found: Vec<_> = std::iter::once(counterparts).chain(belonging).collect();
    format!("select * from {live} where ctid = any(array({})) and {row_filter}", found.join(" union "))
}

/// How a row `l` belongs to an id `s` of the subset, as far as there is an index.
fn belonging(table: &ComputedTable) -> &'static [&'static str] {
    match table.name {
        "stripe_facts" | "payments" => &["l.id = s.name", "l.customer_id = s.name"],
        "stripe_versions" => &["l.id = s.name"],
        // What depends on a price or a coupon may belong to other subsets.
        "stripe_links" => &["l.id = s.name and exists (select from scope o where o.name = l.other)"],
        "claims" | "customer_emails" => &["l.object_id = s.name", "l.customer_id = s.name"],
        "customers" => &["l.id = s.name", "l.user_id = s.id"],
        "customer_revenue" | "mrr_movements" => &["l.customer_id = s.name"],
        "row_facts" => &["l.relation = split_part(s.name, '/', 1)
                          and l.row_id = substr(s.name, strpos(s.name, '/') + 1)"],
        "sms_facts" | "sms_consent_ledger" => &["l.sid = s.name"],
        "parked" => &["l.subject = s.name"],
        "customer_subscriptions" => &["l.stripe_subscription_id = s.name", "l.user_id = s.id"],
        "sms_consents" => &[],
        // Of members: logins, activity, payment_history and the rows of metrics.
        _ => &["l.user_id = s.id"],
    }
}
