"""The API of `aio.py` for programs without an event loop, and the loop beneath.

`loop_thread` and `subscription` are by hand; all else tools/blocking_api.py writes from the asynchronous modules.
"""
