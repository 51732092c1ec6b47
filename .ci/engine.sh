#!/usr/bin/env bash
# A Docker engine with Compose, and the public images that the tests start from: succeeds if there is one.
# A machine without brings its own where the stand-ins are at hand, and stand-ins for the images with it.
set -euo pipefail
cd "$(dirname "$0")/.."
standins=../shared/standins/build

answers() { docker compose version && docker info; }
has_images() { docker image inspect python:3.11-slim postgres:18 valkey/valkey:8-alpine; }

if { answers && has_images; } >/dev/null 2>&1; then
  exit 0
fi
[ ! -x "$standins" ] || "$standins" python postgres redis
answers >/dev/null 2>&1 || { echo 'there is no Docker engine with Compose here' >&2; exit 1; }
