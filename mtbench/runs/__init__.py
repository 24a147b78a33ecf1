"""The run directory: written once, read once."""
