"""Egocentric video without action labels: walking and handling, rendered in varied rooms."""
