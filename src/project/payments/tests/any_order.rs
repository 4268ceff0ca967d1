//! Neither the order nor missing pieces make a payment count twice.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::{O, dispute, linked_in_every_way, only, refund};
use crate::project::payments::resolve;
use crate::project::stripe::StripeObject;

/// A renewal in one of the ways it is reported, refunded in part and disputed, and a one-off payment.
fn story() -> impl Strategy<Value = (Vec<StripeObject>, i64)> {
    let amounts = proptest::collection::vec((1..2000_i64, 0..4_usize, any::<bool>()), 0..5);
    (0..5_usize, amounts).prop_map(|(way, amounts)| {
        let (_, mut objects) = linked_in_every_way().swap_remove(way);
        let mut expected = 0;
        for (number, (amount, status, is_embedded)) in amounts.into_iter().enumerate() {
            let status = ["succeeded", "pending", "failed", ""][status];
            let refund = refund(&format!("re_{number}"), "ch_1", amount, status);
            expected += if status == "failed" { 0 } else { amount };
            let charge =
                objects.iter_mut().find_map(|it| if let O::Charge(it) = it { Some(it) } else { None });
            if let (true, Some(charge)) = (is_embedded, charge) {
                charge.refunds.push(refund.clone());
            }
            objects.push(O::Refund(refund));
        }
        objects.push(O::Dispute(dispute("lost", &[(-100, "usd")])));
        (objects, expected)
    })
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_order(
        (shuffled, expected) in story().prop_flat_map(|(objects, expected)| {
            let doubled = [objects.clone(), objects].concat();
            (Just(doubled).prop_shuffle(), Just(expected))
        })
    ) {
        let row = only(&shuffled);
        prop_assert_eq!((row.collected, row.refunded, row.disputed), (9900, expected, 100));
        prop_assert_eq!(row.payment_intent.as_deref(), Some("pi_1"));
    }

    /// Whatever is missing, money is never counted twice and a payment intent never shown twice.
    #[test]
    fn missing_objects_cause_no_double_counting(
        (known, expected) in story().prop_flat_map(|(objects, expected)| {
            let count = objects.len();
            (subsequence(objects, 0..=count), Just(expected))
        })
    ) {
        let rows = resolve(&known);
        let has_invoice = known.iter().any(|object| matches!(object, O::Invoice(_)));
        let has_charge = known.iter().any(|object| matches!(object, O::Charge(_)));
        let is_attributed = known.iter().any(|object| match object {
            O::InvoicePayment(_) => true,
            O::Invoice(it) => it.payment_intent.is_some() || it.charge.is_some(),
            O::Charge(it) => it.invoice.is_some(),
            _ => false,
        });
        prop_assert_eq!(rows.len(), usize::from(has_invoice) + usize::from(has_charge && !is_attributed));
        prop_assert!(rows.iter().map(|row| row.refunded).sum::<i64>() <= expected);
        let intents = rows.iter().filter(|row| row.payment_intent.is_some()).count();
        prop_assert!(intents <= 1);
    }
}
