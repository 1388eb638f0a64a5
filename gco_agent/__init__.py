"""Game-playing policies that improve by rewriting their own code."""
