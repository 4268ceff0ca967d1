//! Reads a request's body: checks content type, size and time, and changes no byte.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::{Endpoints, SourceLimits, header};
use crate::envelope::Source;
use crate::http::problem::Problem;

/// A request that was read completely.
pub(super) struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// `None` if there is no body.
    pub content_type: Option<ContentType>,
    pub permit: DeliveryPermit,
}

/// The content type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    Json,
    Urlencoded,
}

impl ContentType {
    const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Urlencoded => "application/x-www-form-urlencoded",
        }
    }
}

/// A delivery's permits: one of the limit, and the bytes of its body. Released when dropped.
pub(super) struct DeliveryPermit {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Endpoints {
    /// Reads a request for `source`, whose body is JSON.
    pub(super) async fn read(&self, source: Source, request: Request) -> Result<Delivery, Problem> {
        self.read_as(source, request, &[ContentType::Json]).await
    }

    /// Reads a request for `source`. `accepted`: the content types that its body may have; none if it needs no body.
    pub(super) async fn read_as(
        &self,
        source: Source,
        request: Request,
        accepted: &[ContentType],
    ) -> Result<Delivery, Problem> {
        let limits = self.limits(source)?;
        if limits.delivery_permits.available_permits() == 0 {
            return Err(Problem::overloaded());
        }
        let (parts, body) = request.into_parts();
        let content_type = content_type(&parts.headers, accepted)?;
        let declared = header(&parts.headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
        if declared.is_some_and(|length: usize| length > limits.body_reader.drain_limit()) {
            return Err(Problem::too_large(limits.body_reader.limit()));
        }
        let body = timeout(self.0.read_timeout, limits.body_reader.read(body));
        let body = body.await.map_err(|_| Problem::too_slow())??;
        // Taken after reading: otherwise slow bodies would hold all permits.
        let permit = limits.permit(body.len()).ok_or_else(Problem::overloaded)?;
        Ok(Delivery { headers: parts.headers, body, content_type, permit })
    }

    /// The limits of a queued source; only those have endpoints.
    pub(super) fn limits(&self, source: Source) -> Result<&SourceLimits, Problem> {
        self.0.limits_by_source.iter().find(|limits| limits.source == source).ok_or_else(Problem::internal)
    }
}

impl SourceLimits {
    /// A permit for a body of so many bytes, if one is free.
    fn permit(&self, bytes: usize) -> Option<DeliveryPermit> {
        let request = self.delivery_permits.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(DeliveryPermit { _request: request, _bytes: bytes })
    }
}

/// Checks the content type, and that the body is not compressed: the signature is over the plain bytes.
fn content_type(headers: &HeaderMap, accepted: &[ContentType]) -> Result<Option<ContentType>, Problem> {
    let essence = header(headers, CONTENT_TYPE.as_str()).and_then(|text| text.split(';').next());
    let is_named = |it: &&ContentType| essence.is_some_and(|of| of.trim().eq_ignore_ascii_case(it.essence()));
    let content_type = accepted.iter().find(is_named).copied();
    if content_type.is_none() && !accepted.is_empty() {
        return Err(if accepted == [ContentType::Json] {
            Problem::not_json()
        } else {
            Problem::not_a_form()
        });
    }
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes() == b"identity");
    if plain { Ok(content_type) } else { Err(Problem::encoded()) }
}
