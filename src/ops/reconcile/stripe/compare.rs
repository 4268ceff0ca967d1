//! Compares one object of the API with what events have reported, and makes the event that fixes it.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::envelope::{Envelope, Source};
use crate::project::internal::{Internal, Snapshot};
use crate::project::stripe::snapshot::ApiObject;
use crate::project::stripe::{FieldDifference, StripeObject, differences};
use crate::store::stored_objects::{Fact, StoredObject};

/// The type of events that hold a snapshot.
pub const SNAPSHOT: &str = "snapshot";

/// The fields of facts that forgetting a person empties.
const EMPTIED: [&str; 4] = ["email", "user_ids", "client_reference_id", "description"];

/// How an object differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectDrift {
    /// The API has it, and no event has reported it.
    Missing,
    /// The API shows other values than the events have reported.
    Differs,
    /// Events have reported it, and the API does not know it.
    NotAtStripe,
    /// A price, product or coupon deleted at Stripe: nothing to fix, its terms still apply.
    DeletedAtStripe,
}

/// An object that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftedObject {
    /// Stripe's name of its kind.
    pub kind: String,
    /// Stripe's id.
    pub id: String,
    /// The customer that it names.
    pub customer: Option<String>,
    /// How.
    pub drift: ObjectDrift,
    /// The fields that differ.
    pub fields: Vec<FieldDifference>,
    /// An event with the object as the API shows it was applied.
    #[serde(rename = "mended")]
    pub is_fixed: bool,
}

impl DriftedObject {
    /// What differences call the object.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.kind, self.id)
    }
}

/// An object that differs, and the event that fixes it, if one can.
pub(super) struct Compared {
    pub drifted: DriftedObject,
    pub event: Option<Envelope>,
}

/// When objects were read, with a key of which mode, and in which account.
pub(super) struct ReadFrom {
    pub at: OffsetDateTime,
    pub livemode: Option<bool>,
    pub account: Option<String>,
}

/// Compares an object of the API with what is `stored` of it. `None` if nothing differs. Of a forgotten person the emptied
/// fields are not compared, and no snapshot is stored: it would hold the person's name and addresses.
pub(super) fn compare(
    object: &Value,
    shown: &ApiObject,
    stored: Option<&StoredObject>,
    is_forgotten: bool,
    read_from: &ReadFrom,
) -> Option<Compared> {
    let fact = stored.and_then(|stored| stored.fact.as_ref());
    let mut fields = fact.map_or_else(Vec::new, |fact| fields(fact, shown, stored));
    fields.retain(|difference| !(is_forgotten && is_emptied(&difference.field)));
    if fact.is_some() && fields.is_empty() {
        return None;
    }
    // A deleted object that no event has reported is of no interest.
    if fact.is_none() && shown.is_deleted {
        return None;
    }
    let state = &shown.state;
    let drifted = DriftedObject {
        kind: state.kind().to_owned(),
        id: state.id().to_owned(),
        customer: state.customer_id().map(ToOwned::to_owned),
        drift: if fact.is_some() { ObjectDrift::Differs } else { ObjectDrift::Missing },
        fields,
        is_fixed: false,
    };
    // A final state stays, whatever the API shows.
    let can_win = fact.is_none_or(|fact| shown.is_final || !fact.is_final);
    // Of a deleted object the API shows only the id.
    let may_store = !is_forgotten || shown.is_deleted;
    let event = if can_win && may_store { event(object, shown, fact, read_from) } else { None };
    Some(Compared { drifted, event })
}

fn is_emptied(field: &str) -> bool {
    field.split(['.', '[']).next().is_some_and(|name| EMPTIED.contains(&name))
}

fn fields(fact: &Fact, shown: &ApiObject, stored: Option<&StoredObject>) -> Vec<FieldDifference> {
    let is_parked = |reason: &str| stored.is_some_and(|stored| stored.parked.contains(reason));
    let strictly = is_parked("unresolved_discount") || is_parked("estimated_mrr");
    let mut fields = differences(&fact.state, &shown.state, strictly);
    let mut flag = |field: &str, here: Value| {
        fields.push(FieldDifference { field: field.to_owned(), here, stripe: Value::Null });
    };
    if fact.is_tied {
        flag("tied", json!(true));
    }
    if is_parked("thin_event") {
        flag("parked", json!("thin_event"));
    }
    fields
}

/// The snapshot as an event. Its id names the object, the moment and the content, so that writing it twice gives one
/// event.
fn event(object: &Value, shown: &ApiObject, fact: Option<&Fact>, read_from: &ReadFrom) -> Option<Envelope> {
    let at = moment(shown, fact, read_from.at.unix_timestamp());
    let hash = hex::encode(&Sha256::digest(object.to_string())[..16]);
    let snapshot = Snapshot {
        at,
        object: object.clone(),
        livemode: read_from.livemode,
        account: read_from.account.clone(),
    };
    let body = serde_json::to_vec(&Internal::Snapshot(snapshot)).ok()?;
    Some(Envelope {
        source: Source::Internal,
        event_id: format!("{SNAPSHOT}/{}/{at}/{hash}", shown.state.id()),
        event_type: SNAPSHOT.to_owned(),
        occurred_at: OffsetDateTime::from_unix_timestamp(at).ok()?,
        received_at: read_from.at,
        body: body.into(),
    })
}

/// When the object was as it is shown: the second of the answer. For a subscription that has ended, its end, which is when
/// it churned; an end wins over everything else, however early it was.
fn moment(shown: &ApiObject, fact: Option<&Fact>, read_at: i64) -> i64 {
    let ended_at = match &shown.state {
        StripeObject::Subscription(it) if shown.is_final => it.ended_at,
        _ => None,
    };
    let is_new = fact.is_none_or(|fact| !fact.is_final);
    ended_at.filter(|at| is_new && *at <= read_at).unwrap_or(read_at)
}
