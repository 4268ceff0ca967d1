//! Reading a request's body: within its limits of form, size and time, and not a byte changed.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::problem::Problem;
use super::{Receive, header};
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
        let place = self.place(source)?;
        let (parts, body) = request.into_parts();
        check_form(&parts.headers)?;
        let declared = header(&parts.headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
        let limit = self.0.body_limit_bytes;
        if declared.is_some_and(|length: usize| length > limit.saturating_mul(DRAIN_FACTOR)) {
            return Err(Problem::too_large(limit));
        }
        let body =
            timeout(self.0.read_timeout, whole(body, limit)).await.map_err(|_| Problem::too_slow())??;
        Ok(Delivery { headers: parts.headers, body, place })
    }

    fn place(&self, source: Source) -> Result<OwnedSemaphorePermit, Problem> {
        let places = self.0.places.iter().find(|(of, _)| *of == source).map(|(_, places)| places.clone());
        places.and_then(|places| places.try_acquire_owned().ok()).ok_or_else(Problem::overloaded)
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

/// The whole body, if it keeps to the limit however it is sent.
async fn whole(body: Body, limit: usize) -> Result<Bytes, Problem> {
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
        } else if length == chunk.len() {
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
