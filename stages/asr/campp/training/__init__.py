"""What needs PyTorch: the network, its export, its import. The running stage never comes here."""
