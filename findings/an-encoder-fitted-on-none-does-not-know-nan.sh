#!/usr/bin/env bash
# One would guess: None, NaN and pandas.NA are one missing value to scikit-learn, as they are to pandas' isna.
# What happens: an encoder keeps what it was fitted with as a category of its own. Fitted on None among texts (objects,
# as pandas 2 reads them from a database) and given NaN (the str columns of pandas 3), OneHotEncoder ignores it as
# unknown: all zeros; OrdinalEncoder says -1 or raises. SimpleImputer by default fills NaN and leaves None.
# Why it matters: a model fitted under pandas 2 and asked under pandas 3 answers otherwise for every record with a gap,
# without an error.
set -euo pipefail
INSTALL_S_MAX=900
FINDING_S_MAX=180
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
export PYTHONPATH=$folder
timeout --foreground "$INSTALL_S_MAX" python3 -m pip install --quiet --disable-pip-version-check \
  --root-user-action ignore --no-compile --target "$folder" scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6
timeout --foreground "$FINDING_S_MAX" python3 - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

print(f"Python {sys.version.split()[0]}, scikit-learn {sklearn.__version__}, pandas {pd.__version__}")
fitted = pd.DataFrame({"city": pd.Series(["red", None], dtype=object)})
asked = pd.DataFrame({"city": ["red", None]})
seen = {
    "dtypes": (str(fitted["city"].dtype), str(asked["city"].dtype)),
    "one-hot of None, of NaN": [
        OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(fitted).transform(each)[1].tolist()
        for each in (fitted, asked)
    ],
    "ordinal of None, of NaN": [
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(fitted).transform(each)[1].tolist()
        for each in (fitted, asked)
    ],
    "imputed: None, NaN": [
        SimpleImputer(strategy="constant", fill_value="x").fit_transform(np.array([["red"], [null]], object)).tolist()
        for null in (None, np.nan)
    ],
}
expected = {
    "dtypes": ("object", "str"),
    "one-hot of None, of NaN": [[0.0, 1.0], [0.0, 0.0]],
    "ordinal of None, of NaN": [[1.0], [-1.0]],
    "imputed: None, NaN": [[["red"], [None]], [["red"], ["x"]]],
}
for name, value in seen.items():
    print(f"{name}: {value}" + ("" if value == expected[name] else f", where {expected[name]} was seen before"))
sys.exit(seen != expected)
PYTHON
