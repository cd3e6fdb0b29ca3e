"""The driver: who may command, what the actuators get, and what happens when something is lost."""
