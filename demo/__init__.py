"""A program above the flows: real models, real traffic over HTTP, and a simulated fortnight (`make demo`)."""
