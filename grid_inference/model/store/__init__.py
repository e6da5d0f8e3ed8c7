"""Models as they are kept in a grid: bytes with a manifest, who vouches for them, versions, deployments."""
