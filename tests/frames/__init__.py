"""Frames drawn at random, put by every way in and read by every way out: each value as it was, or a refusal.

`draw.py` draws columns with what is right of them, `ways.py` puts and reads them, `run.py` compares.
"""
