"""The figures, one a file, and their catalogue; `plots.figures` is the function that draws them."""
