PYTHON ?= python3

.PHONY: demo test clean

# Install what parsing needs, parse the example photos, say where to look.
demo:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt .
	.venv/bin/ssnan parse examples --output demo --save overlay json confidence
	@echo "Open demo/astronaut.overlay.png, demo/grace_hopper.overlay.png and demo/camera.overlay.png."

# Install everything, then lint, types, the contract between the floors, tests.
test:
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv-test/bin/ruff check src tests benchmarks tools
	.venv-test/bin/ruff format --check src tests benchmarks tools
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports
	.venv-test/bin/pytest

clean:
	rm -rf .venv .venv-test demo build src/*.egg-info
