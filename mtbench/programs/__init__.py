"""The catalogue of programs: what `mtbench exec -p` runs, and how their inputs are made."""
