#!/bin/sh
# First start of an empty data folder of the key store: its database and login roles, as logins.sh does for the other.
set -eu
secret() { cat "/run/secrets/$1"; }
sql() { psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" "$@"; }

create() { # create LOGIN SECRET OPTIONS
  sql -v name="$1" -v password="$(secret "$2")" <<SQL
CREATE ROLE :"name" LOGIN $3 PASSWORD :'password';
SQL
}
create domovoy_keys_owner keys_owner_password CREATEROLE
sql -c 'CREATE DATABASE domovoy_keys OWNER domovoy_keys_owner'

for part in api smart_home communal core; do
  sql -c "CREATE ROLE domovoy_keys_$part NOLOGIN" -c "GRANT domovoy_keys_$part TO domovoy_keys_owner WITH ADMIN OPTION"
  create "domovoy_keys_${part}_login" "keys_${part}_password" ''
  sql -c "GRANT domovoy_keys_$part TO domovoy_keys_${part}_login"
done
