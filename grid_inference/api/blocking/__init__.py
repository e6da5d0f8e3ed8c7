"""The API of `aio.py` for programs without an event loop: what a grid (`client.py`) hands out, and the loop beneath."""
