"""Which models there are: ids, aliases, and how each is asked. A value; loading it is the only I/O."""
