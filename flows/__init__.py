"""When: order and branching, nothing else. One file, one flow, one deployment."""
