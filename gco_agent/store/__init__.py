"""Runs, kept in git: a branch a run, a commit an iteration.

* `text`      makes words of a policy or a model fit to be shown in a commit message
* `entries`   what a commit says, as records: names, verdicts, measured facts; text both ways
* `lock`      one writer a run
* `git`       the only door to git: objects and refs, by plumbing
* `batch`     many files at once
* `worktree`  the files a person has checked out, and how they are kept in step
* `reading`   what is wrong with data of a commit, as an error for people
* `failures`  what git's refusals mean for a person
* `history`   one run, to be read: `Step`, `RunView`
* `run`       one run, to be advanced: `Run`
* `runs`      all runs of a repository: make, list, find, open
* `trust`     whose code a person lets the runs of a repository load

Everything a run knows is in the commits of its branch; what is derived can be rebuilt from them.
"""
