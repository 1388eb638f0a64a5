"""Execution traces: the moments that decided an episode, replayed with recording on.

The parts: `records` (the data), `course` (an episode played fast, with what is cheap to note),
`windows` (which moments decided it), `capture` (these played again, recorded), `arrivals` (where
things then really were), `render` (as text within a budget of tokens), `tokens` (the estimate).
"""

from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.traces.records import ExecutionTrace, TracedStep, Window

__all__ = ["ComponentCall", "ExecutionTrace", "Plain", "Shown", "TracedStep", "Window"]
