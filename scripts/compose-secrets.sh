#!/usr/bin/env bash
# Prints random secrets for docker-compose.yml: scripts/compose-secrets.sh > .env
set -euo pipefail

hex() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
base64_key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

echo "STRIPE_WEBHOOK_SECRETS=whsec_$(hex)"
echo "SUPABASE_WEBHOOK_SECRETS=v1,whsec_$(base64_key)"
echo "SUPABASE_HOOK_SECRETS=v1,whsec_$(base64_key)"
echo "MEMBERFLOW_ADMIN_TOKEN=$(hex)"
