#!/usr/bin/env bash
# Starts the system with Docker Compose; see usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: scripts/start-docker.sh [-d] [--service NAME]... [--profile NAME]... [--build]

  -d, --detach     start in the background, wait until everything is healthy, print where it is
  --service NAME   only this service and what it needs (default: all); may be given again
  --profile NAME   with-model-runner, with-frontend, with-worker, with-lifecycle or with-gpu; may be
                   given again
  --build          build the image again first, after a change of the code
  -h, --help       this text

The first start writes .env (from config/env.example) with passwords of its own. Try it without any
API key: USE_MOCK=true scripts/start-docker.sh -d --service backend
TEXT
}

WAIT_SECONDS=180  # from the images being there; a new database takes a few seconds

# Compose's own variable for another file than .env; what we write is what Compose reads.
env_file=${COMPOSE_ENV_FILES:-.env}

die() { echo "start-docker: $1" >&2; exit "${2:-1}"; }

require_docker() {
  command -v docker >/dev/null || die 'docker is not installed: see https://docs.docker.com/engine/install/'
  docker compose version >/dev/null 2>&1 ||
    die 'docker has no compose plugin: see https://docs.docker.com/compose/install/'
  docker info >/dev/null 2>&1 || die 'the Docker engine does not answer: is it running, and may you use it?'
}

random_password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# A database keeps the password it was made with: one made before there was an .env has the default.
database_exists() {
  [ -n "$(docker volume ls --quiet \
    --filter "label=com.docker.compose.project=${COMPOSE_PROJECT_NAME:-ultrallm}" \
    --filter label=com.docker.compose.volume=postgres-data)" ]
}

# Of Docker's socket, for the one container that is given it. Docker Desktop's is root's, in a machine of its own.
socket_group() { stat -Lc %g "${DOCKER_SOCKET:-/var/run/docker.sock}" 2>/dev/null || echo 0; }

write_env_file() {
  local edits=(-e "s/^#FLOWER_BASIC_AUTH=.*/FLOWER_BASIC_AUTH=ultra:$(random_password)/"
               -e "s/^#DOCKER_GID=.*/DOCKER_GID=$(socket_group)/")
  database_exists || edits+=(-e "s/^#POSTGRES_PASSWORD=.*/POSTGRES_PASSWORD=$(random_password)/")
  (umask 077 && sed "${edits[@]}" config/env.example >"$env_file")
  echo "start-docker: wrote $env_file with passwords of its own"
}

detach=false
compose=(docker compose)
up=(up)
while [ $# -gt 0 ]; do
  case $1 in
    -d | --detach) detach=true ;;
    --build) up+=(--build) ;;
    --service | --profile)
      [ $# -ge 2 ] || { usage >&2; die "$1 needs a name" 2; }
      if [ "$1" = --service ]; then up+=("$2"); else compose+=(--profile "$2"); fi
      # A backend alone would accept jobs and never do them.
      [ "$1 $2" != "--service backend" ] || up+=(worker)
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument $1" 2 ;;
  esac
  shift
done

require_docker
[ -e "$env_file" ] || write_env_file
$detach || exec "${compose[@]}" "${up[@]}"

"${compose[@]}" "${up[@]}" --detach --wait --wait-timeout "$WAIT_SECONDS" || {
  code=$?
  "${compose[@]}" ps --all >&2
  die 'not everything came up: see docker compose logs' "$code"
}
address=$("${compose[@]}" port backend 8000 2>/dev/null || true)
echo "ready${address:+ http://$address}"
