"""Engines call a model: a matrix in, scores and labels out, rows that can't be scored set apart with their reason."""
