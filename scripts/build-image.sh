#!/usr/bin/env bash
# The image, built without network: wheels and jar are gathered in .cache/image first, and the build only copies them.
# Usage: scripts/build-image.sh [NAME]. BASE_IMAGE names the base; scripts/base-image.sh makes one without a registry.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-grid-inference}
export BASE_IMAGE=${BASE_IMAGE:-python:3.12-slim}
gathered=$PWD/.cache/image
rm -rf "$gathered"
mkdir -p "$gathered/wheelhouse" "$gathered/jars"

.venv/bin/python -m build --wheel --no-isolation --outdir "$gathered/wheelhouse" . >/dev/null
.venv/bin/python -c 'import sys; from grid_inference.grid.member.jars import jar_for; print(jar_for("5.7.0"))' |
  xargs -I{} cp {} "$gathered/jars/"

# The base's own Python chooses the wheels: the host's may be another version. It reaches the package index as the host
# does: same network, same settings.
docker run --rm --network host \
  --volume "$PWD/requirements-runtime.lock:/requirements.lock:ro" --volume "$gathered/wheelhouse:/wheelhouse" \
  --env PIP_INDEX_URL --env PIP_EXTRA_INDEX_URL --env PIP_CERT --env HTTP_PROXY --env HTTPS_PROXY --env NO_PROXY \
  "$BASE_IMAGE" sh -c 'python3 -m venv /tmp/pip && /tmp/pip/bin/pip download --quiet --no-cache-dir \
    --disable-pip-version-check --only-binary :all: --require-hashes -r /requirements.lock -d /wheelhouse'

docker build --network none --build-arg BASE_IMAGE --tag "$name" .
