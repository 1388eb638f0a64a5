"""A run, told: from the commits of its branch to tables, curves, differences and one HTML file.

* `story`    the trials of a run, and what was played in them
* `played`   the episodes that an iteration keeps, read back
* `diffs`    two texts, line by line
* `curves`   the numbers that are drawn, along four axes
* `figures`  the drawings: the only door to plotly
* `static`   the learning curve as a picture: matplotlib
* `pack`     the details of thousands of trials in little space
* `page`     the HTML file: the only door to jinja2

Nothing here writes to a repository or plays a game.
"""
