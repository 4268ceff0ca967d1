-- Signed Database Webhooks for memberflow: pg_net posts each change, signed according to Standard Webhooks.
--
-- Prefer `memberflow supabase install` (supabase-triggers.md): its triggers lose no change. Both can be used together; a change that
-- both report counts once.
--
-- Supabase's own Database Webhooks are not signed, and on auth tables they would send password hashes and tokens. These triggers sign
-- their requests and send only the columns named in their arguments.
--
-- Requirements: the extensions pg_net and pgcrypto (Supabase installs pgcrypto in the schema `extensions`), and two secrets in the
-- vault: `memberflow_url` (https://…/webhooks/supabase/database) and `memberflow_secret` (one of SUPABASE_WEBHOOK_SECRETS, in the same
-- form: v1,whsec_…).

create or replace function ingest.tell_memberflow() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    url text := (select decrypted_secret from vault.decrypted_secrets where name = 'memberflow_url');
    secret text := (select decrypted_secret from vault.decrypted_secrets where name = 'memberflow_secret');
    id text := 'msg_' || gen_random_uuid();
    stamp text := extract(epoch from clock_timestamp())::bigint::text;
    body jsonb;
    mac bytea;
begin
    body := jsonb_build_object(
        'type', tg_op, 'schema', tg_table_schema, 'table', tg_table_name,
        'record', case when tg_op <> 'DELETE' then ingest.only(to_jsonb(new), tg_argv) end,
        'old_record', case when tg_op <> 'INSERT' then ingest.only(to_jsonb(old), tg_argv) end);
    -- pg_net sends body::text in UTF-8. Sign exactly these bytes.
    mac := extensions.hmac(
        convert_to(id || '.' || stamp || '.' || body::text, 'UTF8'),
        decode(regexp_replace(secret, '^v1,whsec_', ''), 'base64'),
        'sha256');
    perform net.http_post(
        url := url,
        body := body,
        headers := jsonb_build_object(
            'Content-Type', 'application/json', 'webhook-id', id, 'webhook-timestamp', stamp,
            'webhook-signature', 'v1,' || encode(mac, 'base64')));
    return null;
exception when others then
    -- An error here must never abort the user's statement.
    raise warning 'memberflow was not told: %', sqlerrm;
    return null;
end
$$;

-- The named columns of a row, or all columns if none is named.
create or replace function ingest.only(whole jsonb, columns text[]) returns jsonb
language sql immutable set search_path = '' as $$
    select case when cardinality(columns) is null or cardinality(columns) = 0 then whole
                else (select jsonb_object_agg(key, value) from jsonb_each(whole) where key = any (columns)) end
$$;

revoke all on function ingest.tell_memberflow() from public;
revoke all on function ingest.only(jsonb, text[]) from public;

create or replace trigger tell_memberflow after insert or update of email, email_confirmed_at, deleted_at or delete
    on auth.users for each row
    execute function ingest.tell_memberflow('id', 'email', 'email_confirmed_at', 'created_at', 'updated_at', 'deleted_at');
create or replace trigger tell_memberflow after insert on auth.sessions for each row
    execute function ingest.tell_memberflow('id', 'user_id', 'created_at', 'updated_at', 'oauth_client_id');
create or replace trigger tell_memberflow after insert or update or delete on storage.objects for each row
    execute function ingest.tell_memberflow('id', 'bucket_id', 'name', 'owner', 'owner_id', 'metadata', 'created_at', 'updated_at');
create or replace trigger tell_memberflow after insert or update or delete on public.vision_versions for each row
    execute function ingest.tell_memberflow('id', 'user_id', 'is_draft', 'created_at', 'updated_at');
create or replace trigger tell_memberflow after insert or update or delete on public.journal_entries for each row
    execute function ingest.tell_memberflow('id', 'user_id', 'created_at', 'updated_at');
-- The columns that profile completion is computed from. Columns that do not exist are left out.
create or replace trigger tell_memberflow after insert or update or delete on public.user_profiles for each row
    execute function ingest.tell_memberflow('id', 'user_id', 'is_active', 'is_draft', 'updated_at', 'first_name', 'last_name',
        'email', 'phone', 'date_of_birth', 'gender', 'profile_picture_url', 'city', 'country', 'timezone');
