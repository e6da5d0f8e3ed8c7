"""Bytes only: the Hazelcast wire as numpy arrays. No I/O, no asyncio, no client in here.

Whoever can write to the grid writes these bytes: any of them give a value or DecodeError, never anything else.
"""
