"""What the API, the workers and the command line all know."""
