//! A signed request as the bytes that go over the wire: made before the clock runs, so that the load takes as little
//! of the shared processor as it can.

use memberflow::clock::Clock;
use memberflow::verify::secrets::{split_stripe, split_supabase};
use memberflow::verify::{StripeSecrets, SupabaseSecrets, standard_webhooks, stripe};

use crate::support::receiver::{STRIPE_SECRETS, SUPABASE_SECRETS};

/// One delivery.
pub struct Post {
    pub request: Vec<u8>,
    /// Where its effect can be seen, for those that are followed.
    pub shown: Option<Shown>,
}

/// What a followed event leaves in `payment_history`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shown {
    pub invoice_id: String,
    /// Whether it shows as paid; any status will do for one that was only finalized.
    pub paid: bool,
}

/// Signs as the providers do, at the moment of signing.
pub struct Signer {
    stripe: StripeSecrets,
    supabase: SupabaseSecrets,
}

impl Signer {
    pub fn new() -> Self {
        Self {
            stripe: StripeSecrets::new(&split_stripe(STRIPE_SECRETS)).unwrap().unwrap(),
            supabase: SupabaseSecrets::new(&split_supabase(SUPABASE_SECRETS)).unwrap().unwrap(),
        }
    }

    pub fn stripe(&self, body: String, shown: Option<Shown>) -> Post {
        let signature = stripe::sign(&self.stripe, now_s(), body.as_bytes());
        let headers = format!("{}: {signature}\r\n", stripe::HEADER);
        Post { request: request("/webhooks/stripe", &headers, &body), shown }
    }

    pub fn database(&self, id: &str, body: String) -> Post {
        let signed = standard_webhooks::sign(&self.supabase, id, now_s(), body.as_bytes());
        let headers = format!(
            "{}: {}\r\n{}: {}\r\n{}: {}\r\n",
            standard_webhooks::ID,
            signed.id,
            standard_webhooks::TIMESTAMP,
            signed.timestamp,
            standard_webhooks::SIGNATURE,
            signed.signature
        );
        Post { request: request("/webhooks/supabase/database", &headers, &body), shown: None }
    }
}

fn now_s() -> i64 {
    Clock::System.now().unix_timestamp()
}

fn request(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let fixed = "host: memberflow\r\ncontent-type: application/json\r\n";
    format!("POST {path} HTTP/1.1\r\n{fixed}{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}
