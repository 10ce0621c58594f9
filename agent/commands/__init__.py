"""The commands, one group a file; ``agent.__main__`` is the list of them."""
