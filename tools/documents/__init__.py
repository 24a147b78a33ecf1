"""What the documents hold that is made from data or code: ``python -m tools.documents``.

- `__main__`: every document, who makes its parts, and the command
- `marks`: how a document says where a part stands
- the makers: `performance` with `targets` and `reasons`, `measurement`, `reliability`, `workloads`
  with `classics`, `programs`, `record`, `reference`; the study's page is made by `study`
- the pictures: `figures`, `workload_figures`
"""
