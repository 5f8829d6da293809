#!/bin/sh
# Does what docs/docker.md says, with the engine that is here, and looks whether it works: builds the image, starts
# compose.yaml under another name, asks for events, page and health, takes the broker away, kills the inspection, and
# removes all of it again. Needs curl, mosquitto_sub, and the ports 8080 and 8883 free.
#   BUNDLE=my-part.bundle PICTURES=pictures/my-part/test sh compose/check.sh
set -eu
cd "$(dirname "$0")/.."
failed=0

# COMPOSE=docker-compose, where it is a program of its own.
compose() { ${COMPOSE:-docker compose} --project-name p-wae-check "$@"; }

check() {
  what=$1
  shift
  if "$@" > /dev/null 2>&1; then echo "ok      $what"; else echo "FAILED  $what"; failed=1; fi
}

within() { # seconds command...
  tries=$1
  shift
  while ! "$@" > /dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 1
  done
}

status() { [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:8080$1")" = "$2" ]; }

told() { # a part of what the page is told
  curl -s -H "Authorization: Bearer $(cat compose/secrets/view.token)" http://127.0.0.1:8080/state.json | grep -q "$1"
}

mes() { # so many events reach the MES
  mosquitto_sub -h localhost -p 8883 --cafile compose/secrets/ca.crt -u mes -P "$(cat compose/secrets/mes.password)" \
    -q 1 -t 'pwae/+/+/+/+/camera/+/result' -C "$1" -W 30
}

inside() { compose exec -T inspection "$@"; }
fails() { ! "$@"; }

sh compose/secrets.sh
trap 'compose down --volumes' EXIT
compose up --build --detach --wait --wait-timeout 120
check "a camera is judged and the broker is told" within 30 status /readyz 200
check "five events reach the MES" mes 5
check "the page asks for the token" status / 401
check "the page is shown to who has it" told '"state":"connected"'
check "the inspection is nobody" [ "$(inside id -u)" = 10001 ]
check "its root cannot be written" fails inside touch /x
compose stop broker
sleep 5
check "healthy while the broker is away" status /healthz 200
check "events wait meanwhile" told '"outbox":[1-9]'
compose start broker
check "and are told when it is back" within 60 told '"outbox":0'
inside python -c "import os; [os.kill(int(p), 9) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]" || true
check "killed, it comes back" within 60 status /readyz 200
check "and judges" mes 5
exit $failed
