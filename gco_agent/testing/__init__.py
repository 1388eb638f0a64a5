"""Checks for what others write against gco-agent; to be called from their own tests."""
