"""Programs for those who work on mtbench, run in the repository as `python -m tools.NAME`.

- documents from kept data: `tables` with `targets` and `reasons`, `measurement`, `programs`,
  `reliability` with `exceptions`, `workload_document` with `workload_classics`, `workload_figures`
- data for them: `selfcheck` with `own_cost`, `learner`, `sanitize`, `misuse_cost`, `workload_costs`
- to be looked at: `gallery` of what `specimen` makes up, `disassembly`, `harness`
- mallocs that the tests must find at fault: `faults`
- where documents and data lie: `repository`
"""
