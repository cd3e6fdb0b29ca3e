# Each target makes .venv and installs what it needs; nothing else has to be typed.
PYTHON := .venv/bin/python

.PHONY: setup demo test check lock clean

setup: ; @scripts/setup.sh all

demo: ; @scripts/setup.sh run && .venv/bin/wbvla demo $(or $(ARGS),--task box_loading --trials 2)

test: ; @scripts/setup.sh all && $(PYTHON) -m pytest $(ARGS)

check: ; @scripts/setup.sh all && .venv/bin/ruff check . && .venv/bin/pyright

# Writes the versions that are installed now into the lock file.
lock: ; @scripts/setup.sh all && $(PYTHON) scripts/lock.py

clean: ; @rm -rf .venv build out *.egg-info
