#!/usr/bin/env bash
# engine.sh start DIR: a Docker engine for the container tests. Prints what to export, nothing where one answers already.
# engine.sh stop DIR: ends the engine that `start` began, and only that one.
# Starting one needs root and Linux, and apt where dockerd is not installed; it says what was missing and exits with 1.
set -euo pipefail
verb=${1:?start or stop}; directory=$(realpath -m "${2:?a directory}")
START_SECONDS=40
INSTALL_SECONDS=${INSTALL_SECONDS:-180} # each, for the lists and for the packages

missing() { echo "engine.sh: $*" >&2; exit 1; }

install_engine() {
  command -v apt-get > /dev/null || missing "there is no dockerd, and no apt-get to install it with"
  export DEBIAN_FRONTEND=noninteractive
  { timeout --kill-after=10 "$INSTALL_SECONDS" apt-get update -qq &&
    timeout --kill-after=10 "$INSTALL_SECONDS" apt-get install -y -qq --no-install-recommends docker.io busybox-static skopeo
  } < /dev/null > "$directory/apt.log" 2>&1 || { tail -n 5 "$directory/apt.log" >&2; missing "apt-get could not install docker.io"; }
}

case $verb in
  start)
    if command -v docker > /dev/null && timeout 20 docker version > /dev/null 2>&1; then exit 0; fi
    [ "$(uname)" = Linux ] || missing "no engine answers; start Docker"
    [ "$(id -u)" = 0 ] || missing "no engine answers, and only root can start one"
    mkdir -p "$directory"
    command -v dockerd > /dev/null && command -v docker > /dev/null || install_engine
    # No bridge and no packet filter rules: builds and jobs use the machine's own network.
    dockerd --data-root "$directory/data" --exec-root "$directory/exec" --pidfile "$directory/dockerd.pid" \
            -H "unix://$directory/docker.sock" --iptables=false --bridge=none --host-gateway-ip=127.0.0.1 \
            < /dev/null > "$directory/dockerd.log" 2>&1 &
    for _ in $(seq $((START_SECONDS * 4))); do
      if DOCKER_HOST="unix://$directory/docker.sock" timeout 5 docker version > /dev/null 2>&1; then
        echo "export DOCKER_HOST=unix://$directory/docker.sock"; exit 0
      fi
      kill -0 $! 2> /dev/null || break
      sleep 0.25
    done
    tail -n 5 "$directory/dockerd.log" >&2
    kill $! 2> /dev/null || true
    missing "dockerd did not start" ;;
  stop)
    [ -f "$directory/dockerd.pid" ] || exit 0
    pid=$(cat "$directory/dockerd.pid")
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 60); do kill -0 "$pid" 2> /dev/null || break; sleep 0.25; done
    # It takes its containerd with it, unless it has to be killed.
    if kill -9 "$pid" 2> /dev/null; then kill -9 "$(cat "$directory/exec/containerd/containerd.pid")" 2> /dev/null || true; fi
    # It leaves its network namespace mounted.
    awk -v below="$directory/" 'index($2, below) == 1 {print $2}' /proc/mounts | sort -r | while read -r mounted; do
      umount "$mounted" || true
    done ;;
  *) echo "engine.sh: start or stop, not '$verb'" >&2; exit 2 ;;
esac
