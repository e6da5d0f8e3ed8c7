"""A worker: the process that scores the share of the partitions that falls to it."""
