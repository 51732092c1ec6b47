#!/bin/bash
# Health check of the lifecycle worker: exits 0 if it consumes (deploy/worker-ok.sh) and may use the Docker engine.
# What it writes is in `docker inspect`.
set -eu
socket=/var/run/docker.sock
[ -w "$socket" ] || {
  echo "may not use the Docker engine: DOCKER_GID has to be $(stat -c %g "$socket"), the group of its socket" >&2
  exit 1
}
exec deploy/worker-ok.sh lifecycle
