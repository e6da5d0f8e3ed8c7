#!/usr/bin/env bash
# What is released works without its checkout: source and wheel are built, the wheel from the source, and installed into
# an empty environment with what the lock says; the demo runs from there. Leaves both and a CycloneDX SBOM in dist/.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

rm -rf dist
.venv/bin/python -m build --no-isolation --outdir dist . >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; exit 1; }
wheel=$(echo dist/grid_inference-*.whl)
echo "built $(basename dist/*.tar.gz) and, from it, $(basename "$wheel")"

.venv/bin/python -m venv "$work/env"
pip="$work/env/bin/python -m pip --quiet --disable-pip-version-check"
$pip install --require-hashes -r requirements-runtime.lock
$pip install --no-deps "$wheel"
$pip check
echo "installed into an empty environment: $("$work/env/bin/grid-inference" --version)"

# Somewhere else, so that nothing of the checkout is found by accident.
mkdir "$work/elsewhere"
(cd "$work/elsewhere" && "$work/env/bin/grid-inference" demo --records 20000 --json >"$work/demo.json")
(cd "$work/elsewhere" && "$work/env/bin/python" - "$work/demo.json" "$root")  <<'PYTHON'
import json, pathlib, sys

import grid_inference

said = json.loads(pathlib.Path(sys.argv[1]).read_text().splitlines()[-1])
assert sys.argv[2] not in grid_inference.__file__, f"the demo ran from the checkout: {grid_inference.__file__}"
assert said["records"] == said["predictions"] == 20000, said
assert said["missing"] == said["stale"] == said["orphans"] == said["repairs"]["unexplained"] == 0, said
print(f"the demo ran from the wheel: {said['predictions']} predictions, 0 missing, 0 stale, 0 orphans")
PYTHON

.venv/bin/python scripts/sbom.py dist
(cd dist && ls -l)
