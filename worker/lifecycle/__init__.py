"""The lifecycle worker of a node: the only one that holds the Docker socket."""
