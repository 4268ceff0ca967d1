//! Activity: logins, files and rows, counted per user by the difference that each changed fact makes.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::facts::ChangedRow;
use crate::project::payload::Login;
use crate::project::supabase::tables::Metric;
use crate::project::supabase::{ActivityTables, Row};

/// What to add to a user's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Logins.
    pub logins: i64,
    /// Files.
    pub files: i64,
    /// The size of the files.
    pub file_bytes: i64,
    /// Rows, by the metric that counts them.
    pub rows: [i64; Metric::ALL.len()],
}

impl Counts {
    fn add_row(&mut self, row: &Row, sign: i64, tables: &ActivityTables) {
        let amount = sign.saturating_mul(row.amount);
        match row.relation.as_str() {
            "storage.objects" => {
                self.files += sign;
                self.file_bytes = self.file_bytes.saturating_add(amount);
            }
            relation => {
                if let Some(table) = tables.of(relation) {
                    self.add(table.metric, sign);
                }
            }
        }
    }

    fn add(&mut self, metric: Metric, amount: i64) {
        let count = &mut self.rows[metric as usize];
        *count = count.saturating_add(amount);
    }
}

/// The column of `ingest.activity` that counts the metric's rows.
#[must_use]
pub const fn column(metric: Metric) -> &'static str {
    match metric {
        Metric::Visions => "visions",
        Metric::JournalEntries => "journal_entries",
        Metric::Refinements => "refinements",
        Metric::AudioTracks => "audio_tracks",
        Metric::BoardImages => "board_images",
    }
}

/// By user.
pub type Differences = BTreeMap<Uuid, Counts>;

/// Stores `logins`, each once and at the earliest time reported. One with weaker evidence than a session
/// counts unless stronger evidence exists within a second of it: then it is the same login.
pub async fn resolve_logins(
    tx: &mut PgConnection,
    logins: &[Login],
    differences: &mut Differences,
) -> Result<(), sqlx::Error> {
    if logins.is_empty() {
        return Ok(());
    }
    let mut earliest = BTreeMap::<&str, &Login>::new();
    for login in logins {
        let first = earliest.entry(&login.session_id).or_insert(login);
        if (login.logged_in_at, login.user_id) < (first.logged_in_at, first.user_id) {
            *first = login;
        }
    }
    let retimed: Vec<RetimedLogin> = sqlx::query_as(
        "with reported as (
             select * from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::smallint[])
                 as t (session_id, user_id, logged_in_at, evidence)
         ), known as (
             select l.session_id, l.logged_in_at from logins l join reported t on t.session_id = l.session_id
         ), written as (
             insert into logins as l (session_id, user_id, logged_in_at, evidence, counted)
             select session_id, user_id, logged_in_at, evidence, evidence = 0 from reported
             on conflict (session_id) do update set logged_in_at = excluded.logged_in_at
             where excluded.logged_in_at < l.logged_in_at
             returning l.session_id, l.user_id, l.logged_in_at, l.evidence
         )
         select w.user_id, coalesce(k.logged_in_at, w.logged_in_at) as until, w.logged_in_at as since,
                k.logged_in_at is null and w.evidence = 0 as is_new_session,
                w.evidence > 0 or (
                    select true from logins l where l.evidence > 0 and l.user_id = w.user_id
                      and l.logged_in_at between w.logged_in_at - interval '1 second'
                                             and coalesce(k.logged_in_at, w.logged_in_at) + interval '1 second'
                    limit 1
                ) is not null as is_near_weak
         from written w left join known k using (session_id)",
    )
    .bind(earliest.keys().copied().collect::<Vec<_>>())
    .bind(earliest.values().map(|login| login.user_id).collect::<Vec<_>>())
    .bind(earliest.values().map(|login| login.logged_in_at).collect::<Vec<_>>())
    .bind(earliest.values().map(|login| login.evidence as i16).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    // One whose time changed counts no more than before, but may be the last login.
    for one in &retimed {
        differences.entry(one.user_id).or_default().logins += i64::from(one.is_new_session);
    }
    let near_weak: Vec<_> = retimed.into_iter().filter(|one| one.is_near_weak).collect();
    recount_weak(tx, &near_weak, differences).await
}

