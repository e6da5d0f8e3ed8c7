#!/usr/bin/env bash
# One would guess: None, NaN and pandas.NA are one missing value to scikit-learn, as they are to pandas' isna.
# What happens: an encoder keeps what it was fitted with as a category of its own. Fitted on None among texts (objects,
# as pandas 2 reads them from a database) and given NaN (the str columns of pandas 3), OneHotEncoder ignores it as
# unknown: all zeros; OrdinalEncoder says -1 or raises. SimpleImputer by default fills NaN and leaves None.
# Why it matters: a model fitted under pandas 2 and asked under pandas 3 answers otherwise for every record with a gap,
# without an error.
. "$(dirname "$0")/lib-packages.sh"
packages scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6

finding <<'PYTHON'
import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from seen import compare, end

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
    compare(name, value, expected[name])
end()
PYTHON
