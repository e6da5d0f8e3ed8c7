"""The benchmark: `python -m bench`, or `make bench`. README.md says what is measured and how."""
