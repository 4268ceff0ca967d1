//! The only kind of request.

use std::collections::BTreeMap;

use serde::Serialize;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

/// A GET with a JSON answer.
pub(super) struct Get<'a> {
    pub path: &'a str,
    pub params: Params<'a>,
}

pub(super) type Params<'a> = BTreeMap<&'a str, Param<'a>>;

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Param<'a> {
    One(&'a str),
    Several(Vec<&'a str>),
}

pub(super) fn with_expansions<'a>(mut params: Params<'a>, expand: &[&'a str]) -> Params<'a> {
    if !expand.is_empty() {
        params.insert("expand", Param::Several(expand.to_vec()));
    }
    params
}

impl StripeRequest for Get<'_> {
    type Output = miniserde::json::Value;

    fn build(&self) -> RequestBuilder {
        let request = RequestBuilder::new(StripeMethod::Get, self.path);
        if self.params.is_empty() { request } else { request.query(&self.params) }
    }
}
