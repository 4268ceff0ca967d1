# The two commands are `make run` and `make test`; both install and start what they need.

export PATH := $(PATH):$(HOME)/.cargo/bin
MEMBERFLOW := $(or $(CARGO_TARGET_DIR),target)/debug/memberflow
SOAKED := $(or $(CARGO_TARGET_DIR),target)/soak/memberflow
VENV := target/interop
IGNORED := $(if $(findstring nextest,$(shell cargo nextest --version 2>/dev/null)),--run-ignored only,-- --ignored)
TESTS := $(shell cargo nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

# Where Chromium or the servers cannot be installed: leaves out the tests that $$left names.
ifneq (,$(findstring nextest,$(TESTS)))
WITHOUT_LEFT = -E "not ($$(printf ' + test(/%s/)' $$left | cut -c 4-))"
else
WITHOUT_LEFT = -- $$(printf -- '--skip %s ' $$left)
endif
# What private servers lack here, whatever is running.
NOT_INSTALLED := env -u DATABASE_URL -u AMQP_URL MEMBERFLOW_TEST_POSTGRES_PORT=1 MEMBERFLOW_TEST_RABBITMQ_PORT=1 \
	$(MEMBERFLOW) dev services --missing

.PHONY: help run test bench soak faults lint interop compiler browser clean

help: ## This list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: compiler ## Everything locally: members on the screen, then serving until Ctrl-C (ONCE=1: ends there).
	cargo build --locked
	@scripts/setup.sh $$($(MEMBERFLOW) dev services --missing)
	@$(MEMBERFLOW) dev $(if $(ONCE),--once)

# Tests make and drop a database each, which takes ten times as long where PostgreSQL waits for the disk.
test: compiler browser ## All tests, on a real PostgreSQL, a real RabbitMQ and in a real Chromium.
	cargo $(TESTS) --locked --no-run
	@scripts/setup.sh $$($(MEMBERFLOW) dev services --missing)
	@left=; command -v chromedriver >/dev/null || left='browser::'; \
		[ -z "$$($(NOT_INSTALLED))" ] || left="$$left private_servers:: faults::random_faults"; \
		set --; [ -z "$$left" ] || set -- $(WITHOUT_LEFT); \
		$(MEMBERFLOW) dev services --private-postgres -- cargo $(TESTS) --locked $(ARGS) "$$@"; status=$$?; \
		case $$left in *browser*) echo "chromedriver is missing here: the tests in a browser (browser::) were not run" >&2;; esac; \
		case $$left in *private*) echo "PostgreSQL or RabbitMQ is not installed here: the tests that start their own (private_servers::, faults::random_faults) were not run" >&2;; esac; \
		exit $$status

bench: compiler ## The service under load, each figure next to its target; a part: ARGS="--only accept --rounds 1".
	cargo bench --locked --profile soak --bench load --no-run
	@scripts/setup.sh $$($(SOAKED) dev services --missing)
	$(SOAKED) dev services -- cargo bench --locked --profile soak --bench load -- $(or $(ARGS),--write docs/performance.md)

soak: compiler ## Simulated members in 10,000 orders, and a rebuild of 100,000 events; MEMBERFLOW_TEST_SEED=n repeats a run.
	cargo build --locked
	cargo test --profile soak --locked --no-run --test it
	@scripts/setup.sh $$($(MEMBERFLOW) dev services --missing)
	$(MEMBERFLOW) dev services -- cargo test --profile soak --locked --test it -- --ignored --nocapture --test-threads=1 simulation:: fuzzing::

faults: compiler ## Everything fails at random under load for half an hour; MEMBERFLOW_TEST_MINUTES=n, OTHER=revision next to it.
	cargo build --locked --profile soak --bin memberflow
	$(if $(OTHER),scripts/other-version.sh $(OTHER) target/other)
	cargo test --locked --no-run --test it
	@scripts/setup.sh $$($(MEMBERFLOW) dev services --missing)
	MEMBERFLOW_TEST_BINARY=$(abspath $(SOAKED)) MEMBERFLOW_TEST_OTHER_BINARY=$(if $(OTHER),$(abspath target/other/memberflow)) \
		$(MEMBERFLOW) dev services -- \
		cargo test --locked --test it -- --ignored --nocapture --test-threads=1 faults:: triggers::load

lint: compiler ## Formatting, clippy, documentation.
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --no-deps --document-private-items

interop: ## Signatures against the providers' own Python packages, both ways; reconcile against localstripe; the API against schemathesis.
	cargo build --locked
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement tests/interop/requirements.txt
	$(VENV)/bin/python tests/interop/interop.py $(MEMBERFLOW)
	INTEROP_PYTHON=$(abspath $(VENV))/bin/python LOCALSTRIPE=$(abspath $(VENV))/bin/localstripe SCHEMATHESIS=$(abspath $(VENV))/bin/schemathesis \
		$(MEMBERFLOW) dev services -- cargo $(TESTS) --locked ::peer:: $(IGNORED)

clean: ## Removes what was built and the private servers' data.
	rm -rf target .memberflow /var/lib/memberflow-dev$(CURDIR)/.memberflow

compiler:
	@command -v cc >/dev/null || { scripts/setup.sh compiler; command -v cc >/dev/null; }

browser:
	@command -v chromedriver >/dev/null || scripts/setup.sh chromium headless-shell
