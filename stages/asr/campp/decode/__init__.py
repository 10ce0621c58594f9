"""Log-probabilities to words: greedy, prefix beam, WFST."""
