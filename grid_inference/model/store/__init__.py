"""Models as they are kept in a grid: bytes with a manifest, who vouches for them, versions, deployments.

Digest, signature and versions are checked before a byte of a model is read.
"""
