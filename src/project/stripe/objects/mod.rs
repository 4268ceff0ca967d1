//! The stored parts of Stripe's objects. These are the facts' `state`; fields are added, never renamed. Times
//! are Unix seconds, amounts minor units of the object's currency (lower case).
#![expect(missing_docs, reason = "fields are called what Stripe calls them")]

pub(super) mod charge;
pub(super) mod customer;
pub(super) mod discount;
pub(super) mod invoice;
pub(super) mod price;
pub(super) mod subscription;
pub(super) mod tax;

mod imported;

use serde::Serialize;

pub use charge::{BalanceTransaction, Charge, Dispute, Refund};
pub use customer::{Checkout, Customer};
pub use discount::{Coupon, Discount};
pub use imported::ImportedPayment;
pub use invoice::{FailedAttempt, Invoice, InvoiceLine, InvoicePayment, PaymentRef};
pub use price::{Price, PriceTier, Product, TransformQuantity};
pub use subscription::{Item, Subscription};
pub use tax::TaxRate;

/// One object that an event reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StripeObject {
    /// `customer`
    Customer(Customer),
    /// `checkout.session`
    Checkout(Checkout),
    /// `subscription`
    Subscription(Subscription),
    /// `invoice`
    Invoice(Invoice),
    /// `invoice_payment`
    InvoicePayment(InvoicePayment),
    /// `charge`
    Charge(Charge),
    /// `refund`
    Refund(Refund),
    /// `dispute`
    Dispute(Dispute),
    /// `price`
    Price(Price),
    /// `product`
    Product(Product),
    /// `coupon`
    Coupon(Coupon),
    /// `discount`, as reported by `customer.discount.*`
    Discount(Discount),
    /// A pre-existing row of `payment_history`: represents Stripe's objects until events report them
    #[serde(rename = "found_payment")]
    ImportedPayment(ImportedPayment),
}
