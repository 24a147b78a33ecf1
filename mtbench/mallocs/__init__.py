"""The mallocs: which there are, which one serves, what it counts."""
