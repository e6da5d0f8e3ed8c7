"""Models: what they take and give; in rooms of their own how inputs are made, models asked, and kept.

Nothing in here ever sees a key or an event.
"""
