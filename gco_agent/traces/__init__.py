"""Execution traces: the moments that decided some episodes, recorded call by call.

* `records` the trace as plain data
* `moments` play episodes, choose what decided them, and record it
* `render`  a trace as text within a budget of tokens
"""
