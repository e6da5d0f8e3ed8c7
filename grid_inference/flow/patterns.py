r"""Patterns of LIKE, ILIKE and REGEX as Java means them, for Python's `re`: the whole text has to match.

Of Java's regular expressions that part is taken which both read alike once `.`, `^` and `$` are written out:
characters and sets of them, groups, looks ahead and behind, repetition, `\d \w \s` (of ASCII), and `(?i)` at the
beginning. What is none of these raises ConfigError.
"""

from __future__ import annotations

import re

from grid_inference.errors import ConfigError

__all__ = ["like", "regex"]

_ESCAPE = r"\\(?:[dDwWsStnrf]|[!-/:-@\[-^`{-~]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})"
_ITEM = rf"(?:[^\\\[\]-]|{_ESCAPE})"
_PIECE = re.compile(
    rf"(?P<any>\.)|(?P<start>\^)|(?P<end>\$)|(?P<group>\((?:\?(?:<?[=!]|:)|(?!\?)))|(?P<close>\))|(?P<either>\|)"
    rf"|(?P<repeat>(?:[*+?]|\{{[0-9]+(?:,[0-9]*)?\}})[?+]?)|(?P<escape>{_ESCAPE})"
    rf"|(?P<set>\[\^?-?(?:{_ITEM}(?:-{_ITEM})?)+-?\])|(?P<plain>[^\\\[\](){{}}*+?.^$|])"
)
_SET_OPERATIONS = ("&&", "||", "~~", "--")
"""Java or Python means more by them than two characters."""
_LINE_ENDS = r"\n\r\x85\u2028\u2029"
_IGNORE_CASE = "(?i)"


def like(pattern: str, *, fold: bool) -> re.Pattern[str]:
    """`%` is any text, `_` any character; a backslash before them takes them literally."""
    parts = re.split(r"(\\[%_]|[%_])", pattern)
    wild = {"%": ".*", "_": "."}
    source = "".join(wild.get(part) or re.escape(part[1:] if part in (r"\%", r"\_") else part) for part in parts)
    return re.compile(source, re.DOTALL | (re.IGNORECASE if fold else 0))


def regex(pattern: str) -> re.Pattern[str]:
    """A regular expression."""
    try:
        return re.compile("".join(_pieces(pattern)), re.ASCII)
    except (re.error, OverflowError) as error:
        raise ConfigError(f"{pattern!r} is no regular expression: {error}") from None


def _pieces(pattern: str) -> list[str]:
    at = len(_IGNORE_CASE) if pattern.startswith(_IGNORE_CASE) else 0
    pieces, depth = [pattern[:at]], 0
    while at < len(pattern):
        piece = _PIECE.match(pattern, at)
        if piece is None or not _is_plain_set(piece):
            raise _not_read(pattern, at)
        name, at = piece.lastgroup, piece.end()
        depth += (name == "group") - (name == "close")
        before, behind = pieces[-1], pattern[at : at + 1]
        if (name == "start" and (depth or before not in ("", _IGNORE_CASE, "|"))) or (
            name == "end" and (depth or behind not in ("", "|"))
        ):
            raise _not_read(pattern, piece.start())
        pieces.append({"any": f"[^{_LINE_ENDS}]", "start": "", "end": ""}.get(name or "", piece[0]))
    return pieces


def _is_plain_set(piece: re.Match[str]) -> bool:
    return piece.lastgroup != "set" or not any(operation in piece[0] for operation in _SET_OPERATIONS)


def _not_read(pattern: str, at: int) -> ConfigError:
    return ConfigError(
        f"{pattern!r}: {pattern[at : at + 3]!r} is no part of a regular expression that members and we read alike"
    )
