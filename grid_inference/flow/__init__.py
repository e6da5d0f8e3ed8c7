"""The way of a record through a worker: read, batch, score, write, and what proves that nothing was left out."""
