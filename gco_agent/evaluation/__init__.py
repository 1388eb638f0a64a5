"""Episodes and races: the judge owns the environments, the seeds and the scores."""
