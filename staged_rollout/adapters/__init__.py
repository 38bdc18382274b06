"""The outside, behind the ports: one module per service, chosen in one place and imported lazily."""
