"""For each exercise: closed forms that an answer must obey, and outputs to compare."""
