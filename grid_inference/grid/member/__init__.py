"""An embedded member: its Java, its jars, its start, its end with whoever started it."""

from grid_inference.grid.member.member import Member, MemberConfig

__all__ = ["Member", "MemberConfig"]
