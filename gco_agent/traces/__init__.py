"""Execution traces: the moments that decided some episodes, recorded call by call.

* `records` the trace as plain data
* `playing` an episode, played with notes, or recorded in some of its steps
* `moments` which steps decided it, and `moments.capture`, which records them
* `render`  a trace as text within a budget of tokens
"""

from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.traces.records import Ending, ExecutionTrace, TracedStep, Window

__all__ = ["ComponentCall", "Ending", "ExecutionTrace", "Plain", "Shown", "TracedStep", "Window"]
