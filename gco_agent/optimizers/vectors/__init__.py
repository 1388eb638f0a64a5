"""Search for policies of environments whose observations are numbers.

* `program`    linear preferences and controls, and how they are written as a policy
* `play`       episodes of such policies, in worker processes
* `arms`       several searches over their weights side by side, until one is the best
* `optimizer`  a slice an iteration, for the run
"""
