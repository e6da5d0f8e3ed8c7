#!/usr/bin/env bash
# A base image for machines that reach no image registry: a minimal Debian with Python, from the host's own package
# sources. Usage: scripts/base-image.sh [NAME] [SUITE]. Needs root and debootstrap; takes about a minute.
set -euo pipefail

name=${1:-grid-inference-base}
suite=${2:-bookworm}
authorities=/etc/ssl/certs/ca-certificates.crt
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$root" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
# Whom the host trusts, the image trusts: packages may come through a proxy with an authority of its own.
if [ -f "$authorities" ]; then cp "$authorities" "$root$authorities"; fi
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale,man}
tar -C "$root" --numeric-owner -c . | docker import --message "Debian $suite with Python" - "$name"
