"""What workers see of a model's inputs and scores, held against the statistics of its training.

Counting spends half a hundredth of the time, and fails no batch.
"""
