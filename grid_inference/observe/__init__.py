"""Looking at the grid from outside the flow: status and proof."""
