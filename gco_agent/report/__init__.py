"""Reports: a run as a web page or a picture, a policy as a video, a card or a data set.

* `summary`, `details`  the content of a report on one run
* `figures`, `page`     one HTML file that needs no network
* `failing`             traces of what went wrong last
* `pictures`            learning curves and robustness cards for a paper
* `robustness`          what a policy scores under other conditions
* `film`, `drawing`     an episode moment by moment, and as pictures
* `video`               pictures in a window or a file
* `loggers`             a run that advances, for Weights & Biases, MLflow and TensorBoard
* `hub`                 policies on the Hugging Face hub
* `export`              model cards, Minari data sets, TensorBoard
"""
