"""How Worlds are run: what stepping out of order gains, and what the driver costs."""
