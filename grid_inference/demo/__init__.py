"""The demonstration: simulated card payments, the features of fraud detection, and a model trained on them.

In: a seed. Out: transactions, feature columns, a fitted classifier and the stream to score with it. Everything here
is plain numpy and scikit-learn; what it does with a grid is not here.
"""
