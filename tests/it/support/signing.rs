//! Signing requests as the providers do.

use bytes::Bytes;
use memberflow::envelope::{Parameters, Source};
use memberflow::verify::secrets::{split_stripe, split_supabase, split_twilio};
use memberflow::verify::{StripeSecrets, SupabaseSecrets, TwilioTokens, standard_webhooks, stripe, twilio};
use reqwest::RequestBuilder;
use time::OffsetDateTime;

use super::receiver::{PUBLIC_URL, TWILIO_TOKENS};

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
        if source == Source::Twilio {
            return form(request, &body);
        }
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

/// The form that Twilio would post of an event whose parameters are JSON here, signed for the public address.
fn form(request: RequestBuilder, body: &[u8]) -> RequestBuilder {
    let tokens = TwilioTokens::new(&split_twilio(TWILIO_TOKENS)).unwrap().unwrap();
    let parameters = Parameters::from_json(body).unwrap();
    let url = request.try_clone().unwrap().build().unwrap().url().clone();
    let signed = format!("{PUBLIC_URL}{}", url.path());
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .header(twilio::HEADER, twilio::sign(&tokens, &signed, twilio::Content::Form(parameters.pairs())))
        .body(parameters.to_form())
}
