#!/bin/sh
# First start of an empty data folder: databases and login roles. Group roles and grants come with the migrations.
set -eu
secret() { cat "/run/secrets/$1"; }
sql() { psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" "$@"; }

create() { # create LOGIN SECRET OPTIONS
  sql -v name="$1" -v password="$(secret "$2")" <<SQL
CREATE ROLE :"name" LOGIN $3 PASSWORD :'password';
SQL
}
create domovoy_owner database_owner_password CREATEROLE
create temporal temporal_database_password ''
create keycloak keycloak_database_password ''
sql -c 'CREATE DATABASE domovoy OWNER domovoy_owner' -c 'CREATE DATABASE keycloak OWNER keycloak' \
  -c 'CREATE DATABASE temporal OWNER temporal' -c 'CREATE DATABASE temporal_visibility OWNER temporal'

for part in api smart_home communal core auditor; do
  sql -c "CREATE ROLE domovoy_$part NOLOGIN" -c "GRANT domovoy_$part TO domovoy_owner WITH ADMIN OPTION"
  create "domovoy_${part}_login" "${part}_database_password" ''
  sql -c "GRANT domovoy_$part TO domovoy_${part}_login"
done
