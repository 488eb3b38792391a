#!/bin/sh
# Keycloak takes its secrets, and what the realm's file leaves open, from its environment.
set -eu
KC_DB_PASSWORD="$(cat /run/secrets/keycloak_database_password)"
KC_BOOTSTRAP_ADMIN_PASSWORD="$(cat /run/secrets/keycloak_admin_password)"
STAFF_CLIENT_SECRET="$(cat /run/secrets/staff_client_secret)"
export KC_DB_PASSWORD KC_BOOTSTRAP_ADMIN_PASSWORD STAFF_CLIENT_SECRET
exec /opt/keycloak/bin/kc.sh start --import-realm
