"""Fit a tumour classifier on scikit-learn's breast cancer data, and write the model and the records it has not seen.

    python models/breast_cancer/train.py [FOLDER]

FOLDER (default: here) receives model.joblib, records.csv (column `sample` is the key) and labels.csv.
"""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: Path) -> None:
    """Train, and write three files."""
    data = load_breast_cancer(as_frame=True)
    # "mean radius" becomes mean_radius, a name that a record's field can have in every language.
    measurements = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    measurements.index.name = "sample"
    diagnosis = data.target.map(dict(enumerate(data.target_names))).rename("diagnosis")

    seen, unseen, seen_diagnosis, unseen_diagnosis = train_test_split(
        measurements, diagnosis, test_size=0.3, random_state=7, stratify=diagnosis
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(seen, seen_diagnosis)

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    unseen.to_csv(folder / "records.csv")
    unseen_diagnosis.to_csv(folder / "labels.csv")

    auc = roc_auc_score(unseen_diagnosis, model.predict_proba(unseen)[:, 1])
    print(f"fitted on {len(seen)} tumours; AUC on {len(unseen)} others: {auc:.4f}; files are in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
