"""Property tests: no deadline (machines are shared), and few enough examples that the whole folder takes seconds."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "grid-inference", deadline=None, max_examples=100, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("grid-inference")
