"""Records, errors, seeds and statistics that every other package uses."""
