#!/bin/sh
# The namespace with its retention, and the search attributes that operations filter by (docs/operations.md).
set -eu
until temporal operator cluster health >/dev/null 2>&1; do sleep 1; done
temporal operator namespace describe -n domovoy >/dev/null 2>&1 ||
  temporal operator namespace create -n domovoy --retention "$RETENTION"
# Servers look for new namespaces every few seconds: until then the one that was made is not found.
until known="$(temporal operator search-attribute list -n domovoy 2>/dev/null)"; do sleep 1; done
for attribute in DomovoyIntegration=Keyword DomovoyProcess=Keyword DomovoyState=Keyword DomovoyDueAt=Datetime; do
  case $known in
  *"${attribute%=*} "*) ;;
  *) temporal operator search-attribute create -n domovoy --name "${attribute%=*}" --type "${attribute#*=}" ;;
  esac
done
# What starts after this may use them.
until temporal workflow count -n domovoy --query "DomovoyIntegration = '-' AND DomovoyProcess = '-' AND \
DomovoyState = '-' AND DomovoyDueAt IS NULL" >/dev/null 2>&1; do sleep 1; done
