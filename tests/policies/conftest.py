"""Settings of the property tests."""

from hypothesis import settings

# The first example of a compiled loop includes its compilation.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
