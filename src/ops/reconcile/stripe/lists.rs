//! The lists of Stripe's API that are compared.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ops::stripe_api::{Page, StripeApi, StripeApiError};
use crate::project::stripe::Kind;

/// A list of the API.
#[derive(Debug)]
pub(super) struct List {
    /// The kind of its objects.
    pub kind: Kind,
    /// Its path; an object is below it by its id.
    pub path: &'static str,
    /// What the ids of its objects begin with; none where an id can be any text.
    pub prefixes: &'static [&'static str],
    /// Parameters without which it would leave objects out.
    params: &'static [(&'static str, &'static str)],
    /// Fields that are otherwise only an id, or missing.
    expand: &'static [&'static str],
    /// Its objects hardly change after their first weeks: those made before a date can be left out.
    pub is_dated: bool,
    /// Deleted objects are no longer listed, but their terms still apply.
    pub is_catalogue: bool,
}

const fn list(kind: Kind, path: &'static str, prefixes: &'static [&'static str]) -> List {
    List { kind, path, prefixes, params: &[], expand: &[], is_dated: true, is_catalogue: false }
}

const fn catalogue(
    kind: Kind,
    path: &'static str,
    prefixes: &'static [&'static str],
    expand: &'static [&'static str],
) -> List {
    List { kind, path, prefixes, params: &[], expand, is_dated: false, is_catalogue: true }
}

/// Every list, in the order in which the objects need each other.
pub(super) const LISTS: [List; 10] = [
    catalogue(Kind::Product, "/products", &["prod_"], &[]),
    catalogue(Kind::Price, "/prices", &["price_", "plan_"], &["data.tiers"]),
    catalogue(Kind::Coupon, "/coupons", &[], &["data.currency_options"]),
    List { is_dated: false, ..list(Kind::Customer, "/customers", &["cus_"]) },
    List {
        params: &[("status", "all")],
        expand: &["data.discounts", "data.items.data.discounts"],
        is_dated: false,
        ..list(Kind::Subscription, "/subscriptions", &["sub_"])
    },
    list(Kind::Invoice, "/invoices", &["in_"]),
    list(Kind::InvoicePayment, "/invoice_payments", &["inpay_"]),
    list(Kind::Charge, "/charges", &["ch_", "py_"]),
    list(Kind::Refund, "/refunds", &["re_", "pyr_"]),
    list(Kind::Dispute, "/disputes", &["dp_", "du_"]),
];

/// The list of the objects of a kind, by the kind's name.
pub(super) fn of_kind(kind: &str) -> Option<&'static List> {
    LISTS.iter().find(|list| list.kind.as_str() == kind)
}

impl List {
    /// The page after the object `after`, of objects made `since`.
    pub(super) async fn page(
        &self,
        api: &StripeApi,
        since: Option<&str>,
        after: Option<&str>,
    ) -> Result<Page, StripeApiError> {
        let since = since.filter(|_| self.is_dated).map(|since| ("created[gte]", since));
        let params: Vec<_> = self.params.iter().copied().chain(since).collect();
        let page = match api.page(self.path, &params, self.expand, after).await {
            // An API that does not know an expansion or the dates rejects the whole request: try without them.
            Err(StripeApiError::Refused { status: 400, message })
                if !self.expand.is_empty() || since.is_some() =>
            {
                tracing::warn!(
                    list = self.path,
                    message,
                    "request rejected, retrying without expansions and dates"
                );
                api.page(self.path, self.params, &[], after).await?
            }
            page => page?,
        };
        if page.has_more && page.last_id() == after {
            let reason = format!("the list {} goes in a circle", self.path);
            return Err(StripeApiError::InvalidResponse(reason));
        }
        Ok(page)
    }

    /// One object of the list.
    pub(super) async fn one(
        &self,
        api: &StripeApi,
        id: &str,
    ) -> Result<Option<serde_json::Value>, StripeApiError> {
        let expand: Vec<&str> = self.expand.iter().filter_map(|path| path.strip_prefix("data.")).collect();
        let path = format!("{}/{}", self.path, escaped(id));
        let object = match api.object(&path, &expand).await {
            Err(StripeApiError::Refused { status: 400, .. }) if !expand.is_empty() => {
                api.object(&path, &[]).await
            }
            object => object,
        };
        match object {
            Err(StripeApiError::Refused { status: 404, .. }) => Ok(None),
            object => object.map(Some),
        }
    }
}

/// What stays as it is in a part of a path.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An id as a part of a path: a coupon's id can be any text.
fn escaped(id: &str) -> String {
    utf8_percent_encode(id, &UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coupons_id_is_one_part_of_a_path() {
        assert_eq!(escaped("sub_1-A.b~"), "sub_1-A.b~");
        assert_eq!(escaped("50% off/ä?#"), "50%25%20off%2F%C3%A4%3F%23");
    }
}
