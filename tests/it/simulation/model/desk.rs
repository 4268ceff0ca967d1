//! Text messages, consent and tickets, as they truly are at the end.

use super::{Row, said};
use crate::simulation::state::Simulation;
use crate::simulation::texts_sim::{Step, Text, Ticket};

/// Twilio's words from the earliest to the latest, each with the table's.
const WORDS: [(&str, &str); 8] = [
    ("queued", "queued"),
    ("sending", "queued"),
    ("sent", "sent"),
    ("undelivered", "failed"),
    ("failed", "failed"),
    ("delivered", "delivered"),
    ("read", "delivered"),
    ("received", "received"),
];
const OURS: &str = "+15550100";
/// What a ticket has when nobody waits any more.
const ENDED: [&str; 2] = ["resolved", "closed"];

pub fn messages(simulation: &Simulation) -> Vec<Row> {
    simulation.desk.messages.iter().map(|text| vec![message(simulation, text)]).collect()
}

fn message(simulation: &Simulation, text: &Text) -> String {
    let place = |word: &str| WORDS.iter().position(|(of, _)| *of == word).unwrap();
    let last = text.reports.iter().max_by_key(|(word, _)| place(word));
    let reported = last.map(|(word, _)| WORDS[place(word)].1);
    // The application says `sent` of all that it sends.
    let status = match reported {
        None | Some("queued") if text.is_logged => "sent",
        Some(status) => status,
        None => unreachable!("neither emitted nor written"),
    };
    let (from, to) =
        if text.is_incoming { (text.theirs.as_str(), OURS) } else { (OURS, text.theirs.as_str()) };
    let body = if text.is_incoming || text.is_logged { text.body.as_str() } else { "" };
    format!(
        "of=L{:04x} sms={} direction={} from={from} to={to} body={body} status={status} word={} error={} files={} lead={}",
        simulation.number,
        text.sid,
        if text.is_incoming { "inbound" } else { "outbound" },
        said(last.map(|(word, _)| *word)),
        said(last.and_then(|(_, error)| *error)),
        text.files,
        said(text.lead.filter(|_| !text.reports.is_empty())),
    )
}

pub fn consents(simulation: &Simulation) -> Vec<Row> {
    let mut rows = Vec::new();
    for text in &simulation.desk.messages {
        let refused = text.reports.iter().any(|(_, error)| *error == Some(21610));
        let (opted_in, source, keyword) = match (text.opt_out, text.body.as_str()) {
            (Some("HELP"), _) => continue,
            (Some(kind), body) => (kind == "START", "opt_out_type", body),
            (None, "Stop.") => (false, "keyword", "STOP"),
            (None, "start") => (true, "keyword", "START"),
            _ if refused => (false, "error_21610", ""),
            _ => continue,
        };
        rows.push(vec![format!(
            "of=L{:04x} number={} in={opted_in} source={source} keyword={keyword} sms={}",
            simulation.number,
            &text.theirs[1..],
            text.sid
        )]);
    }
    rows
}

pub fn tickets(simulation: &Simulation) -> Vec<Row> {
    simulation.desk.tickets.iter().map(|ticket| vec![described(simulation, ticket)]).collect()
}

/// The ticket's history from its beginning to its end.
fn described(simulation: &Simulation, ticket: &Ticket) -> String {
    let mut status = "open";
    let mut waiting_since = Some(ticket.made_at);
    let (mut first, mut by_member, mut by_staff, mut resolved, mut closed) = (None, None, None, None, None);
    let (mut replies, mut reopened) = (0, 0);
    for (at, step) in &ticket.steps {
        match step {
            Step::Note => {}
            Step::Staff => {
                replies += 1;
                first = first.or(Some(*at));
                by_staff = Some(*at);
                waiting_since = None;
                if ["open", "in_progress"].contains(&status) {
                    status = "waiting_reply";
                }
            }
            Step::Member => {
                replies += 1;
                by_member = Some(*at);
                waiting_since = waiting_since.or(Some(*at));
                if status == "resolved" {
                    reopened += 1;
                    (resolved, closed) = (None, None);
                }
                if ["resolved", "waiting_reply"].contains(&status) {
                    status = "open";
                }
            }
            Step::Status(given) => {
                if ENDED.contains(&status) && !ENDED.contains(given) {
                    reopened += 1;
                    (resolved, closed) = (None, None);
                }
                status = given;
                match *given {
                    "resolved" => resolved = Some(*at),
                    "closed" => closed = Some(*at),
                    _ => {}
                }
            }
        }
    }
    let has_ended = ENDED.contains(&status);
    let waiting_since = waiting_since.filter(|_| !has_ended);
    let waiting_for = match waiting_since {
        _ if has_ended => "",
        Some(_) => "staff",
        None => "member",
    };
    let seconds = resolved.or(closed).filter(|_| has_ended).map(|at| at - ticket.made_at);
    format!(
        "of=L{:04x} ticket={} status={status} for={waiting_for} since={} first={} member={} staff={} replies={replies} \
         reopened={reopened} resolved={} closed={} seconds={}",
        simulation.number,
        ticket.id,
        said(waiting_since),
        said(first),
        said(by_member),
        said(by_staff),
        said(resolved),
        said(closed),
        said(seconds)
    )
}
