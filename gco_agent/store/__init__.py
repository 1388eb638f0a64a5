"""Runs, stored in git: a branch a run, a commit an iteration.

* `git`       objects and refs, by plumbing; the checked out files
* `entries`   the message of a commit as records: run names and measured facts
* `evidence`  ``evaluation.json``: the episodes of an iteration, and whether to believe them
* `config`    the settings of a run, ``run.toml``; trust in modules
* `run`       `Runs`, to start, list, find and open runs; `Run`, the writer
* `control`   the live status of a process that advances a run; its pauses, and notes for it
* `view`      `RunView`, the one reader: steps, trials, episodes, policies, totals

Everything a run knows is in the commits of its branch; what is derived can be rebuilt from them.
"""
