#!/bin/sh
# Flower, read-only, behind a password: FLOWER_BASIC_AUTH=user:password, or one drawn at this start
# and shown in the log. It needs the broker alone: task names come with the workers' events.
set -eu
case "${FLOWER_BASIC_AUTH:-}" in
  '')
    FLOWER_BASIC_AUTH="ultra:$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    echo "flower: FLOWER_BASIC_AUTH is not set, log in as $FLOWER_BASIC_AUTH"
    ;;
  *,*) echo 'flower: FLOWER_BASIC_AUTH must not hold a comma' >&2; exit 2 ;;
  ?*:?*) ;;
  *) echo 'flower: FLOWER_BASIC_AUTH must be user:password' >&2; exit 2 ;;
esac
export FLOWER_BASIC_AUTH
# max_tasks: what it keeps in memory, about 2 kB each.
exec celery --broker "$REDIS_URL" --quiet flower --address=0.0.0.0 --port=5555 --read_only --max_tasks=10000
