"""Programs for those who work on mtbench: none is installed, each is run as `python -m tools.NAME`.

- `tables`, `measurement`, `reliability`, `programs`: the documents from their kept data
- `sanitize`, `misuse_cost`, `workload_costs`: data for them
"""
