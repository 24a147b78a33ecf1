"""mtbench."""
