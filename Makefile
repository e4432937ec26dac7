.PHONY: install test fast nightly lint

install:  ## the project, editable, with what its tests need
	pip install -e '.[test]'

test:  ## the default tier: 10 minutes on two cores
	pytest

fast:  ## tests without real trainers: three to four minutes
	pytest -m "not real and not nightly"

nightly:  ## the other real runs; SHARD=2/6 runs a part
	pytest -m nightly $(if $(SHARD),--shard $(SHARD))

lint:  ## formatting, lints, types, import rules
	ruff check . && ruff format --check . && mypy && lint-imports
