"""Latent action models: what happened between two frames, as a few discrete codes."""
