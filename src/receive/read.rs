//! Reading a request's body: within its limits of form, size and time, and not a byte changed.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::{Receive, SourceLimits, header};
use crate::envelope::Source;
use crate::http::problem::Problem;

/// A request that has come in completely.
pub(super) struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What the body says that it is; none where nothing was asked of it.
    pub form: Option<Form>,
    pub place: Place,
}

/// A form that a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Urlencoded,
}

impl Form {
    const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Urlencoded => "application/x-www-form-urlencoded",
        }
    }
}

/// A delivery's place among those under way, and what its body holds; given back when dropped.
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Receive {
    /// Reads a request for `source`, whose body is JSON.
    pub(super) async fn read(&self, source: Source, request: Request) -> Result<Delivery, Problem> {
        self.read_as(source, request, &[Form::Json]).await
    }

    /// Reads a request for `source`, whose body has one of `forms`; where there is none it does not matter.
    pub(super) async fn read_as(
        &self,
        source: Source,
        request: Request,
        forms: &[Form],
    ) -> Result<Delivery, Problem> {
        let limits = self.limits(source)?;
        if limits.connection_limit.available_permits() == 0 {
            return Err(Problem::overloaded());
        }
        let (parts, body) = request.into_parts();
        let form = form(&parts.headers, forms)?;
        let declared = header(&parts.headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
        if declared.is_some_and(|length: usize| length > limits.body_reader.reads_at_most()) {
            return Err(Problem::too_large(limits.body_reader.limit()));
        }
        let body = timeout(self.0.read_timeout, limits.body_reader.read(body));
        let body = body.await.map_err(|_| Problem::too_slow())??;
        // Only now: bodies that dawdle would otherwise hold all places against those that are here.
        let place = limits.place(body.len()).ok_or_else(Problem::overloaded)?;
        Ok(Delivery { headers: parts.headers, body, form, place })
    }

    pub(super) fn limits(&self, source: Source) -> Result<&SourceLimits, Problem> {
        self.0.limits_by_source.iter().find(|limits| limits.source == source).ok_or_else(Problem::overloaded)
    }
}

impl SourceLimits {
    /// A place for a body of so many bytes, if one is free.
    fn place(&self, bytes: usize) -> Option<Place> {
        let request = self.connection_limit.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Place { _request: request, _bytes: bytes })
    }
}

/// The body as it was signed: of a form that is taken here, without compression.
fn form(headers: &HeaderMap, forms: &[Form]) -> Result<Option<Form>, Problem> {
    let essence = header(headers, CONTENT_TYPE.as_str()).and_then(|text| text.split(';').next());
    let is_named = |form: &&Form| essence.is_some_and(|of| of.trim().eq_ignore_ascii_case(form.essence()));
    let form = forms.iter().find(is_named).copied();
    if form.is_none() && !forms.is_empty() {
        return Err(if forms == [Form::Json] { Problem::not_json() } else { Problem::not_a_form() });
    }
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes() == b"identity");
    if plain { Ok(form) } else { Err(Problem::encoded()) }
}
