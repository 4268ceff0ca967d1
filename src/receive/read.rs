//! Reading a request's body: within its limits of form, size and time, and not a byte changed.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use super::{Lane, Receive, header};
use crate::envelope::Source;

/// How many times the limit is read and thrown away before the answer: a sender that is still writing
/// would otherwise see a broken connection instead of the 413.
const DRAIN_FACTOR: usize = 8;

/// A request that has come in completely.
pub(super) struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Its place among those under way; given back when dropped.
    pub place: OwnedSemaphorePermit,
}

impl Receive {
    /// Reads a request for `source`.
    pub(super) async fn read(&self, source: Source, request: Request) -> Result<Delivery, Problem> {
        let lane = self.lane(source)?;
        if lane.places.available_permits() == 0 {
            return Err(Problem::overloaded());
        }
        let (parts, body) = request.into_parts();
        check_form(&parts.headers)?;
        let declared = header(&parts.headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
        let limit = self.0.body_limit_bytes;
        if declared.is_some_and(|length: usize| length > limit.saturating_mul(DRAIN_FACTOR)) {
            return Err(Problem::too_large(limit));
        }
        let body = timeout(self.0.read_timeout, whole(body, limit, &lane.reading));
        let body = body.await.map_err(|_| Problem::too_slow())??;
        // Only now: bodies that dawdle would otherwise hold all places against those that are here.
        let place = lane.places.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
        Ok(Delivery { headers: parts.headers, body, place })
    }

    fn lane(&self, source: Source) -> Result<&Lane, Problem> {
        self.0.lanes.iter().find(|lane| lane.source == source).ok_or_else(Problem::overloaded)
    }
}

/// JSON as it was signed: no other type, no compression.
fn check_form(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = header(headers, CONTENT_TYPE.as_str()).and_then(|text| text.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::not_json());
    }
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes() == b"identity");
    if plain { Ok(()) } else { Err(Problem::encoded()) }
}

/// The whole body, if it keeps to the limit however it is sent. What has come of it is taken out of `reading`
/// until it is whole.
async fn whole(body: Body, limit: usize, reading: &Semaphore) -> Result<Bytes, Problem> {
    let mut held = Vec::new();
    let mut chunks = body.into_data_stream();
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut length = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::broken_off())?;
        length = length.saturating_add(chunk.len());
        if length > limit.saturating_mul(DRAIN_FACTOR) {
            break;
        }
        if length > limit {
            (first, joined) = (Bytes::new(), BytesMut::new());
            held.clear();
            continue;
        }
        let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        held.push(reading.try_acquire_many(bytes).map_err(|_| Problem::overloaded())?);
        if length == chunk.len() {
            // Most bodies come in one piece, which then is not copied.
            first = chunk;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&chunk);
        }
    }
    match (length > limit, joined.is_empty()) {
        (true, _) => Err(Problem::too_large(limit)),
        (false, true) => Ok(first),
        (false, false) => Ok(joined.freeze()),
    }
}
