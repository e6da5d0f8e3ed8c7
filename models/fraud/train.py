"""Train the card-fraud model of the demo, and write what a deployment needs.

Writes to --to: model.joblib (the fitted classifier), quality.json (the alert threshold and what it is worth), and
payments.csv (later payments to put into the grid: `transaction_id` is the key, then the 15 features).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
from pathlib import Path

import joblib

from grid_inference.demo.training import Stream, train


def main() -> None:
    """Train, write the three files, and say what came out."""
    options = _options()
    fraud = train(options.seed, records=options.records)
    options.to.mkdir(parents=True, exist_ok=True)
    joblib.dump(fraud.model, options.to / "model.joblib")
    facts = {"threshold": fraud.threshold, "seed": options.seed, "test": dataclasses.asdict(fraud.test)}
    (options.to / "quality.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    write_csv(fraud.stream, options.to / "payments.csv")
    print(f"{options.to}: model.joblib, quality.json, payments.csv ({len(fraud.stream):,} payments)")
    print(f"AUC {fraud.test.auc:.3f} on the test week; alert from score >= {fraud.threshold}")


def write_csv(stream: Stream, path: Path) -> None:
    """One line per payment; numbers are written so that reading gives the same number back."""
    columns = {"transaction_id": stream.transactions.transaction_id, **stream.features}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, default=250_000, help="how many payments to write")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="folder to write to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
