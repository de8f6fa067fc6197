"""The directory of users and its search. Rule: it is folded from the Global Server's events and from nothing else."""
