//! The auditor detects losses and duplicates of every kind.

use std::collections::BTreeSet;

use fastrand::Rng;
use memberflow::clock::Clock;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;

use super::auditor::Audit;
use super::sender::Name;
use crate::simulation::deliver::Way;
use crate::simulation::harness::Harness;
use crate::simulation::history::History;
use crate::simulation::state::{NOW, moment};

/// What is planted, and what the auditor must say of it.
struct Plant {
    kind: &'static str,
    plant: &'static str,
    said: &'static [&'static str],
    /// How to undo it; none if a rebuild repairs it.
    remove: Option<&'static str>,
}

const TABLES: &str = "not what the events make: ";
const LIFE: &str = "is not emitted as it was";

const PLANTS: [Plant; 7] = [
    Plant {
        kind: "an event that was deleted",
        plant:
            "create table ingest.kept as select * from ingest.inbox where event_type = 'invoice.paid' limit 1;
                delete from ingest.inbox i using ingest.kept k
                where (i.source, i.event_id) = (k.source, k.event_id)",
        said: &["LOST: stripe evt_"],
        remove: Some("insert into ingest.inbox select * from ingest.kept; drop table ingest.kept"),
    },
    Plant {
        kind: "an event that nobody sent",
        plant: "insert into ingest.inbox
                    (source, event_id, event_type, subject, occurred_at, received_at, applied_at, body)
                select source, 'evt_unsent', event_type, subject, occurred_at, received_at, applied_at, body
                from ingest.inbox where event_type = 'invoice.paid' limit 1",
        said: &["sent by nobody: stripe evt_unsent"],
        remove: Some("delete from ingest.inbox where event_id = 'evt_unsent'"),
    },
    Plant {
        kind: "a dead letter",
        plant: "insert into ingest.events
                    (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
                values ('stripe', 'evt_dead', 'invoice.paid', now(), now(), '{}', 'dead', 'a reason', now())",
        said: &["dead: evt_dead: a reason"],
        remove: Some("delete from ingest.events where state = 'dead'"),
    },
    Plant {
        kind: "a payment that was counted twice",
        plant: "update ingest.customer_revenue r set collected = r.collected + p.collected
                from (select p.* from ingest.payments p join ingest.customers c on c.id = p.customer_id
                      where p.collected > 0 and c.user_id in (select user_id from public.user_revenue_metrics)
                      order by p.id limit 1) p
                where (r.customer_id, r.currency) = (p.customer_id, p.currency)",
        said: &[TABLES, "customer_revenue", LIFE],
        remove: None,
    },
    Plant {
        kind: "a login that was counted twice",
        plant: "update ingest.activity set logins = logins + 1
                where user_id = (select min(user_id::text)::uuid from ingest.activity where logins > 0)",
        said: &[TABLES, "ingest.activity", LIFE],
        remove: None,
    },
    Plant {
        kind: "a line of the ledger that is missing",
        plant: "delete from public.mrr_movements
                where id = (select max(id) from public.mrr_movements where superseded_at is null)",
        said: &[TABLES, "ledger: ", LIFE],
        remove: None,
    },
    Plant {
        kind: "a row that was changed",
        plant: "update public.payment_history set amount = amount + 1
                where id = (select id from public.payment_history order by stripe_invoice_id limit 1)",
        said: &[TABLES, "public.payment_history", LIFE],
        remove: None,
    },
];

#[tokio::test]
async fn auditor_detects_lost_doubled_or_wrong_events() {
    let harness = Harness::new().await;
    let mut rng = Rng::with_seed(5);
    let histories: Vec<History> = (0..3).map(|number| History::new(number, rng.u64(..))).collect();
    let (unreported, emitted) = histories.split_last().unwrap();
    let emitted: Vec<&History> = emitted.iter().collect();
    harness.deliver(&emitted, &mut rng, Way::Direct { batch: 400, consumers: 1 }).await;
    let taken = emitted.iter().flat_map(|history| &history.emitted);
    let taken: BTreeSet<Name> =
        taken.map(|emitted| (emitted.envelope.source, emitted.envelope.event_id.clone())).collect();
    let audit = Audit {
        pool: harness.database.pool.clone(),
        config: crate::support::config(harness.database.url()),
        clock: Clock::fixed(moment(NOW)),
        histories: &emitted,
        taken: &taken,
    };
    assert_eq!(audit.findings().await, Vec::<String>::new(), "all is well");

    // First what is wrong with the events, then with what is derived: the first makes a part of the second.
    for is_repaired in [false, true] {
        let plants = || PLANTS.iter().filter(|plant| plant.remove.is_none() == is_repaired);
        for plant in plants() {
            sqlx::raw_sql(plant.plant).execute(&audit.pool).await.unwrap();
        }
        let findings = audit.findings().await;
        let is_said = |part: &str| findings.iter().any(|finding| finding.contains(part));
        for Plant { kind, said, .. } in plants() {
            let overlooked: Vec<_> = said.iter().filter(|part| !is_said(part)).collect();
            assert!(overlooked.is_empty(), "{kind}: {overlooked:?} is not among {findings:#?}");
        }
        for remove in plants().filter_map(|plant| plant.remove) {
            sqlx::raw_sql(remove).execute(&audit.pool).await.unwrap();
        }
    }
    rebuild::run(&harness.store, false, &mut Progress::Silent, |_| false).await.unwrap();
    assert_eq!(audit.findings().await, Vec::<String>::new(), "all is well again");

    // What never came and was answered with nothing is known to nobody but the history itself.
    let all: Vec<&History> = emitted.iter().copied().chain([unreported]).collect();
    let findings = Audit { histories: &all, ..audit }.findings().await;
    assert!(
        matches!(&findings[..], [one] if one.contains("history 2 is not emitted as it was")),
        "{findings:#?}"
    );
    harness.stop().await;
}
