"""The optimization loop: propose, judge, accept or reject, commit."""
