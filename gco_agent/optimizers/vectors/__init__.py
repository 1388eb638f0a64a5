"""Search for policies of environments whose observations are numbers.

* `program`    linear preferences and controls, and how they are written as a policy
* `play`       episodes of such policies, in worker processes
* `table`      the seeds and steps of a slice
* `tuning`     CMA-ES over their weights, gone on with from slice to slice
* `arms`       several such searches side by side, until one is the best
* `optimizer`  a slice an iteration, for the run
"""
