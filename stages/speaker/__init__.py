"""Who speaks: plug-ins that turn a voice into a print."""
