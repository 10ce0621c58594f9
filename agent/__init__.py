"""The agent: turns stages into a call, and serves calls."""
