//! What is read of the account: its messages, their media, and its webhook settings.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{BASE, TwilioApi, TwilioApiError};
use crate::project::twilio::Media;

/// Messages on one page; Twilio's maximum is a thousand.
const PAGE_SIZE: usize = 500;
/// Pages of numbers, of services and of a service's numbers at most.
const PAGES_MAX: usize = 20;

/// A page of messages.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The messages as JSON, newest first.
    pub messages: Vec<Value>,
    /// The URL of the next page.
    #[serde(default)]
    next_page_uri: Option<String>,
}

impl Page {
    /// The URL of the next page, if any.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next_page_uri.as_deref()
    }
}

/// A range of time in which messages were sent, both ends included.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentRange {
    /// Not before.
    pub since: Option<OffsetDateTime>,
    /// Not after.
    pub until: Option<OffsetDateTime>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Files {
    #[serde(default)]
    media_list: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    uri: String,
    #[serde(default)]
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Numbers {
    #[serde(default)]
    incoming_phone_numbers: Vec<Number>,
    #[serde(default)]
    next_page_uri: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Number {
    sid: String,
    phone_number: String,
    #[serde(default)]
    sms_url: Option<String>,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Capabilities {
    #[serde(default, alias = "SMS")]
    sms: bool,
}

#[derive(Deserialize)]
struct Services {
    #[serde(default)]
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    sid: String,
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    inbound_request_url: Option<String>,
    #[serde(default)]
    use_inbound_webhook_on_number: bool,
    #[serde(default)]
    status_callback: Option<String>,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    phone_numbers: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    sid: String,
}

/// The webhook settings of numbers and services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Each number with SMS, with the URL for incoming messages: its own, or its service's.
    pub numbers: Vec<(String, Option<String>)>,
    /// Each service, with the URL for status callbacks.
    pub services: Vec<(String, Option<String>)>,
}

impl TwilioApi {
    /// The account's status: `active`, `suspended`, `closed`.
    ///
    /// # Errors
    /// If Twilio rejects the request, does not answer, or answers unexpectedly.
    pub async fn account_status(&self) -> Result<String, TwilioApiError> {
        let account: Account =
            self.get(&format!("{}/2010-04-01/Accounts/{}.json", self.base, self.account)).await?;
        Ok(account.status)
    }

    /// The page of messages at `next`; without it the first one, of messages `sent` then.
    ///
    /// # Errors
    /// As [`TwilioApi::account_status`]; also if the list does not advance.
    pub async fn messages(&self, sent: SentRange, next: Option<&str>) -> Result<Page, TwilioApiError> {
        let address = if let Some(next) = next { self.followed(next)? } else { self.first_page(sent) };
        let page: Page = self.get(&address).await?;
        if page.next().is_some() && (page.next() == next || page.messages.is_empty()) {
            return Err(TwilioApiError::InvalidResponse("the list of messages goes in a circle".to_owned()));
        }
        Ok(page)
    }

    fn first_page(&self, sent: SentRange) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("PageSize", &PAGE_SIZE.to_string());
        // `DateSent>=…` and `DateSent<=…`: the moments themselves included.
        for (name, at) in [("DateSent>", sent.since), ("DateSent<", sent.until)] {
            if let Some(at) = at.and_then(|at| at.format(&Rfc3339).ok()) {
                query.append_pair(name, &at);
            }
        }
        format!("{}/2010-04-01/Accounts/{}/Messages.json?{}", self.base, self.account, query.finish())
    }

    /// The URL of the next page, which must be of this account: the token is sent there.
    fn followed(&self, next: &str) -> Result<String, TwilioApiError> {
        let ours = format!("/2010-04-01/Accounts/{}/", self.account);
        if !next.starts_with(&ours) {
            return Err(TwilioApiError::InvalidResponse(format!(
                "the next page is not the account's: {next}"
            )));
        }
        Ok(format!("{}{next}", self.base))
    }

    /// The media of a message, as parameters of the webhook.
    ///
    /// # Errors
    /// As [`TwilioApi::account_status`].
    pub async fn media(&self, message: &str) -> Result<Vec<Media>, TwilioApiError> {
        let path = format!("/2010-04-01/Accounts/{}/Messages/{message}/Media.json", self.account);
        let files: Files = match self.get(&format!("{}{path}", self.base)).await {
            // Its media were deleted since.
            Err(TwilioApiError::Refused { status: 404, .. }) => return Ok(Vec::new()),
            files => files?,
        };
        let named = |file: File| Media {
            url: format!("{BASE}{}", file.uri.trim_end_matches(".json")),
            kind: file.content_type.unwrap_or_default(),
        };
        Ok(files.media_list.into_iter().map(named).collect())
    }

    /// The settings of numbers and services.
    ///
    /// # Errors
    /// As [`TwilioApi::account_status`].
    pub async fn settings(&self) -> Result<Settings, TwilioApiError> {
        let mut numbers = self.numbers().await?;
        let address = format!("{}/v1/Services?PageSize=100", self.messaging_base);
        let services: Services = self.get(&address).await?;
        for service in services.services.iter().take(PAGES_MAX) {
            if service.use_inbound_webhook_on_number {
                continue;
            }
            let address =
                format!("{}/v1/Services/{}/PhoneNumbers?PageSize=1000", self.messaging_base, service.sid);
            let members: Members = self.get(&address).await?;
            let is_member = |number: &Number| members.phone_numbers.iter().any(|it| it.sid == number.sid);
            for number in numbers.iter_mut().filter(|number| is_member(number)) {
                number.sms_url.clone_from(&service.inbound_request_url);
            }
        }
        let named = |it: Service| (format!("{} ({})", it.friendly_name, it.sid), it.status_callback);
        Ok(Settings {
            numbers: numbers.into_iter().map(|it| (it.phone_number, it.sms_url)).collect(),
            services: services.services.into_iter().map(named).collect(),
        })
    }

    async fn numbers(&self) -> Result<Vec<Number>, TwilioApiError> {
        let first = format!(
            "{}/2010-04-01/Accounts/{}/IncomingPhoneNumbers.json?PageSize=1000",
            self.base, self.account
        );
        let (mut address, mut all) = (first, Vec::new());
        for _ in 0..PAGES_MAX {
            let page: Numbers = self.get(&address).await?;
            all.extend(page.incoming_phone_numbers.into_iter().filter(|it| it.capabilities.sms));
            let Some(next) = page.next_page_uri else { break };
            address = self.followed(&next)?;
        }
        Ok(all)
    }
}
