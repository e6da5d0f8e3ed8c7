"""Predictions as they come: where from, what may have been missed meanwhile, and how it is caught up."""
