"""What is done: use cases over ports only. The same operation serves a task, the command line and a notebook."""
