//! Taking events from a queue without applying them.

use futures_util::future::select_all;
use memberflow::queue::{Batch, Consumer, Queue};

/// All of a queue's consumers as one.
pub struct Consuming(Vec<Consumer>);

impl Consuming {
    pub fn begin(queue: &Queue) -> Self {
        Self(queue.consumers())
    }

    /// The next batch of any of them; none once the process is stopping.
    pub async fn next_batch(&mut self) -> Option<Batch> {
        let next = self.0.iter_mut().map(|consumer| Box::pin(consumer.next_batch()));
        select_all(next).await.0
    }
}

/// Resolves a batch as if its events had been applied.
pub async fn ack(mut batch: Batch) {
    if let Some(mut held) = batch.take_transaction() {
        let applied = "update ingest.events set state = 'applied', applied_at = now()
                       where source || '/' || event_id = any ($1) and state = 'pending'";
        let names = batch.envelopes.iter().map(|it| format!("{}/{}", it.source, it.event_id));
        sqlx::query(applied).bind(names.collect::<Vec<_>>()).execute(&mut *held).await.unwrap();
        held.commit().await.unwrap();
    }
    batch.ack().await;
}
