"""What a call is made of: the words that flow, the contracts of the stages, and the plug-ins."""
