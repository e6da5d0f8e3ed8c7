"""The workers under chaos."""

PLAN_VARIABLE = "GRID_CHAOS_PLAN"
"""Where a worker's plan is, as JSON."""
