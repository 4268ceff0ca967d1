//! Lists within objects: the API embeds the first ten entries of each.

use serde_json::{Value, json};

use crate::ops::stripe_api::{StripeApi, StripeApiError};

/// Pages of one embedded list: an object with more entries is reported as unreadable.
const MAX_PAGES: usize = 20;

/// Fetches the rest of what `object` shows the beginning of: a subscription's items, an invoice's lines.
pub(super) async fn complete(api: &StripeApi, object: &mut Value) -> Result<(), StripeApiError> {
    let Some(id) = object["id"].as_str().map(str::to_owned) else { return Ok(()) };
    match object["object"].as_str() {
        Some("subscription") if has_more(&object["items"]) => {
            let of = [("subscription", id.as_str())];
            object["items"] = entries(api, "/subscription_items", &of, &["data.discounts"]).await?;
        }
        Some("invoice") if has_more(&object["lines"]) => {
            object["lines"] = entries(api, &format!("/invoices/{id}/lines"), &[], &[]).await?;
        }
        _ => {}
    }
    Ok(())
}

fn has_more(list: &Value) -> bool {
    list["has_more"] == json!(true)
}

async fn entries(
    api: &StripeApi,
    path: &str,
    params: &[(&str, &str)],
    expand: &[&str],
) -> Result<Value, StripeApiError> {
    let mut entries = Vec::new();
    let mut last: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = api.page(path, params, expand, last.as_deref()).await?;
        last = page.last_id().map(str::to_owned);
        entries.extend(page.data);
        if !page.has_more {
            return Ok(json!({"object": "list", "data": entries, "has_more": false}));
        }
    }
    Err(StripeApiError::TooManyPages(MAX_PAGES))
}
