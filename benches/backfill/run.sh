#!/usr/bin/env bash
# Times `memberflow backfill activity` on a project with years of data: benches/backfill/run.sh [USERS]
# Makes a database of its own on the server that PGHOST and PGUSER name, and takes it away in the end (BENCH_NAME
# sets it apart from another that runs). After the first reading, a second one that finds nothing new; after each, how
# many members' rows a direct count contradicts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
users=${1:-1000000}
database=memberflow_bench_backfill${BENCH_NAME:+_$BENCH_NAME}
export PGHOST=${PGHOST:-127.0.0.1} PGUSER=${PGUSER:-postgres}
export DATABASE_URL="postgres://$PGUSER@$PGHOST/$database"

cargo build --profile soak --locked --bin memberflow
dropdb --if-exists --force "$database"
createdb "$database"
trap 'dropdb --if-exists --force "$database"' EXIT
target/soak/memberflow migrate --supabase-stub >/dev/null 2>&1
psql -X -q -v users="$users" -f benches/backfill/years_of_data.sql "$database"
psql -X -q -c checkpoint "$database"
uptime
for reading in first second; do
    target/soak/memberflow backfill activity 2>/dev/null &
    backfill=$!
    memory=0
    while kill -0 "$backfill" 2>/dev/null; do
        memory=$(awk '/VmHWM/ { print $2 }' "/proc/$backfill/status" 2>/dev/null || echo "$memory")
        sleep 0.2
    done
    wait "$backfill"
    echo "$reading reading: ${memory:-?} kB at most; a direct count says:"
    psql -X -f benches/backfill/direct_count.sql "$database"
done
