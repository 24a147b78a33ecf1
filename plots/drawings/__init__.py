"""The figures, one per file, and their catalogue; `plots.figures` draws them all."""
