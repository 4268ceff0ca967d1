//! People who sign up, log in, upload, overwrite, move, delete, write, change their minds and leave, by SQL.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

/// Sessions are deleted at logout and with their users, so every one is noted here in the same statement.
const NOTES: &str = "create table public.test_logins (user_id uuid not null)";

/// All that is there to compare with; users who left have no metrics.
const DIFFERENCES: &str = "
    with counted as (
        select u.id as user_id,
               coalesce(l.logins, 0) as logins, coalesce(f.files, 0) as files,
               round(coalesce(f.bytes, 0) / 1048576.0, 2) as mb,
               coalesce(v.visions, 0) as visions, coalesce(j.entries, 0) as entries
        from auth.users u
        left join (select user_id, count(*) as logins from public.test_logins group by 1) l on l.user_id = u.id
        left join (select owner_id, count(*) as files, sum((metadata ->> 'size')::bigint) as bytes
                   from storage.objects group by 1) f on f.owner_id = u.id::text
        left join (select user_id, count(*) as visions from public.vision_versions where not is_draft group by 1) v
            on v.user_id = u.id
        left join (select user_id, count(*) as entries from public.journal_entries group by 1) j on j.user_id = u.id
    ), said as (
        select user_id, total_logins::bigint as logins, s3_file_count::bigint as files, total_storage_mb as mb,
               vision_count::bigint as visions, journal_entry_count::bigint as entries
        from public.user_activity_metrics
    ), differing as (
        (select 'missing' as what, * from (select * from counted except select * from said) m)
        union all
        (select 'too much', * from (select * from said except select * from counted) t)
    )
    select differing::text from differing limit 20";

pub async fn prepare(pool: &PgPool) {
    pool.execute(NOTES).await.unwrap();
}

/// Where the metrics are not what SQL counts.
pub async fn differences(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(DIFFERENCES).fetch_all(pool).await.unwrap()
}

pub async fn pending(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from ingest.events where state = 'pending'")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// How many of them do not wait for another attempt.
pub async fn due(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from ingest.events where state = 'pending' and next_attempt_at <= now()",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// The outcome of the statements.
#[derive(Debug, Default)]
pub struct Tally {
    pub done: u64,
    pub rolled_back: u64,
    /// By the database: a user who has gone, two in each other's way.
    pub refused: u64,
}

impl Tally {
    pub fn and(self, other: Self) -> Self {
        Self {
            done: self.done + other.done,
            rolled_back: self.rolled_back + other.rolled_back,
            refused: self.refused + other.refused,
        }
    }
}

/// The people, and how far they are.
pub struct Users {
    pool: PgPool,
    statements: u64,
    made: AtomicU64,
    lanes_done: AtomicU64,
    signed_up: AtomicU64,
    /// Files, visions and entries made so far.
    things: AtomicU64,
}

impl Users {
    pub fn new(pool: PgPool, statements: u64) -> Self {
        Self {
            pool,
            statements,
            made: AtomicU64::default(),
            lanes_done: AtomicU64::default(),
            signed_up: AtomicU64::default(),
            things: AtomicU64::default(),
        }
    }

    pub fn are_done(&self) -> bool {
        self.lanes_done.load(Ordering::Acquire) == super::CONNECTIONS
    }

    /// What one connection does. All of them work on the same people and things.
    pub async fn act(&self, lane: u64) -> Tally {
        let mut random = Rng::with_seed(lane + 1);
        let mut tally = Tally::default();
        let mut connection = self.pool.acquire().await.unwrap();
        while self.made.fetch_add(1, Ordering::Relaxed) < self.statements {
            let keep = random.u32(..100) >= 5;
            match once(&mut connection, self.statement(&mut random), keep).await {
                Ok(()) if keep => tally.done += 1,
                Ok(()) => tally.rolled_back += 1,
                Err(_) => tally.refused += 1,
            }
        }
        self.lanes_done.fetch_add(1, Ordering::Release);
        tally
    }

    fn statement(&self, random: &mut Rng) -> String {
        let person = |number: u64| format!("'00000000-0000-4000-a000-{number:012}'");
        let thing = |number: u64| format!("'00000000-0000-4000-b000-{number:012}'");
        let people = self.signed_up.load(Ordering::Relaxed);
        let somebody = person(random.u64(..people.max(1)));
        // Mostly what several are working on at the moment.
        let things = self.things.load(Ordering::Relaxed);
        let something = thing(things.saturating_sub(random.u64(..40)));
        let bytes = random.u64(..5_000_000);
        if people < 20 || random.u32(..100) < 10 {
            let new = person(self.signed_up.fetch_add(1, Ordering::Relaxed));
            return format!("insert into auth.users (id, email) values ({new}, {new})");
        }
        let new = || thing(self.things.fetch_add(1, Ordering::Relaxed) + 1);
        // Whoever is not there any more gets nothing: no foreign key says so for files and entries.
        let who = format!("from auth.users where id = {somebody}");
        match random.u32(..100) {
            0..22 => format!(
                "with s as (insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), {somebody}, now())
                            returning user_id)
                 insert into public.test_logins select user_id from s"
            ),
            22..40 => format!(
                "insert into storage.objects (id, name, owner_id, metadata)
                 select {0}, {0}, id, '{{\"size\": {bytes}}}' {who}",
                new()
            ),
            40..52 => format!("update storage.objects set metadata = '{{\"size\": {bytes}}}' where id = {something}"),
            52..56 => format!("update storage.objects set name = name || 'm' where id = {something}"),
            56..60 => format!("update storage.objects set owner_id = {somebody} where id = {something}"),
            60..65 => format!("delete from storage.objects where id = {something}"),
            65..75 => format!(
                "insert into public.vision_versions (id, user_id, title, is_draft) select {}, id, 'a', {} {who}",
                new(),
                random.bool()
            ),
            75..81 => format!("update public.vision_versions set is_draft = not is_draft where id = {something}"),
            81..84 => format!("delete from public.vision_versions where id = {something}"),
            84..92 => format!("insert into public.journal_entries (id, user_id) select {}, id {who}", new()),
            92..95 => format!("delete from public.journal_entries where id = {something}"),
            95..97 => format!("delete from auth.sessions where user_id = {somebody}"),
            97..99 => format!("update auth.users set deleted_at = now() where id = {somebody}"),
            _ => format!("delete from auth.users where id = {somebody}"),
        }
    }
}

/// One statement in a transaction of its own, which is rolled back unless it is to be kept.
async fn once(connection: &mut PgConnection, statement: String, keep: bool) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    tx.execute(AssertSqlSafe(statement)).await?;
    if keep { tx.commit().await } else { tx.rollback().await }
}
