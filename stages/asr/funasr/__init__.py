"""Real FunASR: its models in processes of their own, partials from one, finals from another."""
