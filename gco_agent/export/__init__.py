"""Runs and policies in the forms of other tools.

* `scalars`       a run's curves for TensorBoard: the only door to tensorboardX
* `trajectories`  episodes of a policy as a Minari data set: the only door to minari
* `model_card`    what a policy is and is worth, as Markdown to be shared with it
"""
