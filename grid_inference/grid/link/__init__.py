"""The link to a cluster, over the connections of the stock client; only here are its private parts touched."""

from grid_inference.grid.link.link import Link

__all__ = ["Link"]
