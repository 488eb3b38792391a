#!/bin/sh
# Creates or updates Temporal's own tables; harmless to repeat.
set -eu
SQL_PASSWORD="$(cat /run/secrets/temporal_database_password)"
export SQL_PASSWORD
for name in temporal visibility; do
  case $name in temporal) database=temporal ;; *) database=temporal_visibility ;; esac
  schema="/etc/temporal/schema/postgresql/v12/$name/versioned"
  temporal-sql-tool --db "$database" setup-schema -v 0.0
  temporal-sql-tool --db "$database" update-schema -d "$schema"
done
