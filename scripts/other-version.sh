#!/bin/sh
# Builds the program of the revision $1 into the folder $2, and leaves nothing else behind.
set -eu

revision=$(git rev-parse --verify "$1^{commit}")
mkdir -p "$2"
folder=$(cd "$2" && pwd)

clean() { git worktree remove --force "$folder/source" 2>/dev/null || true; rm -rf "$folder/build"; }
trap clean EXIT
trap 'exit 130' INT TERM

clean
git worktree add --quiet --force --detach "$folder/source" "$revision"
cd "$folder/source"
CARGO_TARGET_DIR="$folder/build" cargo build --locked --profile soak --bin memberflow
mv "$folder/build/soak/memberflow" "$folder/memberflow"
