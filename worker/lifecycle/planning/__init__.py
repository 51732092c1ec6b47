"""What to do next about a node's models. Pure: values in, effects out."""
