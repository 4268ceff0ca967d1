//! The kinds of Stripe objects that memberflow reads, and their events.

use super::StripeObject;

/// A kind of Stripe object.
#[expect(missing_docs, reason = "the others are called what Stripe calls them")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Customer,
    Checkout,
    Subscription,
    Invoice,
    InvoicePayment,
    Charge,
    Refund,
    Dispute,
    Price,
    Product,
    Coupon,
    Discount,
    /// Not Stripe's: a row of `payment_history` from before memberflow.
    ImportedPayment,
}

impl Kind {
    /// The kind of object in events of this type; `None` for types that no table depends on.
    #[must_use]
    pub fn of_event(event_type: &str) -> Option<Self> {
        let (family, rest) = event_type.split_once('.')?;
        let (branch, leaf) = rest.split_once('.').unwrap_or(("", rest));
        match (family, branch) {
            ("customer", "") => Some(Self::Customer),
            ("customer", "subscription") => Some(Self::Subscription),
            ("customer", "discount") => Some(Self::Discount),
            ("checkout", "session") => Some(Self::Checkout),
            // A preview of an invoice that does not exist yet, without an id.
            ("invoice", "") if leaf == "upcoming" => None,
            ("invoice", "") => Some(Self::Invoice),
            ("invoice_payment", "") => Some(Self::InvoicePayment),
            ("charge", "") => Some(Self::Charge),
            ("charge", "dispute") => Some(Self::Dispute),
            ("charge", "refund") | ("refund", "") => Some(Self::Refund),
            ("price" | "plan", "") => Some(Self::Price),
            ("product", "") => Some(Self::Product),
            ("coupon", "") => Some(Self::Coupon),
            _ => None,
        }
    }

    /// The kind of an API object, by its `object` field.
    #[must_use]
    pub fn of_object(name: &str) -> Option<Self> {
        match name {
            "checkout.session" => Some(Self::Checkout),
            // The predecessor of prices.
            "plan" => Some(Self::Price),
            _ => Self::ALL.into_iter().find(|kind| kind.as_str() == name),
        }
    }

    /// Every kind that Stripe has; imported payments are not Stripe's.
    pub const ALL: [Self; 12] = [
        Self::Customer,
        Self::Checkout,
        Self::Subscription,
        Self::Invoice,
        Self::InvoicePayment,
        Self::Charge,
        Self::Refund,
        Self::Dispute,
        Self::Price,
        Self::Product,
        Self::Coupon,
        Self::Discount,
    ];

    /// The stable name of the kind in the facts table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Checkout => "checkout",
            Self::Subscription => "subscription",
            Self::Invoice => "invoice",
            Self::InvoicePayment => "invoice_payment",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Price => "price",
            Self::Product => "product",
            Self::Coupon => "coupon",
            Self::Discount => "discount",
            Self::ImportedPayment => "found_payment",
        }
    }

    /// The path of the field that identifies an object of this kind, for error messages.
    #[must_use]
    pub(super) const fn id_field(self) -> &'static str {
        match self {
            Self::Subscription => "data.object.id or data.object.customer",
            _ => "data.object.id",
        }
    }
}

impl StripeObject {
    /// The name of its kind in the facts table.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        let kind = match self {
            Self::Customer(_) => Kind::Customer,
            Self::Checkout(_) => Kind::Checkout,
            Self::Subscription(_) => Kind::Subscription,
            Self::Invoice(_) => Kind::Invoice,
            Self::InvoicePayment(_) => Kind::InvoicePayment,
            Self::Charge(_) => Kind::Charge,
            Self::Refund(_) => Kind::Refund,
            Self::Dispute(_) => Kind::Dispute,
            Self::Price(_) => Kind::Price,
            Self::Product(_) => Kind::Product,
            Self::Coupon(_) => Kind::Coupon,
            Self::Discount(_) => Kind::Discount,
            Self::ImportedPayment(_) => Kind::ImportedPayment,
        };
        kind.as_str()
    }

    /// Its Stripe id, unique over all kinds.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Customer(it) => &it.id,
            Self::Checkout(it) => &it.id,
            Self::Subscription(it) => &it.id,
            Self::Invoice(it) => &it.id,
            Self::InvoicePayment(it) => &it.id,
            Self::Charge(it) => &it.id,
            Self::Refund(it) => &it.id,
            Self::Dispute(it) => &it.id,
            Self::Price(it) => &it.id,
            Self::Product(it) => &it.id,
            Self::Coupon(it) => &it.id,
            Self::Discount(it) => &it.id,
            Self::ImportedPayment(it) => &it.id,
        }
    }

    /// The customer of the object; for a customer its own id.
    #[must_use]
    pub fn customer_id(&self) -> Option<&str> {
        match self {
            Self::Customer(it) => Some(&it.id),
            Self::Subscription(it) => Some(&it.customer),
            Self::Checkout(it) => it.customer.as_deref(),
            Self::Invoice(it) => it.customer.as_deref(),
            Self::Charge(it) => it.customer.as_deref(),
            Self::Discount(it) => it.customer.as_deref(),
            Self::ImportedPayment(it) => Some(&it.customer),
            Self::InvoicePayment(_)
            | Self::Refund(_)
            | Self::Dispute(_)
            | Self::Price(_)
            | Self::Product(_)
            | Self::Coupon(_) => None,
        }
    }
}
