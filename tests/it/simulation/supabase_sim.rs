//! A simulated Supabase project: users, sessions, rows and files, each change reported by an Auth Hook or a
//! Database Webhook.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::state::{Act, Simulation, moment};

/// Everything there is in the project.
pub struct Supabase {
    pub users: BTreeMap<Uuid, User>,
    /// Sessions by id: whose, and the earliest moment that any report gives.
    pub logins: BTreeMap<Uuid, (Uuid, OffsetDateTime)>,
    /// The last state of each row that is still there, by table and id.
    pub rows: BTreeMap<(&'static str, Uuid), Value>,
    /// Addresses that no user ever had.
    pub strangers: Vec<String>,
    /// The last moment that anything was given.
    clock: OffsetDateTime,
}

impl Default for Supabase {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            logins: BTreeMap::new(),
            rows: BTreeMap::new(),
            strangers: Vec::new(),
            clock: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

pub struct User {
    pub id: Uuid,
    pub email: String,
    pub confirmed: bool,
    /// The row is there at the end.
    pub present: bool,
    /// Some event is about this user.
    pub emitted: bool,
}

pub const TABLES: [&str; 4] =
    ["storage.objects", "public.vision_versions", "public.journal_entries", "public.user_profiles"];

impl Simulation {
    /// The people of this simulation.
    pub fn populate(&mut self) {
        let count = self.rng.usize(1..4);
        for number in 0..count {
            self.new_user(number);
        }
        for number in 0..3 {
            self.supabase.strangers.push(format!("stranger{number}.{:04x}@example.org", self.number));
        }
    }

    fn new_user(&mut self, number: usize) {
        let email = format!("user{number}.{:04x}@example.com", self.number);
        let comes = self.pick(&[0, 0, 0, 1]);
        let id = self.sign_up(comes, &email, true);
        match self.rng.u32(0..12) {
            // A second account with the same address in other letters.
            0 if comes == 0 => drop(self.sign_up(0, &email.to_uppercase(), true)),
            1 => self.move_user(id, comes, &email),
            2 => self.leave(id, 2),
            3 if comes == 0 => {
                self.leave(id, 1);
                self.sign_up(2, &email, true);
            }
            _ => {}
        }
    }

    pub fn sign_up(&mut self, phase: usize, email: &str, confirmed: bool) -> Uuid {
        let id = self.uuid();
        self.acts.push((phase, Act::SignUp { id, email: email.to_owned(), confirmed }));
        // One who comes late is always emitted of: nothing else would make their rows appear.
        let emitted = phase > 0 || self.chance(70);
        let user = User { id, email: email.to_owned(), confirmed, present: true, emitted };
        let record = user_row(&user);
        self.supabase.users.insert(id, user);
        if emitted {
            self.row_event("auth.users", &record, &Value::Null, phase);
        }
        id
    }

    /// Until now the user had another address, or had not confirmed this one.
    fn move_user(&mut self, id: Uuid, comes: usize, email: &str) {
        let is_address = self.chance(50);
        let before = if is_address { format!("former.{email}") } else { email.to_owned() };
        let confirmed = is_address;
        for (_, act) in &mut self.acts {
            if matches!(act, Act::SignUp { id: other, .. } if *other == id) {
                *act = Act::SignUp { id, email: before.clone(), confirmed };
            }
        }
        let user = self.supabase.users.get_mut(&id).unwrap();
        user.emitted = true;
        let after = user_row(user);
        let mut former = after.clone();
        former["email"] = json!(before);
        let phase = comes + 1;
        self.acts.push((phase, Act::Change { id, email: email.to_owned(), confirmed: true }));
        self.row_event("auth.users", &after, &former, phase);
    }

    fn leave(&mut self, id: Uuid, phase: usize) {
        let user = self.supabase.users.get_mut(&id).unwrap();
        user.present = false;
        let record = user_row(user);
        self.acts.push((phase, Act::Delete { id }));
        self.row_event("auth.users", &Value::Null, &record, phase);
    }

    /// An address as a customer gives it: a user's, in any letters, or a stranger's.
    pub fn some_address(&mut self) -> Option<String> {
        let users: Vec<String> = self.supabase.users.values().map(|user| user.email.clone()).collect();
        let address = match self.rng.u32(0..10) {
            0 => return None,
            1..6 => self.pick(&users),
            _ => self.pick(&self.supabase.strangers.clone()),
        };
        Some(if self.chance(20) { address.to_uppercase() } else { address })
    }

    /// A moment of this second that is later than all before it: a database's clock never goes back.
    fn precise_now(&mut self) -> OffsetDateTime {
        let begun = self.supabase.clock.max(moment(self.now));
        let left = (moment(self.now + 1) - begun).whole_microseconds().max(2);
        let step = self.rng.i64(1..=i64::try_from(left).unwrap() / 2);
        self.supabase.clock = begun + Duration::microseconds(step);
        self.supabase.clock
    }

