#!/usr/bin/env bash
# Times `memberflow replay --from-inbox` of one member's events, of a hundred members' and of all, dry and with nothing to fix,
# next to `memberflow rebuild --check`: benches/replay/run.sh [MEMBERS], 40 events each.
# Makes a database of its own on the server that PGHOST and PGUSER name, and takes it away in the end (BENCH_NAME sets it
# apart from another that runs; PROGRAM is another build than the one made here).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
members=${1:-2500}
database=memberflow_bench_replay${BENCH_NAME:+_$BENCH_NAME}
export PGHOST=${PGHOST:-127.0.0.1} PGUSER=${PGUSER:-postgres}
export DATABASE_URL="postgres://$PGUSER@$PGHOST/$database" MEMBERFLOW_STRIPE_MODE=live
unset AMQP_URL

[[ -n ${PROGRAM:-} ]] || cargo build --profile soak --locked --bin memberflow
program=${PROGRAM:-target/soak/memberflow}
serve=
dropdb --if-exists --force "$database"
createdb "$database"
trap '[[ -z $serve ]] || kill "$serve" || true; dropdb --if-exists --force "$database"' EXIT
"$program" migrate --supabase-stub >/dev/null 2>&1
"$program" backfill all >/dev/null 2>&1
psql -X -q -v members="$members" -f benches/replay/events.sql "$database"
"$program" serve --roles consume --bind 127.0.0.1:0 >/dev/null 2>&1 &
serve=$!
left() { psql -X -At -c "select count(*) from ingest.events where state = 'pending'" "$database"; }
while (($(left) > 0)); do
    kill -0 "$serve"
    sleep 1
done
kill "$serve"
wait "$serve"
serve=
psql -X -q -c 'vacuum analyze' -c checkpoint "$database"
psql -X -At -c "select state, count(*) from ingest.events group by 1" "$database"
uptime
member=$(psql -X -At -c "select md5('user' || 7)::uuid" "$database")
a_hundred=$(psql -X -At -c "select string_agg('--id evt_' || n || '_20', ' ') from generate_series(1, least(100, $members)) n" "$database")
for what in "replay --from-inbox --member $member" "replay --from-inbox $a_hundred" \
    "replay --from-inbox --since 2000-01-01 --force" "rebuild --check"; do
    for dry in "" --dry-run; do
        [[ $what == replay* || -z $dry ]] || continue
        echo "${what:0:60} $dry"
        # shellcheck disable=SC2086
        "$program" $what $dry 2>/dev/null | tail -1
    done
done
