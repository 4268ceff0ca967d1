//! Supabase's linter has nothing to say about the schema.

use super::{execute, texts};
use crate::support::database::TestDatabase;

/// The linter's findings, read as it reads: with nothing in the search path.
async fn findings(database: &TestDatabase) -> Vec<String> {
    let mut connection = database.pool.acquire().await.unwrap();
    sqlx::query("set search_path = ''").execute(&mut *connection).await.unwrap();
    sqlx::query_scalar(include_str!("lint.sql")).fetch_all(&mut *connection).await.unwrap()
}

#[tokio::test]
async fn the_linter_finds_nothing() {
    let database = TestDatabase::migrated().await;
    assert_eq!(findings(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_linter_finds_what_is_wrong() {
    let database = TestDatabase::migrated().await;
    execute(
        &database.pool,
        "create table public.bad (a uuid references auth.users (id));
         create index bad_one on public.leads (phone);
         create index bad_two on public.leads (phone);
         create policy bad on public.leads for all using (auth.jwt() -> 'user_metadata' ->> 'role' = 'admin');
         create function public.bad() returns int language sql security definer as 'select 1';
         create view public.bad_view as select 1 as one;
         create policy worse on public.user_profiles for insert to authenticated with check (true)",
    )
    .await;
    let mut kinds: Vec<String> = findings(&database)
        .await
        .into_iter()
        .map(|finding| finding.split(':').next().unwrap_or_default().to_owned())
        .collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "auth_rls_initplan",
            "duplicate_index",
            "function_search_path_mutable",
            "no_policy",
            "no_primary_key",
            "policy_for_anybody",
            "rls_disabled",
            "rls_policy_always_true",
            "rls_references_user_metadata",
            "security_definer_function_executable",
            "unindexed_foreign_key",
            "view_not_security_invoker",
        ]
    );
}

#[tokio::test]
async fn every_grant_is_ours_even_where_new_tables_are_granted_to_everybody() {
    let fresh = TestDatabase::migrated().await;
    let generous = TestDatabase::stubbed().await;
    execute(
        &generous.pool,
        "alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
         alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
         alter default privileges in schema public grant all on functions to anon, authenticated, service_role",
    )
    .await;
    super::apply(&generous).await;
    let grants = "select format('%s %s %s', c.relname, g.privilege_type, g.grantee::regrole)
        from pg_class c cross join aclexplode(c.relacl) as g
        where c.relnamespace in ('public'::regnamespace, 'ingest'::regnamespace)
            and g.grantee in ('anon'::regrole, 'authenticated'::regrole) order by 1";
    let made = texts(&generous.pool, grants).await;
    assert_eq!(made, texts(&fresh.pool, grants).await);
    assert!(!made.is_empty() && made.iter().all(|grant| !grant.ends_with(" anon")), "{made:?}");
}
