"""The study: what does pre-allocating the Mid registry buy, from 1 to 64 threads?

`plan` holds the questions and their cells as data, `measure` runs them as sweeps of mtbench,
`store` keeps them small, `analyse` computes ratios with intervals, `registry`, `lookups` and
`builds` answer in `words` that follow the verdicts, `figures` draws with `marks`, and `render`
fills study.md.in. Run it with ``make study``.
"""
