#!/bin/bash
# Health check of a worker: exits 0 if its record of presence is in Redis (common/presence.py). The
# worker's loop renews it every few seconds and it expires, so it proves a live loop and a reachable broker.
#   deploy/worker-ok.sh KIND
set -eu
exec 3<>/dev/tcp/redis/6379
printf 'EXISTS ultra:worker:%s.1@%s\r\n' "$1" "$HOSTNAME" >&3
IFS= read -r -t 5 answer <&3
[ "$answer" = $':1\r' ]
