#!/bin/sh
# Makes what compose.yaml reads as secrets, in compose/secrets, with openssl: a CA, the broker's certificate, a password
# for each user, the page's token. What is there already stays; delete a file and run it again to have it made anew.
#   sh compose/secrets.sh [names and addresses by which other machines call this broker]
set -eu
umask 077
mkdir -p "$(dirname "$0")/secrets"
cd "$(dirname "$0")/secrets"

is_missing() { [ ! -e "$1" ]; }

names=DNS:broker,DNS:localhost,IP:127.0.0.1
for name in "$@"; do
  case $name in
    *:*) kind=IP ;;
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
  esac
  names=$names,$kind:$name
done

if is_missing ca.crt; then
  rm -f ca.key server.crt
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -keyout ca.key -out ca.crt -config /dev/stdin <<END
[req]
prompt = no
distinguished_name = name
x509_extensions = authority
[name]
CN = p-wae CA
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
fi

if is_missing server.crt; then
  rm -f server.key
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=broker -keyout server.key -out server.csr
  printf '%s\n' "subjectAltName = $names" 'extendedKeyUsage = serverAuth' 'authorityKeyIdentifier = keyid' > server.ext
  openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -days 825 \
    -extfile server.ext -out server.crt
  rm server.csr server.ext
fi

rm -f broker.users
for user in press-3 mes; do
  if is_missing "$user.password"; then openssl rand -hex 16 > "$user.password"; fi
  echo "$user:$(cat "$user.password")" >> broker.users
done
if is_missing view.token; then openssl rand -hex 16 > view.token; fi

# compose mounts the files as they are, and the containers' users are not you: the files may be read by all, but the
# folder may be entered by its owner only. The CA's key goes into no container.
chmod 444 ./*
chmod 400 ca.key
echo "made: $(pwd)"
