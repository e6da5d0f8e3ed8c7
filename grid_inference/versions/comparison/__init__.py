"""Two published versions of models held against each other over the same records.

Nothing is written, and what a worker would refuse is refused.
"""
