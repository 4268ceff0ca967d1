-- Database Webhooks that memberflow accepts: pg_net posts each change, signed as Standard Webhooks signs.
--
-- `memberflow supabase install` loses nothing and is the better way (supabase-triggers.md). What both tell counts
-- once.
--
-- Supabase's own Database Webhooks carry no signature, and on auth tables they would send password hashes and
-- tokens along. These triggers sign, and send only the columns named in their arguments.
--
-- Before: enable the extensions pg_net and pgcrypto (Supabase keeps pgcrypto in the schema `extensions`), and
-- store two secrets in the vault: `memberflow_url` (https://…/webhooks/supabase/database) and `memberflow_secret`
-- (one of SUPABASE_WEBHOOK_SECRETS, as it stands there: v1,whsec_…).

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
    -- pg_net sends exactly body::text in UTF-8, so that is what is signed.
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
    -- A fault of ours must never undo what the user did.
    raise warning 'memberflow was not told: %', sqlerrm;
    return null;
end
$$;

-- The named columns of a row; all of them where none is named.
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
-- Of a profile what completion is counted from. Columns that the table lacks are left out.
create or replace trigger tell_memberflow after insert or update or delete on public.user_profiles for each row
    execute function ingest.tell_memberflow('id', 'user_id', 'is_active', 'is_draft', 'updated_at', 'first_name', 'last_name',
        'email', 'phone', 'date_of_birth', 'gender', 'profile_picture_url', 'city', 'country', 'timezone');
