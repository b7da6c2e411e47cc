"""The first stage: walks roots, listens to the watcher, and writes down what differs from what is known."""
