"""The figures, one a file, and their catalogue."""
