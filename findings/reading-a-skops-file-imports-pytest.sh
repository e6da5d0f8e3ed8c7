#!/usr/bin/env bash
# One would guess: skops.io, which reads a model that was written without pickle, imports what that model is made of, a
# linear model here.
# What happens: with skops 0.16 `import skops.io` goes through all estimators of scikit-learn for its list of trusted
# types (all_estimators), and with them imports scikit-learn's own test tools, which import pytest and pandas wherever
# they are installed; a hundred modules of scikit-learn come along. joblib's loader of the same model imports neither.
# Why it matters: a worker that is sent its first model spends most of a deploy on that, and keeps a test framework in
# memory; of a runtime without pytest and pandas it does not.
. "$(dirname "$0")/lib-packages.sh"
packages skops==0.16.0 scikit-learn==1.9.1 pytest==9.2.0 pandas==3.1.1 numpy==2.4.6

finding <<'PYTHON'
import subprocess
import sys

from seen import compare, end

WRITE = (
    "import joblib, numpy as np, skops.io\nfrom sklearn.linear_model import LogisticRegression\n"
    "inputs = np.arange(8.0).reshape(4, 2)\nmodel = LogisticRegression().fit(inputs, [0, 0, 1, 1])\n"
    "skops.io.dump(model, 'model.skops')\njoblib.dump(model, 'model.joblib')"
)


def python(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.strip()


def imported(script, name):
    return python(f"import sys\n{script}\nprint({name!r} in sys.modules)")


python(WRITE)
for name in ("pytest", "pandas", "sklearn.manifold", "sklearn.gaussian_process"):
    compare(f"{name} by skops", imported("import skops.io\nskops.io.load('model.skops')", name), "True")
for name in ("pytest", "sklearn.manifold", "sklearn.gaussian_process"):
    compare(f"{name} by joblib", imported("import joblib\njoblib.load('model.joblib')", name), "False")
end()
PYTHON
