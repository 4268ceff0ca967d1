//! Reading a request's body: within its limits of form, size and time, and not a byte changed.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::problem::Problem;
use super::{Lane, Receive, header};
use crate::envelope::Source;

/// A request that has come in completely.
pub(super) struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
    pub place: Place,
}

/// A delivery's place among those under way, and what its body holds; given back when dropped.
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
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
        if declared.is_some_and(|length: usize| length > lane.reading.reads_at_most()) {
            return Err(Problem::too_large(self.0.body_limit_bytes));
        }
        let body = timeout(self.0.read_timeout, lane.reading.read(body));
        let body = body.await.map_err(|_| Problem::too_slow())??;
        // Only now: bodies that dawdle would otherwise hold all places against those that are here.
        let place = lane.place(body.len()).ok_or_else(Problem::overloaded)?;
        Ok(Delivery { headers: parts.headers, body, place })
    }

    pub(super) fn lane(&self, source: Source) -> Result<&Lane, Problem> {
        self.0.lanes.iter().find(|lane| lane.source == source).ok_or_else(Problem::overloaded)
    }
}

impl Lane {
    /// A place for a body of so many bytes, if one is free.
    fn place(&self, bytes: usize) -> Option<Place> {
        let request = self.places.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Place { _request: request, _bytes: bytes })
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
