#!/bin/sh
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes .venv from the pinned requirements and links the checkout where ansible looks for collections.
# Safe to run again: does nothing while the requirements are unchanged. With "dev" also what only the tests use.
set -eu
cd "$(dirname "$0")/../.."

say() { printf 'setup: %s\n' "$*"; }

missing() {
  # CI must not skip silently; a person's machine may lack a tool
  if [ "${CI:-}" = true ] && [ "$2" = needed ]; then
    printf 'setup: FAILED: %s\n' "$1" >&2
    exit 1
  fi
  printf '\nsetup: !!! %s\n\n' "$1" >&2
}

find_python() {
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

as_root_apt() {
  [ "$(id -u)" = 0 ] || return 1
  command -v apt-get >/dev/null 2>&1 || return 1
  say "installing $* with apt-get"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1 && return 0
  apt-get update -q >/dev/null 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1
}

mkdir -p build/collections/ansible_collections/hotstandby
link=build/collections/ansible_collections/hotstandby/ops
[ -e "$link/galaxy.yml" ] || ln -sfn ../../../.. "$link"

if ! [ -x .venv/bin/python ]; then
  python=$(find_python) || { echo 'setup: Python 3.11 or newer is needed and was not found' >&2; exit 1; }
  say "making .venv with $("$python" -V)"
  if ! "$python" -m venv .venv 2>/dev/null; then
    rm -rf .venv
    # Debian splits venv from Python
    if as_root_apt python3-venv; then "$python" -m venv .venv; else "$python" -m virtualenv -q .venv; fi
  fi
fi

stamp=.venv/.hotstandby-requirements
wanted=$(cat requirements.txt requirements-dev.txt constraints.txt | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  say 'installing the pinned requirements (a few minutes the first time)'
  .venv/bin/python -m pip install -q --disable-pip-version-check \
    -r requirements-dev.txt -c constraints.txt
  echo "$wanted" >"$stamp"
fi

[ "${1:-}" = dev ] || exit 0

for tool in rsync shellcheck git; do
  command -v "$tool" >/dev/null 2>&1 || as_root_apt "$tool" ||
    missing "$tool is not here and could not be installed: what needs it cannot run" needed
done
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || as_root_apt --no-install-recommends chromium fonts-liberation ||
  missing 'chromium is not here and could not be installed: the report pages are not looked at in a browser' needed
# real hosts need root anyway: where nobody may install, their tests say that they did not run
for tool in podman runc mmdebstrap iptables ssh; do
  command -v "$tool" >/dev/null 2>&1 || as_root_apt podman runc netavark mmdebstrap iptables openssh-client ||
    missing "$tool is not here and could not be installed: the tests on real hosts cannot run" needed
done
if ! [ -d build/npm/node_modules/dynalite ]; then
  if command -v npm >/dev/null 2>&1; then
    say 'installing dynalite (a second DynamoDB for the tests of the record)'
    npm install --silent --no-audit --no-fund --no-save --prefix build/npm dynalite@4.0.0 >/dev/null 2>&1 ||
      missing 'dynalite could not be installed: the tests of the record run on one DynamoDB only' needed
  else
    missing 'npm is not here: the tests of the record run on one DynamoDB only' optional
  fi
fi
# the boto3 of Debian 12, for the nodes that have it
if ! [ -d build/boto3-1.26/boto3 ]; then
  say 'installing boto3 1.26 beside the other one'
  rm -rf build/boto3-1.26.new
  { .venv/bin/python -m pip install -q --disable-pip-version-check --target build/boto3-1.26.new \
    boto3==1.26.27 botocore==1.29.27 && mv build/boto3-1.26.new build/boto3-1.26; } ||
    missing 'boto3 1.26 could not be installed: what Debian 12 brings is not tested' needed
fi
