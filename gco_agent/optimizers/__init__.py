"""What proposes the next candidate."""
