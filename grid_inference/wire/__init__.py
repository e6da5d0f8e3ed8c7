"""Bytes only: the Hazelcast wire as numpy arrays. No I/O, no asyncio, no client in here."""
