#!/bin/bash
# Health check: exits 0 if http://127.0.0.1:PORT PATH answers 200. A few milliseconds, where starting
# Python for every probe would cost a tenth of a second of CPU, and the image has no curl.
#   deploy/http-ok.sh PORT PATH
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
IFS=' ' read -r -t 5 _ status _ <&3
[ "$status" = 200 ]
