"""The embedded optimizer: typed program search, with no key, no network, and no game known to it.

* `world`    a model of the game, learned by playing: who is moved, what contact leads to
* `genome`   programs as small typed trees; `grammar` draws and changes them
* `render`   programs as policy files, with `helpers`
* `play`     stretches of episodes in worker processes
* `evolve`   an archive of programs: screened, evolved, tuned by CMA-ES, pruned
* `optimizer`  one slice an iteration, behind the protocol of all optimizers
"""
