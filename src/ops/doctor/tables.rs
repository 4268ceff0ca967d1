//! Checks the CRM's tables: their columns, and who can read them.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use super::expected::{AMOUNTS, PUBLIC};
use super::{Finding, Level, readers};

const CHECK: &str = "tables";

pub(super) async fn examine(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let names: Vec<&str> = PUBLIC.iter().map(|expected| expected.table).collect();
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text, format_type(a.atttypid, null)
         from pg_catalog.pg_class c
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any($1)",
    )
    .bind(&names)
    .fetch_all(&mut *connection)
    .await?;
    let types: HashMap<(&str, &str), &str> = columns
        .iter()
        .map(|(table, column, kind)| ((table.as_str(), column.as_str()), kind.as_str()))
        .collect();
    let mut findings = missing(&types);
    findings.extend(narrow(&types));
    if findings.is_empty() {
        findings.push(Finding::fine(CHECK, format!("all {} are there, with every column", names.len())));
    }
    findings.extend(readers::examine(connection, &names).await?);
    Ok(findings)
}

fn missing(types: &HashMap<(&str, &str), &str>) -> Vec<Finding> {
    let there: HashSet<&str> = types.keys().map(|(table, _)| *table).collect();
    let mut lost: Vec<String> = Vec::new();
    for expected in PUBLIC {
        if !there.contains(expected.table) {
            lost.push(format!("public.{}", expected.table));
            continue;
        }
        let columns =
            expected.columns.iter().filter(|column| !types.contains_key(&(expected.table, **column)));
        lost.extend(columns.map(|column| format!("public.{}.{column}", expected.table)));
    }
    if lost.is_empty() {
        return Vec::new();
    }
    let message = format!("missing: {}", lost.join(", "));
    vec![Finding::wrong(CHECK, Level::Failed, message, "memberflow migrate")]
}

fn narrow(types: &HashMap<(&str, &str), &str>) -> Vec<Finding> {
    let narrow = AMOUNTS.iter().filter(|amount| types.get(*amount).is_some_and(|kind| *kind == "integer"));
    narrow
        .map(|(table, column)| {
            Finding::wrong(
                CHECK,
                Level::Warning,
                format!("public.{table}.{column} holds 32 bits: amounts from 2,147,483,648 minor units are parked"),
                format!("alter table public.{table} alter column {column} type bigint; -- rewrites and locks the table"),
            )
        })
        .collect()
}