    /// A login, emitted by the token hook, the session's row, or both; then perhaps what is none.
    pub fn log_in(&mut self) {
        let users: Vec<Uuid> = self.supabase.users.keys().copied().collect();
        let (user, session) = (self.pick(&users), self.uuid());
        let at = self.precise_now();
        let later = at + Duration::milliseconds(self.rng.i64(0..40));
        let emitted_by = self.rng.u32(0..3);
        if emitted_by != 0 {
            self.token(user, session, at, "password");
        }
        if emitted_by != 1 {
            let first = if emitted_by == 2 { later } else { at };
            let row =
                json!({ "id": session, "user_id": user, "created_at": text(first), "oauth_client_id": null });
            self.row_event("auth.sessions", &row, &Value::Null, 0);
            if self.chance(30) {
                self.row_event("auth.sessions", &Value::Null, &row, 0);
            }
        }
        self.supabase.logins.insert(session, (user, at));
        self.supabase.users.get_mut(&user).unwrap().emitted = true;
        if self.chance(30) {
            self.token(user, session, later + Duration::hours(1), "token_refresh");
        }
    }

    fn token(&mut self, user: Uuid, session: Uuid, at: OffsetDateTime, method: &str) {
        let uuid = self.uuid();
        self.auth_hook(
            &json!({ "metadata": { "uuid": uuid, "time": text(at), "name": "customize-access-token" },
            "user_id": user, "authentication_method": method,
            "claims": { "session_id": session, "sub": user, "role": "authenticated" } }),
        );
    }

    /// A row or file that is made, changed or deleted.
    pub fn change_row(&mut self) {
        let table = self.pick(&TABLES);
        let there = self.supabase.rows.keys().filter(|(of, _)| *of == table).copied();
        let there: Vec<_> = there.collect();
        match self.rng.u32(0..10) {
            0..4 => self.insert_row(table),
            4..8 if !there.is_empty() => {
                let key = self.pick(&there);
                self.update_row(key);
            }
            _ if !there.is_empty() => {
                let key = self.pick(&there);
                let row = self.supabase.rows.remove(&key).unwrap();
                self.note_owner(&row);
                self.row_event(table, &Value::Null, &row, 0);
            }
            _ => self.insert_row(table),
        }
    }

    fn insert_row(&mut self, table: &'static str) {
        let id = self.uuid();
        let row = self.some_row(table, id);
        self.note_owner(&row);
        self.row_event(table, &row, &Value::Null, 0);
        self.supabase.rows.insert((table, id), row);
    }

    fn update_row(&mut self, key: (&'static str, Uuid)) {
        let before = self.supabase.rows[&key].clone();
        let mut after = self.some_row(key.0, key.1);
        // Changes of one transaction share their moment, and a table may have none at all.
        if self.chance(20) && before["updated_at"] != Value::Null {
            after["updated_at"] = before["updated_at"].clone();
        }
        if after == before {
            return;
        }
        self.note_owner(&before);
        self.note_owner(&after);
        self.row_event(key.0, &after, &before, 0);
        self.supabase.rows.insert(key, after);
    }

    fn note_owner(&mut self, row: &Value) {
        for key in ["user_id", "owner_id"] {
            let owner = row[key].as_str().and_then(|id| id.parse::<Uuid>().ok());
            if let Some(user) = owner.and_then(|id| self.supabase.users.get_mut(&id)) {
                user.emitted = true;
            }
        }
    }

    fn some_row(&mut self, table: &'static str, id: Uuid) -> Value {
        let users: Vec<Uuid> = self.supabase.users.keys().copied().collect();
        let user = self.pick(&users);
        let at = text(self.precise_now());
        match table {
            "storage.objects" => {
                let owner = if self.chance(85) { json!(user) } else { json!("service") };
                json!({ "id": id, "bucket_id": "files", "name": "a.png", "owner_id": owner, "updated_at": at,
                    "metadata": { "size": self.rng.i64(0..30_000_000), "mimetype": "image/png" } })
            }
            "public.vision_versions" => json!({ "id": id, "user_id": user, "title": "A vision",
                "is_draft": self.chance(40), "updated_at": at }),
            // This table carries no moment.
            "public.journal_entries" => json!({ "id": id, "user_id": user, "title": self.rng.u32(..1000) }),
            _ => {
                let filled: Vec<Option<&str>> = (0..4).map(|_| self.chance(60).then_some("x")).collect();
                json!({ "id": id, "user_id": user, "first_name": filled[0], "last_name": filled[1],
                    "email": filled[2], "phone": filled[3], "is_active": self.chance(70),
                    "is_draft": self.chance(20), "updated_at": at })
            }
        }
    }
}

fn user_row(user: &User) -> Value {
    json!({ "id": user.id, "email": user.email, "aud": "authenticated",
        "email_confirmed_at": user.confirmed.then_some("2025-09-01T00:00:00Z") })
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap()
}
