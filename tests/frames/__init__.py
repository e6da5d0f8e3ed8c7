"""Frames drawn at random, put by every way in and read by every way out: each value as it was, or a refusal.

`draw.py` draws columns with what is right of them, `ways.py` puts them, `stock.py` by the stock client's Compact
serializer, `out.py` reads them, `run.py` compares. `values.py` says when two values of two libraries are the same.
"""
