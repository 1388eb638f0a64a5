"""Runs, stored in git: a branch a run, a commit an iteration.

* `git`       the only door to git: objects and refs, by plumbing
* `entries`   the message of a commit as records: run names, verdicts, measured facts
* `evidence`  ``evaluation.json``: the episodes of an iteration, and whether to believe them
* `config`    the settings of a run, ``run.toml``; trust in modules
* `run`       `Runs`, to start, list, find and open runs; `Run`, the writer
* `view`      `RunView`, the one reader: steps, trials, episodes, policies, totals
* `worktree`  the checked out files, and how they follow a run
* `status`    the live status of a process that advances a run

Everything a run knows is in the commits of its branch; what is derived can be rebuilt from them.
"""
