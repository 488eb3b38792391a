#!/bin/sh
# The namespace with its retention, and the search attributes that operations filter by (docs/operations.md).
set -eu
until temporal operator cluster health >/dev/null 2>&1; do sleep 1; done
temporal operator namespace describe -n domovoy >/dev/null 2>&1 ||
  temporal operator namespace create -n domovoy --retention "$RETENTION"
for attribute in DomovoyIntegration=Keyword DomovoyProcess=Keyword DomovoyState=Keyword DomovoyDueAt=Datetime; do
  temporal operator search-attribute create -n domovoy --name "${attribute%=*}" --type "${attribute#*=}" || true
done
