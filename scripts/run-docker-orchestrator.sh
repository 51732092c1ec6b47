#!/usr/bin/env bash
# Runs one analysis inside the backend container; its exit code is that of `ultra analyze`.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: scripts/run-docker-orchestrator.sh TYPE PROMPT MODELS [FORMAT]

  TYPE     comparative, factual or one of your own analysis types
  PROMPT   the question
  MODELS   model ids or aliases, separated by commas
  FORMAT   text (default), json or markdown

  scripts/run-docker-orchestrator.sh comparative "Compare Python and JavaScript" openai-gpt4o,anthropic-claude
  scripts/run-docker-orchestrator.sh factual "Who was Albert Einstein?" anthropic-claude json

The system must be running: scripts/start-docker.sh -d --service backend
Exit codes are those of `ultra analyze`: 0 completed, 1 failed, 2 usage, 3 partial, 4 not reachable.
TEXT
}

die() { echo "run-docker-orchestrator: $1" >&2; exit "$2"; }

case ${1:-} in -h | --help) usage; exit 0 ;; esac
if [ $# -lt 3 ] || [ $# -gt 4 ]; then usage >&2; exit 2; fi
type=$1 prompt=$2 models=$3 format=${4:-text}

command -v docker >/dev/null || die 'docker is not installed' 4
[ -n "$(docker compose ps --quiet --status running backend)" ] ||
  die 'the backend is not running: scripts/start-docker.sh -d --service backend' 4

# A terminal gets the live view, a pipe plain output. ULTRA_API_KEY is handed on by name, so that no
# key shows in the list of processes.
options=(--env ULTRA_API_KEY)
[ -t 0 ] && [ -t 1 ] || options+=(--no-TTY)
exec docker compose exec "${options[@]}" backend \
  ultra analyze --models "$models" --type "$type" --format "$format" -- "$prompt"
