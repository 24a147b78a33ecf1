# Everything a contributor types: `make help` lists it. Each target installs what it needs into .venv
# first.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= $(shell nproc)
NINJA := -G Ninja "-DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja"
CMAKE_QUIET := $(NINJA) -DBUILD_TESTING=OFF
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/*) \
	$(shell find allocator workloads mtbench -name '*.[ch]' -o -name CMakeLists.txt -o -name build_ffi.py)

# The comment in front of a target, as far as its first full stop.
help:
	@awk '/^#/ { if (!told) text = substr($$0, 3); else text = text " " substr($$0, 3); told = 1; next } \
		/^[a-z0-9-]+:( |$$)/ { split($$1, name, ":"); sub(/\. .*|\.$$/, "", text); \
		if (told) printf "%-12s %s\n", name[1], text } !/^[A-Z_]+ [:?]?=/ { told = 0 }' Makefile

.PHONY: help sweep test trials ctest aarch64 sanitize lint format rank pgo pgo-library study learner aa \
	cost docs gallery real machines clean

# Editable: Python changes count at once, C changes through this rule.
.venv/installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[peers]' \
		|| $(BIN)/python -m pip install --disable-pip-version-check --editable .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

.venv/linted: .venv/tested
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# A quick sweep and its report. SWEEP='-w larson -t 1,2': other cells than the quick form's.
sweep: .venv/installed
	$(BIN)/mtbench sweep --quick $(SWEEP)

# C unit tests (CTest) and pytest, on everything.
test: ctest
	$(BIN)/python -m pytest -n $(JOBS) -q

# The core of `test` for other Pythons and other machines: the tests that start trials.
TRIALS := $(patsubst %,tests/mtbench/test_%.py,reached isolate allocators)
trials: .venv/tested
	$(BIN)/python -m pytest -n $(JOBS) -q $(TRIALS)

# The C unit tests alone.
ctest: .venv/tested
	$(BIN)/cmake --preset release $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset release
	$(BIN)/ctest --preset release -j $(JOBS)

empty :=
AARCH64_QUICK := os vdso lock central pagemap pages cache registry huge
# The allocator's C tests for another processor, emulated: its cross compiler and qemu-user. QUICK=1:
# without the switches, and only of what the processor or its kernel can make different.
aarch64: .venv/tested
	$(BIN)/cmake --preset aarch64 $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset aarch64 $(if $(QUICK),--target $(AARCH64_QUICK:%=test-%))
	$(BIN)/ctest --preset aarch64 -j $(JOBS) $(if $(QUICK),-R \
		'test-($(subst $(empty) $(empty),|,$(AARCH64_QUICK)))(:|.pages|$$)')

# The native tests under ASan+UBSan, under TSan and under Valgrind; docs/data keeps what happened.
sanitize: .venv/tested
	$(BIN)/python -m tools.sanitize

# ruff, mypy --strict, who may import whom, clang-format.
lint: .venv/linted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	git ls-files '*.c' '*.h' | xargs $(BIN)/clang-format --dry-run --Werror
	$(BIN)/python -m pytest -q tests/allocator/test_rooms.py

# Python and C as lint wants them.
format: .venv/linted
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.c' '*.h' | xargs $(BIN)/clang-format -i

# A profile-guided libhakmem.so in build/pgo, and its gain over the plain one in one interleaved run.
PGO_WORKLOADS := mid_gap,mid_replace,random_mixed,mid_exchange,tiny_exchange
pgo: pgo-library
	rm -rf build/pgo-run
	$(BIN)/mtbench sweep -a pgo=build/pgo/libhakmem.so,plain=build/plain/libhakmem.so \
		-w $(PGO_WORKLOADS) -t 1,2,8 -n 9 --duration 0.2 --no-progress -q -o build/pgo-run
	$(BIN)/mtbench rank build/pgo-run --of pgo --against plain

# The library of pgo without measuring.
pgo-library: .venv/tested
	rm -rf build/pgo
	$(BIN)/cmake -S allocator -B build/plain $(CMAKE_QUIET) -DHAKMEM_PGO= > /dev/null
	$(BIN)/cmake --build build/plain --target hakmem
	$(BIN)/cmake -S allocator -B build/pgo $(CMAKE_QUIET) -DHAKMEM_PGO=generate > /dev/null
	$(BIN)/cmake --build build/pgo --target hakmem
	LD_PRELOAD=build/pgo/libhakmem.so $(BIN)/python -c 'import sys, workloads as w; \
		[w.execute(w.request(w.catalogue()[n], threads=t, duration=0.3, warmup=0.1, seed=1)) \
		for n in sys.argv[1].split(",") for t in (1, 2, 8)]' $(PGO_WORKLOADS)
	test -n "$$(find build/pgo -name "*.gcda")"
	$(BIN)/cmake -S allocator -B build/pgo -DHAKMEM_PGO=use > /dev/null
	$(BIN)/cmake --build build/pgo --target hakmem

# What does pre-allocating the Mid registry buy? Measures (some 30 minutes on two cores) and writes
# docs/study.md; QUICK=1: 3 minutes, into build/study; RESUME=1: goes on with what was measured.
study: .venv/tested
	$(if $(RESUME),,$(MAKE) pgo-library || echo "no profile-guided build here: going on without it")
	$(BIN)/python -m study measure $(if $(QUICK),--quick) $(if $(RESUME),--resume)
	$(BIN)/python -m study render $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python -m tools.documents README.md)

# hakmem against every peer: the standard matrix, into runs/rank (about 40 minutes on two cores).
RANK_WORKLOADS := mid_gap,mid_replace,mid_exchange,random_mixed,tiny_exchange,larson,larson_mid,producer_consumer,remote,large_mixed,huge_mixed
RANK_OPTIONS ?= -n 5 --duration 0.2 --warmup 0.1 --latency-every 0
rank: .venv/installed
	$(BIN)/mtbench sweep -a all -w $(RANK_WORKLOADS) -t 1-64 $(RANK_OPTIONS) -o runs/rank
	$(BIN)/mtbench rank runs/rank --of hakmem

# The learned huge threshold against fixed ones, on work whose best threshold changes half way.
learner: .venv/installed
	$(BIN)/python -m tools.learner --seconds 5

# The tool measured with itself: false claims and planted slowdowns (13 minutes), and what it costs
# (2 minutes). Both keep their numbers under docs/data and write the tables of docs/measurement.md.
aa: .venv/installed
	$(BIN)/python -m tools.selfcheck aa -o docs/data/aa.json; aa=$$?; \
		$(BIN)/python -m tools.selfcheck planted -o docs/data/planted.json; planted=$$?; \
		$(BIN)/python -m tools.documents docs/measurement.md && test $$aa = 0 && test $$planted = 0

# What the tool costs, the second of these.
cost: .venv/installed
	$(BIN)/python -m tools.selfcheck cost -o docs/data/cost.json; cost=$$?; \
		$(BIN)/python -m tools.documents docs/measurement.md && test $$cost = 0

# Everything in docs/ and README.md that is made from data or code, made anew.
docs: .venv/tested
	$(BIN)/python -m tools.documents

# Every figure in every condition, as one page.
gallery: .venv/installed
	$(BIN)/python -m tools.gallery build/gallery

# Real programs under hakmem, output compared with the system malloc's.
real: .venv/tested
	$(BIN)/python -m tests.real.run

# A new user's first commands on other machines: Debian roots, other Pythons, odd paths (needs root;
# an hour on two cores, less with MACHINES='-j 3'; MACHINES='--only debian' runs some of them).
machines: .venv/tested
	$(BIN)/python -m tests.machines.matrix $(MACHINES); machines=$$?; \
		$(BIN)/python -m tools.documents docs/reliability.md && test $$machines = 0

# What make made, gone.
clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache
