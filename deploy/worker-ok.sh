#!/bin/bash
# Health check of a worker: exits 0 if its record in Redis (common/presence.py) says that it consumes. The
# worker's loop renews the record every few seconds and it expires, so that it is there proves a live loop and
# a reachable broker; what it says is what the worker's own canaries proved (worker/canary.py).
#   deploy/worker-ok.sh KIND
set -eu
exec 3<>/dev/tcp/redis/6379
printf 'GET ultra:worker:%s.1@%s\r\n' "$1" "$HOSTNAME" >&3
IFS= read -r -t 5 length <&3
[ "$length" != $'$-1\r' ]
IFS= read -r -t 5 record <&3
[[ "$record" == *'"consumes":true'* ]]
