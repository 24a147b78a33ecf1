"""For all tests: Hypothesis draws the same examples in every run, and no clock judges them."""

from hypothesis import HealthCheck, settings

# A busy machine takes long over one example, and over making it. Others, by other clocks:
# --hypothesis-profile=default.
settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fixed")
