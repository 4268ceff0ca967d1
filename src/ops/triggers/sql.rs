//! The SQL of the triggers.
//!
//! One function per table, which copies only the used columns. It is in `ingest`, because only Supabase may
//! create functions in `auth` and `storage`.
//!
//! - **It never fails**, so it never aborts the user's transaction: errors become warnings. It waits for a
//!   locked table of events only briefly, and once per transaction.
//! - **It does not block** changes to the table: no column is named in the trigger itself (`update of`,
//!   `when`), which would prevent altering that column.
//! - **It fires first** among the table's triggers, by its name: a trigger that changes the same row again
//!   must be recorded after the change that fired it. The number is taken under the row lock.

use sha2::{Digest as _, Sha256};

use super::watched::{Column, Watched};
use crate::database::sql::{literal, name, table};
use crate::project::supabase::row::TRIGGER;

/// The triggers' name on every table.
pub(super) const NAME: &str = "00_memberflow";
/// The prefix of their functions in `ingest`. The table's name follows.
pub(super) const FUNCTION: &str = "outbox_";
/// The longest name in Postgres, in bytes.
const NAME_MAX_BYTES: usize = 63;
/// How long a user's statement waits for a locked table of events.
const PATIENCE: &str = "500ms";

/// The script that creates the trigger of one table, and its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The statements, for one transaction.
    pub text: String,
    /// The comment on the function, which identifies the script.
    pub mark: String,
}

/// The trigger of `watched` that copies `columns`.
pub(super) fn install(watched: &Watched, columns: &[&Column]) -> Script {
    let function = function(&watched.relation);
    let body = body(watched, columns);
    let table = table(&watched.relation);
    let events = if watched.only_new { "insert" } else { "insert or update or delete" };
    let statements = format!(
        "create or replace function {function}() returns trigger
language plpgsql security definer set search_path = '' set lock_timeout = '{PATIENCE}' as $memberflow$
{body}
$memberflow$;
revoke all on function {function}() from public;
create or replace trigger \"{NAME}\" after {events} on {table}
    for each row execute function {function}();
"
    );
    let hash = hex::encode(Sha256::digest(&statements));
    let mark = format!("Tells memberflow of {} ({})", watched.relation, &hash[..16]);
    Script { text: format!("{statements}comment on function {function}() is {};\n", literal(&mark)), mark }
}

/// Dropping the function drops the trigger. Only a table's owner may drop its triggers by name, which for
/// `auth` and `storage` is Supabase.
pub(super) fn uninstall(function: &str) -> String {
    format!("drop function if exists ingest.{}() cascade;\n", name(function))
}

fn body(watched: &Watched, columns: &[&Column]) -> String {
    let (schema, name) = watched.relation.split_once('.').unwrap_or_default();
    let (before, after) = (row("old", columns), row("new", columns));
    let event = literal(&format!("{}.", watched.relation));
    let (schema, name, trigger) = (literal(schema), literal(name), literal(TRIGGER));
    format!(
        "declare
    before jsonb;
    after jsonb;
begin
    if current_setting('memberflow.events_are_held', true) = 'yes' then
        perform set_config('lock_timeout', '1ms', true);
    end if;
    if tg_op <> 'INSERT' then
        before := {before};
    end if;
    if tg_op <> 'DELETE' then
        after := {after};
    end if;
    if before = after then
        return null;
    end if;
    -- A row that was given another id is another row: the one before is gone.
    if before -> 'id' = after -> 'id' then
        before := null;
    end if;
    insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
    select 'supabase.database', {trigger} || lpad(nextval('ingest.change_numbers')::text, 19, '0')
               || '/' || (extract(epoch from clock_timestamp()) * 1000000)::bigint,
           {event} || lower(change.operation), clock_timestamp(), clock_timestamp(),
           convert_to(jsonb_build_object('type', change.operation, 'schema', {schema}, 'table', {name},
                                         change.name, change.copy)::text, 'UTF8'),
           'pending', clock_timestamp()
    from (values ('DELETE', 'old_record', before), (tg_op, 'record', after)) as change (operation, name, copy)
    where change.copy is not null;
    perform ingest.wake_consumers();
    return null;
exception
    when lock_not_available then
        -- The rest of this transaction does not wait again.
        perform set_config('memberflow.events_are_held', 'yes', true);
        raise warning 'memberflow was not told of % on {relation}: its events are held by somebody', tg_op;
        return null;
    when others then
        raise warning 'memberflow was not told of % on {relation}: %', tg_op, sqlerrm;
        return null;
end",
        relation = watched.relation,
    )
}

/// The copy of a row.
fn row(row: &str, columns: &[&Column]) -> String {
    let copies = columns.iter().map(|column| {
        let whole = || format!("{row}.{}", name(&column.name));
        let value = column.expression.map_or_else(whole, |expression| expression.replace("$row", row));
        format!("{}, {value}", literal(&column.name))
    });
    format!("jsonb_build_object({})", copies.collect::<Vec<_>>().join(", "))
}

/// The name of the function for a table; long ones end with a hash.
pub(super) fn function_name(relation: &str) -> String {
    let name = format!("{FUNCTION}{relation}");
    if name.len() <= NAME_MAX_BYTES {
        return name;
    }
    let hash = hex::encode(Sha256::digest(relation));
    format!("{}_{}", &name[..NAME_MAX_BYTES - 9], &hash[..8])
}

fn function(relation: &str) -> String {
    format!("ingest.{}", name(&function_name(relation)))
}
