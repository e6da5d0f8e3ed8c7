# Sourced by the findings that need no member, not run: `packages NAME==VERSION ...` installs into a temporary folder,
# which is removed at the end, and prints what is there. Then `finding` runs the Python on its input in that folder, for
# which `seen.py` below compares.
set -euo pipefail

INSTALL_S_MAX=900
FINDING_S_MAX=180

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

export PYTHONPATH=$folder/packages
packages() {
  timeout --foreground "$INSTALL_S_MAX" python3 -m pip install --quiet --no-warn-conflicts --disable-pip-version-check \
    --root-user-action ignore --no-compile --target "$PYTHONPATH" "$@"
  cat >"$PYTHONPATH/seen.py" <<'PYTHON'
"""What the findings share: comparisons that are said."""

changed = False


def compare(what, seen, expected):
    """Say what was seen, and whether it is what this finding says."""
    global changed
    same = seen == expected
    changed = changed or not same
    print(f"{what:58} {seen}" + ("" if same else f"   CHANGED: it was {expected}"), flush=True)


def end():
    """Give the exit code."""
    print("the behaviour has changed" if changed else "as described")
    raise SystemExit(1 if changed else 0)
PYTHON
  python3 -c 'import platform, sys; print(f"Python {platform.python_version()}", *sys.argv[1:], sep=" | ")' "$@"
}

finding() { (cd "$folder" && timeout --foreground "$FINDING_S_MAX" python3 -); }
