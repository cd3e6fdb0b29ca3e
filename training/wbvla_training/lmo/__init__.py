"""Reinforcement learning of the loco-manipulation-oriented (LMO) policy: environment, learning, evaluation, export."""
