"""The running grid: an embedded member, the link to a cluster, its maps, who owns what."""
