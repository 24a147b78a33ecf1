"""Programs for those who work on mtbench, run in the repository as `python -m tools.NAME`.

- `documents`: what the documents hold that is made from data or code
- data for them: `keep`, `selfcheck` with `own_cost`, `programs`, `learner`, `sanitize`,
  `misuse_cost`, `workload_costs`; `exceptions` are known reasons of broken promises
- to be looked at: `gallery` of what `specimen` makes up, `disassembly`, `harness`
- mallocs that the tests must find at fault: `faults`
- where documents and data lie: `repository`
"""
