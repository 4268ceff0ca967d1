//! Reads the lists of the API page by page, and compares their objects.

mod discounts;
mod unlisted;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;
use time::OffsetDateTime;

use super::compare::{DriftedObject, ReadFrom, compare};
use super::forgotten::Forgotten;
use super::lists::{LISTS, List, of_kind};
use super::object_id::ObjectId;
use super::whole::complete;
use super::{Options, ReconcileError, Report};
use crate::clock::Clock;
use crate::ops::progress::Progress;
use crate::ops::stripe_api::{StripeApi, StripeApiError};
use crate::project::stripe::snapshot::ApiObject;
use crate::project::stripe::{Kind, decode_api_object};
use crate::store::Store;
use crate::store::stored_objects::UnresolvedObject;

/// The most unresolved objects that are requested one by one before the lists; the lists have the others.
const UNRESOLVED_FIRST: i64 = 200;

/// One run over the lists, which compares each object, shows what differs and fixes it if requested.
pub(super) struct Scan<'a, S> {
    store: &'a Store,
    api: &'a StripeApi,
    clock: &'a Clock,
    options: Options,
    since: Option<String>,
    show: S,
    /// The hashes of the ids of the objects seen: an account may have millions.
    seen: HashSet<u64>,
    pub report: Report,
}

impl<'a, S: FnMut(&DriftedObject)> Scan<'a, S> {
    pub fn new(store: &'a Store, api: &'a StripeApi, clock: &'a Clock, options: Options, show: S) -> Self {
        let since = options.since.map(|since| since.unix_timestamp().to_string());
        let report = Report { fix: options.fix, ..Report::default() };
        Self { store, api, clock, options, since, show, seen: HashSet::new(), report }
    }

    pub async fn all(&mut self, progress: &mut Progress) -> Result<(), ReconcileError> {
        let begun = self.clock.now();
        self.check_mode().await?;
        progress.begin("unresolved objects", 0);
        for object in self.store.unresolved_objects(UNRESOLVED_FIRST).await? {
            self.unresolved(&object).await?;
            progress.advance(1);
        }
        for list in &LISTS {
            progress.begin(list.path, 0);
            self.list(list, progress).await?;
        }
        progress.begin("facts that are in no list", 0);
        self.unlisted(begun, progress).await
    }

    /// Compares one object, like one that was in no list.
    pub async fn one(&mut self, object: &ObjectId) -> Result<(), ReconcileError> {
        self.check_mode().await?;
        let ObjectId { list, id } = object;
        if let Some(fact) = self.store.fact_summary(id).await? {
            return self.unlisted_one(list, fact).await;
        }
        let at = self.clock.now();
        match list.one(self.api, id).await {
            Ok(Some(object)) => self.page(vec![object], at).await,
            Ok(None) => Err(ReconcileError::NotFound(id.clone())),
            Err(source) => Err(ReconcileError::Api { path: list.path.to_owned(), source }),
        }
    }

    async fn check_mode(&self) -> Result<(), ReconcileError> {
        let at_fault = |source| ReconcileError::Api { path: "/balance".to_owned(), source };
        self.api.check_mode().await.map_err(at_fault)
    }

    async fn unresolved(&mut self, unresolved: &UnresolvedObject) -> Result<(), ReconcileError> {
        // `v1.invoice.paid evt_1 carries no state`: the type is all that is known of it.
        let event_type = unresolved.detail.split(' ').next().and_then(|word| word.strip_prefix("v1."));
        let kind = event_type.and_then(Kind::of_event).map(Kind::as_str);
        let Some(list) = unresolved.kind.as_deref().or(kind).and_then(of_kind) else { return Ok(()) };
        let at = self.clock.now();
        match list.one(self.api, &unresolved.id).await {
            Ok(Some(object)) => self.page(vec![object], at).await,
            // Its list shows more.
            Ok(None) | Err(StripeApiError::InvalidResponse(_)) => Ok(()),
            Err(source) => Err(ReconcileError::Api { path: list.path.to_owned(), source }),
        }
    }

