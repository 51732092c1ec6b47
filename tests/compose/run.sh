#!/usr/bin/env bash
# The system in Docker, for real: built, started by our scripts and by plain Compose, asked the
# specification's own example, scaled, stopped without leftovers; then with a model in a container. Under six
# minutes, most of it the build.
# A machine without an engine skips with the reason; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A project, an image and settings of its own: nothing of a running system or of your .env is touched.
unset COMPOSE_FILE COMPOSE_PROFILES POSTGRES_PASSWORD FLOWER_BASIC_AUTH ULTRA_HOST ULTRA_AUTH ULTRA_API_KEY
unset DOCKER_GID ULTRA_WEIGHTS_VOLUME
export COMPOSE_PROJECT_NAME=ultra-test-$$ ULTRA_IMAGE=ultrallm:test-$$
export COMPOSE_PROGRESS=quiet COMPOSE_ENV_FILES=/dev/null
export ULTRA_NODE=$COMPOSE_PROJECT_NAME  # by which containers of models are known to be this test's
export USE_MOCK=true ULTRA_PORT=0 FLOWER_PORT=0  # port 0: the engine picks a free one
scratch=$(mktemp -d)

fail() { echo "compose: $1" >&2; exit 1; }

step() { # step SECONDS TITLE COMMAND...: prints, bounds and times one step
  local limit=$1 title=$2 began=$SECONDS
  shift 2
  echo "== $title"
  timeout --foreground --kill-after 10 "$limit" "$@" </dev/null || fail "'$title' failed or took more than $limit s (exit $?)"
  echo "   $((SECONDS - began)) s"
}

engine() {
  timeout --foreground --kill-after 10 900 .ci/engine.sh </dev/null && return
  [ "${CI:-}" != true ] || fail 'CI must have a Docker engine with Compose'
  echo 'compose: skipped'
  exit 0
}

at_exit() {
  local code=$?
  trap - EXIT
  export COMPOSE_PROFILES=with-lifecycle
  if [ "$code" != 0 ]; then
    docker compose ps --all || true
    docker compose logs --no-color --tail 60 || true
  fi >&2
  timeout 60 docker compose stop --timeout 5 lifecycle >/dev/null 2>&1 || true
  model_containers | xargs --no-run-if-empty docker rm --force >/dev/null 2>&1 || true
  timeout 120 docker compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  docker image rm --force "$ULTRA_IMAGE" "$ULTRA_IMAGE-weights" >/dev/null 2>&1 || true
  rm -rf "$scratch"
  exit "$code"
}

address() { echo "http://$(docker compose port "$1" "$2")"; }

model_containers() { docker ps --all --quiet --filter "label=ultra.node=$ULTRA_NODE"; }

ask() { python3 tests/compose/checks.py "$@"; }

check_build() {
  docker compose build "$@" >"$scratch/build.log" 2>&1 || { tail -n 60 "$scratch/build.log" >&2; return 1; }
}

check_analyses() { ask analyses "$(address backend 8000)" "$1"; }

check_flower() { # the password is the one that Flower drew and logged
  ask flower "$(address flower 5555)" "$(docker compose logs flower | sed -n 's/.*log in as //p')" "$1"
}

check_door() { # the networks of models are the worker's too; from none of them the API can be reached
  docker compose exec -T worker python - <<'PROBE' || fail 'the API is reached from a network of models'
import socket, sys
try:
    socket.create_connection(("backend", 8000), 5).close()
except ConnectionRefusedError:
    sys.exit(0)
sys.exit("connected")
PROBE
}

check_clean_stop() {
  docker compose stop
  local killed
  killed=$(docker compose ps --all --format '{{.Name}} {{.ExitCode}}' | awk '$2 == 137')
  [ -z "$killed" ] || fail "killed instead of stopped: $killed"
}

check_down() {
  docker compose down --volumes
  local label=label=com.docker.compose.project=$COMPOSE_PROJECT_NAME left
  left=$(docker ps --all --quiet --filter "$label"; docker network ls --quiet --filter "$label"
         docker volume ls --quiet --filter "$label")
  [ -z "$left" ] || fail "left behind: $left"
}

check_first_start() {
  export COMPOSE_ENV_FILES=$scratch/.env
  scripts/start-docker.sh -d --service backend
  [ "$(stat -c %a "$COMPOSE_ENV_FILES")" = 600 ] || fail '.env may be read by others'
  [ "$(grep -cE '^(POSTGRES_PASSWORD|FLOWER_BASIC_AUTH)=.{32,}' "$COMPOSE_ENV_FILES")" = 2 ] ||
    fail '.env has no passwords of its own'
  scripts/run-docker-orchestrator.sh comparative 'Explain quantum computing to a software developer' \
    openai-gpt4o,anthropic-claude
  scripts/run-docker-orchestrator.sh factual 'Who was Albert Einstein?' anthropic-claude json | python3 -m json.tool
  ! scripts/run-docker-orchestrator.sh comparative 'Who?' no-such-model 2>"$scratch/refusal" ||
    fail 'an unknown model was no error'
  cat "$scratch/refusal"
  check_down
}

check_models_in_containers() {
  export COMPOSE_ENV_FILES=$scratch/.env COMPOSE_PROFILES=with-lifecycle
  export USE_MOCK=false  # it would answer in the model's place
  check_build weights
  scripts/start-docker.sh -d --profile with-lifecycle
  check_door
  ask model "$(address backend 8000)" local-smollm2
  [ -z "$(model_containers)" ] || fail "containers of models left behind: $(model_containers)"
  check_clean_stop
  check_down
}

trap at_exit EXIT
export -f fail address model_containers ask check_build check_analyses check_flower check_door check_clean_stop
export -f check_down check_first_start check_models_in_containers
export scratch
bash_step() { step "$1" "$2" bash -euo pipefail -c "$3"; }

engine
bash_step 900 'build the image' check_build
bash_step 240 'scripts/start-docker.sh for the first time, scripts/run-docker-orchestrator.sh' check_first_start
step 180 'docker compose up --wait, nothing configured' docker compose up --detach --wait
bash_step 90 "the specification's example" 'check_analyses 1'
bash_step 120 'Flower names the tasks, behind a password, read-only' 'check_flower 1'
step 120 'three workers' docker compose up --detach --wait --scale worker=3
bash_step 120 'twenty analyses' 'check_analyses 20'
bash_step 120 'Flower sees all three' 'check_flower 3'
bash_step 120 'everything stops by itself, nothing is killed' check_clean_stop
bash_step 120 'down without leftovers' check_down
if docker image inspect orchestrar-runner:llamacpp >/dev/null 2>&1 || [ "${CI:-}" = true ]; then
  bash_step 600 'a model in a container: run, asked, stopped, started by a call, stopped' check_models_in_containers
else
  echo '== models in containers: skipped, there is no image orchestrar-runner:llamacpp (make runner-image)'
fi
echo "compose: all of it works, $SECONDS s"
