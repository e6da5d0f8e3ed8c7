"""Two published versions of models held against each other over the same records."""
