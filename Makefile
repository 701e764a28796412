PYTHON ?= python3

.PHONY: demo catalog test browser web web-test site floor audit clean python

# Install what parsing needs, parse the example photos, say where to look.
demo: python
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --constraint constraints.txt .
	.venv-demo/bin/ssnan parse examples --output demo --save summary,json,confidence
	@echo "Open demo/astronaut.summary.png, demo/grace_hopper.summary.png and demo/camera.summary.png."

# Cut a thousand photos out of the examples and parse them with two processes into tables and tars.
catalog: python
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --constraint constraints.txt '.[cluster]'
	.venv-demo/bin/python examples/thousand.py build/thousand.tar
	.venv-demo/bin/ssnan catalog build/thousand.tar --workers 2 --into webdataset --output catalog
	@echo "Open catalog/results/ with any Parquet reader; the maps are in catalog/maps/."

# Install everything, then lint, spelling, types, the contract between the layers, the site, tests.
test: python
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv-test/bin/ruff check src tests benchmarks tools examples integrations experiments web
	.venv-test/bin/ruff format --check src tests benchmarks tools examples integrations experiments web
	.venv-test/bin/codespell
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports
	.venv-test/bin/hadolint deploy/Dockerfile
	NO_MKDOCS_2_WARNING=1 .venv-test/bin/mkdocs build --quiet --strict --site-dir build/site
	.venv-test/bin/pytest

# A browser for the tests of the page, which are skipped without one. Needs Debian or Ubuntu, and root.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || (apt-get update -qq && apt-get install -qq -y chromium)

# The page that parses in a browser, without a server: web/dist, for any static host. Needs Node 20 or newer.
web: python
	@command -v npm >/dev/null || (echo "web/ needs npm, of Node 20 or newer; on Debian: apt install npm"; exit 1)
	$(PYTHON) -m venv .venv-web
	.venv-web/bin/pip install --quiet --constraint constraints.txt --editable '.[test]' playwright
	npm ci --prefix web --no-audit --no-fund
	.venv-web/bin/python web/generate.py
	npm run build --prefix web

# The built page in a real browser, compared with the Python package.
web-test:
	@if ! command -v npm >/dev/null; then echo "web-test is skipped: there is no npm here"; \
	  elif ! (command -v chromium || command -v chromium-browser || command -v google-chrome) >/dev/null; then echo "web-test is skipped: there is no Chromium here; make browser"; \
	  else $(MAKE) web && .venv-web/bin/pytest -q -o addopts= web/tests; fi

# The documentation as a site, to look at while it is written: http://127.0.0.1:8000.
site: python
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	.venv-site/bin/mkdocs serve

# The oldest versions that pyproject.toml allows for parsing, with the tests that need no torch.
FLOOR = numpy==1.26.* pillow==10.3.* onnxruntime==1.19.* pyyaml==6.0.1 rich==13.7.* scipy==1.11.4 shtab==1.7.* \
  openvino==2024.4.* av==14.2.*
floor: python
	$(PYTHON) -m venv .venv-floor
	.venv-floor/bin/pip install --quiet --editable '.[openvino,video,test]' $(FLOOR)
	.venv-floor/bin/pytest @tests/core.txt

# Known vulnerabilities of the versions in constraints.txt; asks the index for them.
audit: python
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

# Older versions would end in a riddle of pip's about versions that do not fit together.
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"ssnan needs Python 3.11 or newer, $(PYTHON) is {sys.version.split()[0]}; try make PYTHON=python3.12")'
	@$(PYTHON) -c 'import venv, ensurepip' || (echo "$(PYTHON) has no venv; on Debian: apt install python3-venv"; exit 1)

clean:
	rm -rf .venv-demo .venv-test .venv-floor .venv-site .venv-web .venv-audit web/generated web/dist demo catalog build src/*.egg-info
