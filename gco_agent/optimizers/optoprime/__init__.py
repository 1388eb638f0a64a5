"""OptoPrime of Trace (trace-opt 0.1.3.8) as an optimizer of policies.

* `library`    the only door to opto: a lazy and silent import
* `graph`      recorded calls become Trace's graph, components its parameters
* `optimizer`  the request, the answer, and what is made of it

After Cheng et al. 2024 (arXiv:2406.16218), as Kuang et al. 2025 (arXiv:2508.19506) use it.
"""
