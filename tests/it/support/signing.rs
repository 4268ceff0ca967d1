//! Signing requests as the providers do.

use bytes::Bytes;
use memberflow::envelope::Source;
use memberflow::verify::secrets::{split_stripe, split_supabase};
use memberflow::verify::{StripeSecrets, SupabaseSecrets, standard_webhooks, stripe};
use reqwest::RequestBuilder;
use time::OffsetDateTime;

/// The secrets to sign with, as the settings have them: each of several gives a signature.
pub struct Keys<'a> {
    pub stripe: &'a str,
    pub supabase: &'a str,
}

impl Keys<'_> {
    /// `request` with `body` and its signature. `id` names the delivery where the source has such names.
    pub fn sign(
        &self,
        request: RequestBuilder,
        source: Source,
        id: &str,
        body: Bytes,
        now: OffsetDateTime,
    ) -> RequestBuilder {
        let now_s = now.unix_timestamp();
        let request = request.header("content-type", "application/json");
        if source == Source::Stripe {
            let secrets = StripeSecrets::new(&split_stripe(self.stripe)).unwrap().unwrap();
            return request.header(stripe::HEADER, stripe::sign(&secrets, now_s, &body)).body(body);
        }
        let secrets = SupabaseSecrets::new(&split_supabase(self.supabase)).unwrap().unwrap();
        let signed = standard_webhooks::sign(&secrets, id, now_s, &body);
        request
            .header(standard_webhooks::ID, signed.id)
            .header(standard_webhooks::TIMESTAMP, signed.timestamp)
            .header(standard_webhooks::SIGNATURE, signed.signature)
            .body(body)
    }
}
