"""What can run a model, behind one protocol."""
