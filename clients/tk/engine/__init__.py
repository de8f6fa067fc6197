"""The thread that talks to the servers. Rule: the engine knows no window, and whatever happens in it reaches the model as a report."""
