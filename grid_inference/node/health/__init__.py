"""Health and metrics over HTTP, of a node or of workers by themselves: `server.py`."""
