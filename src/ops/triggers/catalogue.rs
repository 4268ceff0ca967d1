//! The state of the triggers in a database.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use super::sql::{self, FUNCTION, NAME, Script};
use super::watched::{self, Watched};
use crate::project::supabase::ActivityTables;

/// The state of the trigger of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As this version creates it.
    Present,
    /// Missing.
    Absent,
    /// Created by another version, or for other columns than the table has or the settings name now.
    Outdated,
    /// Disabled by hand.
    Disabled,
    /// There is no such table.
    NoTable,
    /// The table lacks a required column.
    NoColumn(String),
    /// On a table that the settings no longer name.
    Unwanted,
}

/// The trigger of one table.
#[derive(Clone, Debug)]
pub struct TriggerStatus {
    /// `schema.table`
    pub relation: String,
    /// Whether the triggers are there.
    pub state: State,
    /// The SQL that creates it; `None` if it cannot or need not be created.
    pub script: Option<Script>,
    /// Its function in `ingest`.
    pub function: String,
    /// Whether the function exists, even without trigger or table.
    pub has_function: bool,
}

/// A function of memberflow's, and the trigger that calls it.
#[derive(FromRow)]
struct Installed {
    name: String,
    /// The version of its SQL.
    mark: Option<String>,
    /// `None` if the trigger was dropped.
    is_enabled: Option<bool>,
}

/// The state of each table: those that need a trigger, then those with an unwanted one.
pub async fn inspect(
    connection: &mut PgConnection,
    tables: &ActivityTables,
) -> Result<Vec<TriggerStatus>, sqlx::Error> {
    let watched = watched::all(tables);
    let columns = columns(connection, &watched).await?;
    let mut installed = installed(connection).await?;
    let mut statuses: Vec<TriggerStatus> = watched
        .iter()
        .map(|watched| {
            let function = sql::function_name(&watched.relation);
            status(watched, columns.get(&watched.relation), installed.remove(&function), function)
        })
        .collect();
    statuses.extend(installed.into_keys().map(|function| TriggerStatus {
        relation: function.strip_prefix(FUNCTION).unwrap_or(&function).to_owned(),
        state: State::Unwanted,
        script: None,
        function,
        has_function: true,
    }));
    Ok(statuses)
}

fn status(
    watched: &Watched,
    there: Option<&Vec<String>>,
    installed: Option<Installed>,
    function: String,
) -> TriggerStatus {
    let has_function = installed.is_some();
    let relation = watched.relation.clone();
    let of = |state, script| TriggerStatus { relation, state, script, function, has_function };
    let Some(there) = there else { return of(State::NoTable, None) };
    let lacks = watched.columns.iter().find(|column| column.is_needed && !there.contains(&column.name));
    if let Some(column) = lacks {
        return of(State::NoColumn(column.name.clone()), None);
    }
    let columns: Vec<_> = watched.columns.iter().filter(|column| there.contains(&column.name)).collect();
    let script = sql::install(watched, &columns);
    let state = match installed {
        Some(Installed { is_enabled: Some(false), .. }) => State::Disabled,
        Some(Installed { mark, is_enabled: Some(true), .. }) if mark.as_ref() == Some(&script.mark) => {
            State::Present
        }
        Some(Installed { is_enabled: Some(true), .. }) => State::Outdated,
        Some(Installed { is_enabled: None, .. }) | None => State::Absent,
    };
    of(state, Some(script))
}

/// The columns of the tables that are there.
async fn columns(
    connection: &mut PgConnection,
    watched: &[Watched],
) -> Result<HashMap<String, Vec<String>>, sqlx::Error> {
    let names: Vec<&str> = watched.iter().map(|watched| watched.relation.as_str()).collect();
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select w.name, array_agg(a.attname::text)
         from unnest($1::text[]) as w (name)
         join pg_catalog.pg_namespace n on n.nspname = split_part(w.name, '.', 1)
         join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = split_part(w.name, '.', 2)
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relkind in ('r', 'p')
         group by w.name",
    )
    .bind(names)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The functions that are installed, by name.
async fn installed(connection: &mut PgConnection) -> Result<BTreeMap<String, Installed>, sqlx::Error> {
    let functions: Vec<Installed> = sqlx::query_as(
        "select p.proname::text as name, obj_description(p.oid, 'pg_proc') as mark,
                bool_and(t.tgenabled in ('O', 'A')) as is_enabled
         from pg_catalog.pg_proc p
         left join pg_catalog.pg_trigger t on t.tgfoid = p.oid and t.tgname = $2
         where p.pronamespace = to_regnamespace('ingest') and p.prorettype = 'trigger'::regtype
           and starts_with(p.proname, $1)
         group by p.oid, p.proname",
    )
    .bind(FUNCTION)
    .bind(NAME)
    .fetch_all(connection)
    .await?;
    Ok(functions.into_iter().map(|function| (function.name.clone(), function)).collect())
}
