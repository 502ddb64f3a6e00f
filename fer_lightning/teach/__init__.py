"""From finished runs over the folds of Training to one file of soft targets."""
