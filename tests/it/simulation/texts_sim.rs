//! Simulated text messages and tickets: Twilio's unordered callbacks, the application's rows of the same
//! messages, and tickets with late replies.

use memberflow::envelope::{Envelope, Parameters, twilio};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::state::{Act, Emitted, PHASES, Simulation, moment};
use crate::support::receiver::TWILIO_ACCOUNT;

/// Our number.
const OURS: &str = "+15550100";

/// Everything that was texted and asked.
#[derive(Default)]
pub struct Desk {
    pub messages: Vec<Text>,
    pub tickets: Vec<Ticket>,
}

/// A text message, as it truly is.
pub struct Text {
    pub sid: String,
    pub is_incoming: bool,
    pub theirs: String,
    /// What was texted; of an outgoing one only the application knows it.
    pub body: String,
    pub files: usize,
    /// What its Messaging Service took it for, which counts before the text.
    pub opt_out: Option<&'static str>,
    /// What was reported, each with its error.
    pub reports: Vec<(&'static str, Option<i32>)>,
    /// The application has a row of it.
    pub is_logged: bool,
    /// The one lead who has the number.
    pub lead: Option<Uuid>,
}

/// A ticket with all that was said and decided, each of a second of its own.
pub struct Ticket {
    pub id: Uuid,
    pub made_at: i64,
    pub steps: Vec<(i64, Step)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Member,
    Staff,
    Note,
    Status(&'static str),
}

impl Simulation {
    /// A few messages and tickets. Dice of their own: the histories that seeds stand for stay what they are.
    pub fn text_and_ask(&mut self) {
        let dice = std::mem::replace(&mut self.rng, fastrand::Rng::with_seed(self.seed ^ 0x7e475));
        let holders = self.holders();
        for number in 0..self.rng.u32(2..7) {
            let (theirs, lead) = self.pick(&holders);
            if self.chance(40) {
                self.text_from(number, &theirs, lead, "Hello", None);
            } else {
                self.text_to(number, &theirs, lead, None);
            }
        }
        // One word of consent from each number, for what the last one was the order of arrival decides in part.
        for (place, (theirs, lead)) in holders.into_iter().enumerate() {
            let number = 100 + u32::try_from(place).unwrap();
            match self.rng.u32(0..6) {
                0 => self.text_from(number, &theirs, lead, "Stop.", None),
                1 => self.text_from(number, &theirs, lead, "start", None),
                2 => {
                    let taken_for = self.pick(&["STOP", "START", "HELP"]);
                    self.text_from(number, &theirs, lead, "arrêt", Some(taken_for));
                }
                3 => self.text_to(number, &theirs, lead, Some(21610)),
                _ => {}
            }
        }
        for _ in 0..self.rng.usize(0..3) {
            self.ask();
        }
        self.rng = dice;
    }

    /// Three numbers: of one lead, of two, and of nobody.
    fn holders(&mut self) -> Vec<(String, Option<Uuid>)> {
        let theirs = |n: u32| format!("+1{:05}{n:05}", 20_000 + u32::from(self.number));
        let numbers: Vec<String> = (0..3).map(theirs).collect();
        let leads: Vec<Uuid> = (0..3).map(|_| self.uuid()).collect();
        for (lead, of) in leads.iter().zip([0, 1, 1]) {
            let statement = format!(
                "insert into public.leads (id, type, email, phone) values ('{lead}', 'demo', '{lead}@example.net', '{}')",
                &numbers[of][2..]
            );
            self.acts.push((0, Act::Run(statement)));
        }
        let one = [Some(leads[0]), None, None];
        numbers.into_iter().zip(one).collect()
    }

    fn text_from(
        &mut self,
        number: u32,
        theirs: &str,
        lead: Option<Uuid>,
        body: &str,
        opt_out: Option<&'static str>,
    ) {
        let sid = self.sid(number);
        let files = if body == "Hello" { self.pick(&[0, 0, 1, 3]) } else { 0 };
        let mut form = json!({"From": theirs, "To": OURS, "Body": body, "NumMedia": files.to_string()});
        for n in 0..files {
            form[format!("MediaUrl{n}")] = json!(format!("https://media.example.com/{sid}/{n}"));
        }
        if let Some(opt_out) = opt_out {
            form["OptOutType"] = json!(opt_out);
        }
        self.report(&sid, form);
        let is_logged = self.chance(30);
        if is_logged {
            self.log("inbound", theirs, OURS, body, "received", &sid);
        }
        let reports = vec![("received", None)];
        let body = body.to_owned();
        let theirs = theirs.to_owned();
        let text = Text { sid, is_incoming: true, theirs, body, files, opt_out, reports, is_logged, lead };
        self.desk.messages.push(text);
    }

