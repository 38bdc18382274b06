"""What a person reads: pages of looks and decisions, status lines, and the history in words."""