    async fn list(&mut self, list: &List, progress: &mut Progress) -> Result<(), ReconcileError> {
        let mut last: Option<String> = None;
        loop {
            let at = self.clock.now();
            let page = match list.page(self.api, self.since.as_deref(), last.as_deref()).await {
                Ok(page) => page,
                Err(source) => return self.skip(list, source),
            };
            let has_more = page.has_more;
            last = page.last_id().map(ToOwned::to_owned);
            progress.advance(page.data.len() as u64);
            self.page(page.data, at).await?;
            if !has_more {
                return Ok(());
            }
        }
    }

    /// A list that this API does not have is skipped and named; any other error ends the run.
    fn skip(&mut self, list: &List, source: StripeApiError) -> Result<(), ReconcileError> {
        let path = list.path.to_owned();
        let is_its_own = matches!(
            source,
            StripeApiError::Refused { status: 404, .. } | StripeApiError::InvalidResponse(_)
        );
        // If nothing was read at all, the address is wrong.
        if !is_its_own || self.report.objects.is_empty() && self.report.skipped.len() + 1 >= LISTS.len() {
            return Err(ReconcileError::Api { path, source });
        }
        self.report.skipped.insert(path, source.to_string());
        Ok(())
    }

    /// Compares objects as the API showed them at `at`; shows and, if requested, fixes those that differ.
    async fn page(&mut self, mut listed: Vec<Value>, at: OffsetDateTime) -> Result<(), ReconcileError> {
        listed.retain(|object| self.seen.insert(hash(object["id"].as_str().unwrap_or_default())));
        let mut objects = Vec::with_capacity(listed.len());
        for mut object in listed {
            match complete(self.api, &mut object).await {
                Ok(()) => objects.push(object),
                // Deleted since the list was read.
                Err(StripeApiError::Refused { status: 404, .. }) => {}
                Err(StripeApiError::TooManyPages(_)) => self.report.unreadable += 1,
                Err(source) => {
                    let path = object["id"].as_str().unwrap_or_default().to_owned();
                    return Err(ReconcileError::Api { path, source });
                }
            }
        }
        objects.extend(self.discounts(&objects).await?);
        let keys = &self.store.settings().decoding.user_id_keys;
        let total = objects.len();
        let read = objects
            .into_iter()
            .filter_map(|object| decode_api_object(&object, keys).map(|shown| (object, shown)));
        let read: Vec<(Value, ApiObject)> = read.collect();
        self.report.unreadable += (total - read.len()) as u64;
        self.compare(&read, at).await
    }

    async fn compare(
        &mut self,
        read: &[(Value, ApiObject)],
        at: OffsetDateTime,
    ) -> Result<(), ReconcileError> {
        let ids: Vec<&str> = read.iter().map(|(_, shown)| shown.state.id()).collect();
        let stored = self.store.stored_objects(&ids).await?;
        let objects: Vec<&Value> = read.iter().map(|(object, _)| object).collect();
        let forgotten = Forgotten::among(self.store, &objects).await?;
        let account = self.store.settings().decoding.origin_filter.account.clone();
        let read_from = ReadFrom { at, livemode: self.api.livemode(), account };
        let mut events = Vec::new();
        let mut drifted = Vec::new();
        for (object, shown) in read {
            *self.report.objects.entry(shown.state.kind().to_owned()).or_default() += 1;
            let stored = stored.get(shown.state.id());
            let is_forgotten = forgotten.at(object).is_some();
            self.report.forgotten += u64::from(is_forgotten);
            let Some(compared) = compare(object, shown, stored, is_forgotten, &read_from) else { continue };
            let is_fixed = self.options.fix && compared.event.is_some();
            drifted.push(DriftedObject { is_fixed, ..compared.drifted });
            events.extend(compared.event.filter(|_| self.options.fix));
        }
        if !events.is_empty() {
            self.store.apply(&events).await?;
        }
        for one in drifted {
            *self.report.drifted.entry(one.kind.clone()).or_default() += 1;
            self.report.fixed += u64::from(one.is_fixed);
            (self.show)(&one);
        }
        Ok(())
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
