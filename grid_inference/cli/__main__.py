"""`python -m grid_inference.cli`, the same as `grid-inference`."""

from grid_inference.cli import main

main()
