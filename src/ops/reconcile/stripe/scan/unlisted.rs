//! Facts about objects that were in no list.

use serde_json::json;
use time::OffsetDateTime;

use super::{DriftedObject, List, Progress, ReconcileError, Scan, hash, of_kind};
use crate::ops::reconcile::stripe::compare::ObjectDrift;
use crate::store::stored_objects::FactSummary;

/// Facts read at once.
const PAGE: i64 = 1000;

impl<S: FnMut(&DriftedObject)> Scan<'_, S> {
    /// Requests the facts that were in no list one by one.
    pub(super) async fn unlisted(
        &mut self,
        begun: OffsetDateTime,
        progress: &mut Progress,
    ) -> Result<(), ReconcileError> {
        let mut after = String::new();
        loop {
            let facts = self.store.fact_page(&after, begun, PAGE).await?;
            let Some(last) = facts.last() else { return Ok(()) };
            after.clone_from(&last.id);
            progress.advance(facts.len() as u64);
            for fact in facts {
                if let Some(list) = self.should_have_been_in(&fact) {
                    self.unlisted_one(list, fact).await?;
                }
            }
        }
    }

    fn should_have_been_in(&self, fact: &FactSummary) -> Option<&'static List> {
        let list = of_kind(&fact.kind)?;
        let is_in_time = match self.options.since {
            Some(since) if list.is_dated => fact.created.is_some_and(|at| at >= since.unix_timestamp()),
            _ => true,
        };
        let was_read = !self.report.skipped.contains_key(list.path);
        (was_read && is_in_time && !fact.may_be_unlisted && !self.seen.contains(&hash(&fact.id)))
            .then_some(list)
    }

    /// Requests the object of a fact, and compares it; shows it if the API does not know it, and should.
    pub(super) async fn unlisted_one(
        &mut self,
        list: &List,
        fact: FactSummary,
    ) -> Result<(), ReconcileError> {
        let at = self.clock.now();
        let object = list.one(self.api, &fact.id).await;
        let object = object.map_err(|source| ReconcileError::Api { path: list.path.to_owned(), source })?;
        let is_deleted = object.as_ref().is_some_and(|object| object["deleted"] == json!(true));
        let drift = match object {
            Some(object) if !(list.is_catalogue && is_deleted) => return self.page(vec![object], at).await,
            None if fact.may_be_unlisted => return Ok(()),
            _ if list.is_catalogue => ObjectDrift::DeletedAtStripe,
            _ => ObjectDrift::NotAtStripe,
        };
        match drift {
            ObjectDrift::DeletedAtStripe => self.report.deleted_at_stripe += 1,
            _ => self.report.not_at_stripe += 1,
        }
        let FactSummary { id, kind, .. } = fact;
        (self.show)(&DriftedObject { kind, id, customer: None, drift, fields: Vec::new(), is_fixed: false });
        Ok(())
    }
}
