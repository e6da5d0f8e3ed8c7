"""What applications call: grids, feature maps, predictions, dead letters, deployments; asynchronous and blocking."""
