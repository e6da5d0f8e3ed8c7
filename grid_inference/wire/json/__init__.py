"""Values that are JSON: each as a value, many as columns, both ways with the same result."""
