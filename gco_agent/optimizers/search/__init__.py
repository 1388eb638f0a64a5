"""The embedded optimizer: typed program search, with no key, no network, and no game known to it.

* `world`    what playing at random shows: who is moved, how, where things go
* `genome`   programs as small typed trees; `grammar` draws and changes them
* `memory`   programs and worlds read back from a branch, which anybody may have written
* `render`   programs as policy files, with `helpers` and `words`
* `play`     stretches of episodes in worker processes
* `arena`    programs rated against each other within a purse of steps
* `evolve`   screening and evolution; `tuning` constants by CMA-ES; `prune` what does nothing
* `optimizer`  one slice an iteration, behind the protocol of all optimizers
"""
