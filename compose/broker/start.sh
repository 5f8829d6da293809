#!/bin/sh
# Starts mosquitto with the passwords hashed, in memory. It refuses, or will, lists that others can read.
set -eu
umask 077
cat /run/secrets/broker.users > /tmp/users
mosquitto_passwd -U /tmp/users
cat /etc/broker/acl > /tmp/acl
exec mosquitto -c /etc/broker/mosquitto.conf
