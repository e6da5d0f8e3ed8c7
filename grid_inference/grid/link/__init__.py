"""The link to a cluster. Only its modules touch the private parts of the stock client, over whose connections it speaks."""

from grid_inference.grid.link.link import Link

__all__ = ["Link"]