    fn text_to(&mut self, number: u32, theirs: &str, lead: Option<Uuid>, refusal: Option<i32>) {
        let sid = self.sid(number);
        let mut reports: Vec<(&str, Option<i32>)> = Vec::new();
        if let Some(error) = refusal {
            reports.push(("failed", Some(error)));
        } else {
            for word in ["queued", "sending", "sent"] {
                if self.chance(70) {
                    reports.push((word, None));
                }
            }
            match self.rng.u32(0..4) {
                0 => reports.push(("undelivered", Some(30005))),
                1 => reports.push(("delivered", None)),
                2 => reports.extend([("delivered", None), ("read", None)]),
                _ => {}
            }
        }
        for (word, error) in &reports {
            let error = error.map_or_else(String::new, |error| error.to_string());
            let form = json!({"From": OURS, "To": theirs, "MessageStatus": word, "ErrorCode": error});
            self.report(&sid, form);
        }
        let is_logged = reports.is_empty() || self.chance(70);
        let body = format!("Note {number}");
        if is_logged {
            self.log("outbound", OURS, theirs, &body, "sent", &sid);
        }
        let text = Text {
            sid,
            is_incoming: false,
            theirs: theirs.to_owned(),
            body,
            files: 0,
            opt_out: None,
            reports,
            is_logged,
            lead,
        };
        self.desk.messages.push(text);
    }

    /// Twilio's id, which ends with the history's number.
    fn sid(&mut self, number: u32) -> String {
        format!("SM{:028x}{:04x}", number, self.number)
    }

    fn report(&mut self, sid: &str, form: Value) {
        let Value::Object(mut form): Value = form else { return };
        form.insert("MessageSid".to_owned(), sid.into());
        form.insert("AccountSid".to_owned(), TWILIO_ACCOUNT.into());
        let envelope = envelope(form, self.now);
        self.emitted.push(Emitted { envelope, phase: 0 });
    }

    /// The application's own row of a message, before or after its reports.
    fn log(&mut self, direction: &str, from: &str, to: &str, body: &str, status: &str, sid: &str) {
        let statement = format!(
            "insert into public.sms_messages (direction, from_number, to_number, body, status, twilio_sid, media_urls)
             values ('{direction}', '{from}', '{to}', '{body}', '{status}', '{sid}', null)"
        );
        let phase = self.rng.usize(0..PHASES);
        self.acts.push((phase, Act::Run(statement)));
    }

    /// A ticket, and its replies in whatever order they are written. No status is given twice: a write that changes nothing
    /// leaves no trace.
    fn ask(&mut self) {
        let id = self.uuid();
        let made_at = self.now - 10 * 86_400;
        let opened = self.rng.usize(0..PHASES);
        let made = format!(
            "insert into public.support_tickets (id, guest_email, subject, description, created_at, updated_at)
             values ('{id}', 'guest@example.net', 'Help', 'It is broken.', to_timestamp({made_at}), to_timestamp({made_at}))"
        );
        self.acts.push((opened, Act::Run(made)));
        let mut steps: Vec<(i64, Step)> = Vec::new();
        for number in 0..self.rng.i64(0..5) {
            let said = self.pick(&[Step::Member, Step::Member, Step::Staff, Step::Staff, Step::Note]);
            steps.push((made_at + 3_600 * (2 * number + 1), said));
        }
        let (mut statuses, mut places) = (["in_progress", "resolved", "closed"], [1, 2, 3, 4]);
        self.rng.shuffle(&mut statuses);
        self.rng.shuffle(&mut places);
        for (status, place) in statuses.into_iter().zip(places).take(self.rng.usize(0..=3)) {
            steps.push((made_at + 7_200 * place, Step::Status(status)));
        }
        let mut written = steps.clone();
        self.rng.shuffle(&mut written);
        for (at, step) in written {
            let statement = self.written(id, at, step);
            let phase = self.rng.usize(opened..PHASES);
            self.acts.push((phase, Act::Run(statement)));
        }
        steps.sort_by_key(|(at, _)| *at);
        self.desk.tickets.push(Ticket { id, made_at, steps });
    }

    fn written(&mut self, ticket: Uuid, at: i64, step: Step) -> String {
        let (is_staff, is_internal) = match step {
            Step::Status(status) => {
                return format!(
                    "update public.support_tickets set status = '{status}', updated_at = to_timestamp({at}) where id = '{ticket}'"
                );
            }
            Step::Member => (false, false),
            Step::Staff => (true, false),
            Step::Note => (true, true),
        };
        let id = self.uuid();
        format!(
            "insert into public.support_ticket_replies (id, ticket_id, message, is_staff, is_internal, created_at)
             values ('{id}', '{ticket}', 'x', {is_staff}, {is_internal}, to_timestamp({at}))"
        )
    }
}

fn envelope(form: Map<String, Value>, at: i64) -> Envelope {
    let parameters = Parameters::from_json(Value::Object(form).to_string().as_bytes()).unwrap();
    twilio::event(parameters, moment(at)).unwrap().envelope
}