/// A login that is new, or whose time has changed.
#[derive(Debug, sqlx::FromRow)]
struct RetimedLogin {
    user_id: Uuid,
    /// Its time now.
    since: OffsetDateTime,
    /// Its time before; the same if it is new.
    until: OffsetDateTime,
    is_new_session: bool,
    /// Weaker evidence is within a second of it, or it is such: what counts must be decided again.
    is_near_weak: bool,
}

/// Decides again which logins with weak evidence count, around those in `retimed`.
async fn recount_weak(
    tx: &mut PgConnection,
    retimed: &[RetimedLogin],
    differences: &mut Differences,
) -> Result<(), sqlx::Error> {
    if retimed.is_empty() {
        return Ok(());
    }
    let recounted: Vec<(Uuid, bool)> = sqlx::query_as(RECOUNT_WEAK)
        .bind(retimed.iter().map(|one| one.user_id).collect::<Vec<_>>())
        .bind(retimed.iter().map(|one| one.since).collect::<Vec<_>>())
        .bind(retimed.iter().map(|one| one.until).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    for (user, counts) in recounted {
        differences.entry(user).or_default().logins += if counts { 1 } else { -1 };
    }
    Ok(())
}

/// The same around logins of `users` at these `moments`.
pub(in crate::store) async fn recheck_weak(
    tx: &mut PgConnection,
    users: &[Uuid],
    moments: &[OffsetDateTime],
) -> Result<(), sqlx::Error> {
    let retimed = users.iter().zip(moments).map(|(user_id, at)| RetimedLogin {
        user_id: *user_id,
        since: *at,
        until: *at,
        is_new_session: false,
        is_near_weak: true,
    });
    let mut differences = Differences::new();
    recount_weak(tx, &retimed.collect::<Vec<_>>(), &mut differences).await?;
    write(tx, &[], &differences).await
}

/// The window is one second either way: Supabase Auth writes a login's session, its entry in the audit log and
/// the user's last sign-in in one transaction.
const RECOUNT_WEAK: &str = "
    with near as (
        select distinct l.session_id, l.user_id, l.logged_in_at, l.evidence, l.counted
        from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as m (user_id, since, until)
        join logins l on l.evidence > 0 and l.user_id = m.user_id
            and l.logged_in_at between m.since - interval '1 second' and m.until + interval '1 second'
    ), recounted as (
        select n.session_id, n.counted, not exists (
            select from logins s
            where s.user_id = n.user_id and s.evidence < n.evidence
              and s.logged_in_at between n.logged_in_at - interval '1 second' and n.logged_in_at + interval '1 second'
        ) as counts
        from near n
    )
    update logins l set counted = w.counts from recounted w
    where l.session_id = w.session_id and w.counts <> w.counted
    returning l.user_id, l.counted";

/// Adds how the change of a row or file from `before` to `after` changes its owners' counts.
pub fn count_row(differences: &mut Differences, before: Option<&Row>, after: &Row, tables: &ActivityTables) {
    for (row, sign) in before.map(|row| (row, -1)).into_iter().chain([(after, 1)]) {
        if let (Some(user), true) = (row.user_id, row.counted) {
            differences.entry(user).or_default().add_row(row, sign, tables);
        }
    }
}

/// Stores the facts of the `changed` rows and files, and adds `differences` to the users' counts. Rows of counts that become
/// all zero are deleted, so that a user named only by a superseded event leaves no trace.
pub(in crate::store) async fn write(
    tx: &mut PgConnection,
    changed: &[ChangedRow],
    differences: &Differences,
) -> Result<(), sqlx::Error> {
    if changed.is_empty() && differences.is_empty() {
        return Ok(());
    }
    let reported = || changed.iter().map(|fact| &fact.winner.reported);
    let states = || changed.iter().map(ChangedRow::after);
    let column = |pick: fn(&Counts) -> i64| differences.values().map(pick).collect::<Vec<_>>();
    let rows =
        |metric: Metric| differences.values().map(|counts| counts.rows[metric as usize]).collect::<Vec<_>>();
    let written: Vec<(Uuid, bool)> = sqlx::query_as(WRITE)
        .bind(differences.keys().copied().collect::<Vec<_>>())
        .bind(column(|counts| counts.logins))
        .bind(column(|counts| counts.files))
        .bind(column(|counts| counts.file_bytes))
        .bind(rows(Metric::Visions))
        .bind(rows(Metric::JournalEntries))
        .bind(rows(Metric::Refinements))
        .bind(rows(Metric::AudioTracks))
        .bind(rows(Metric::BoardImages))
        .bind(states().map(|row| row.relation.as_str()).collect::<Vec<_>>())
        .bind(states().map(|row| row.row_id.as_str()).collect::<Vec<_>>())
        .bind(states().map(|row| row.user_id).collect::<Vec<_>>())
        .bind(states().map(|row| row.counted).collect::<Vec<_>>())
        .bind(states().map(|row| row.amount).collect::<Vec<_>>())
        .bind(reported().map(|one| one.report.occurred_at).collect::<Vec<_>>())
        .bind(reported().map(|one| one.report.is_final).collect::<Vec<_>>())
        .bind(reported().map(|one| one.report.sequence).collect::<Vec<_>>())
        .bind(reported().map(|one| one.event_id.as_str()).collect::<Vec<_>>())
        .bind(changed.iter().map(|fact| fact.winner.tied).collect::<Vec<_>>())
        .fetch_all(&mut *tx)
        .await?;
    let zeros: Vec<Uuid> =
        written.into_iter().filter(|(_, is_zero)| *is_zero).map(|(user, _)| user).collect();
    if zeros.is_empty() { Ok(()) } else { delete_zeros(tx, &zeros).await }
}

/// Returns the users, each with whether all counts are zero.
const WRITE: &str = "
    with facts as (
        insert into row_facts
            (relation, row_id, user_id, counted, amount, occurred_at, final, number, event_id, tied)
        select * from unnest($10::text[], $11::text[], $12::uuid[], $13::bool[], $14::bigint[], $15::timestamptz[],
                             $16::bool[], $17::bigint[], $18::text[], $19::bool[])
        on conflict (relation, row_id) do update set
            user_id = excluded.user_id, counted = excluded.counted, amount = excluded.amount,
            occurred_at = excluded.occurred_at, final = excluded.final, number = excluded.number,
            event_id = excluded.event_id, tied = excluded.tied
    )
    insert into activity as a
        (user_id, logins, files, file_bytes, visions, journal_entries, refinements, audio_tracks, board_images)
    select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                         $7::bigint[], $8::bigint[], $9::bigint[])
    on conflict (user_id) do update set
        logins = a.logins + excluded.logins, files = a.files + excluded.files,
        file_bytes = a.file_bytes + excluded.file_bytes, visions = a.visions + excluded.visions,
        journal_entries = a.journal_entries + excluded.journal_entries,
        refinements = a.refinements + excluded.refinements,
        audio_tracks = a.audio_tracks + excluded.audio_tracks,
        board_images = a.board_images + excluded.board_images
    returning a.user_id, (a.logins, a.files, a.file_bytes, a.visions, a.journal_entries, a.refinements,
                          a.audio_tracks, a.board_images) = (0, 0, 0, 0, 0, 0, 0, 0)";

/// Deletes rows of zeros.
pub(in crate::store) async fn delete_zeros(tx: &mut PgConnection, users: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from activity where user_id = any($1)
           and (logins, files, file_bytes, visions, journal_entries, refinements, audio_tracks, board_images)
             = (0, 0, 0, 0, 0, 0, 0, 0)",
    )
    .bind(users)
    .execute(tx)
    .await?;
    Ok(())
}
