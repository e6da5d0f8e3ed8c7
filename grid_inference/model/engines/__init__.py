"""Engines call a model: a matrix in, scores and labels out, rows that can't be scored set apart with their reason.

Results are those of the bare model, and a bad row costs its neighbours nothing. `native/` has the models of other
libraries than scikit-learn.
"""
