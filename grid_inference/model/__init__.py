"""Models: what they take and give, how they travel through the grid, who may load them, how they are called."""
