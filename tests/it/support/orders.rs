//! All the orders in which a few events can come.

use memberflow::envelope::Envelope;

/// Every order of `events`.
pub fn orders(events: &[Envelope]) -> Vec<Vec<Envelope>> {
    if events.len() < 2 {
        return vec![events.to_vec()];
    }
    let mut orders = Vec::new();
    for (at, first) in events.iter().enumerate() {
        let rest: Vec<Envelope> = [&events[..at], &events[at + 1..]].concat();
        orders.extend(self::orders(&rest).into_iter().map(|rest| [vec![first.clone()], rest].concat()));
    }
    orders
}
