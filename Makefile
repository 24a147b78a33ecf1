# Everything a contributor types. Each target installs what it needs into .venv first.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= $(shell nproc)
NINJA := -G Ninja "-DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja"
CMAKE_QUIET := $(NINJA) -DBUILD_TESTING=OFF
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/*) \
	$(shell find allocator workloads mtbench -name '*.[ch]' -o -name CMakeLists.txt -o -name build_ffi.py)

.PHONY: sweep test trials ctest aarch64 sanitize lint format rank pgo pgo-library study learner aa \
	cost gallery real machines clean

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

# SWEEP='-w larson -t 1,2': other cells than the quick form's.
sweep: .venv/installed
	$(BIN)/mtbench sweep --quick $(SWEEP)

test: ctest
	$(BIN)/python -m pytest -n $(JOBS) -q

# The core of `test` for other Pythons and other machines: the tests that start trials.
TRIALS := $(patsubst %,tests/mtbench/test_%.py,reached isolate allocators)
trials: .venv/tested
	$(BIN)/python -m pytest -n $(JOBS) -q $(TRIALS)

ctest: .venv/tested
	$(BIN)/cmake --preset release $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset release
	$(BIN)/ctest --preset release -j $(JOBS)

# The allocator's C tests for another processor, emulated: its cross compiler and qemu-user. QUICK=1:
# without the switches, and only of what the processor or its kernel can make different.
empty :=
AARCH64_QUICK := os vdso lock central pagemap pages cache registry huge
aarch64: .venv/tested
	$(BIN)/cmake --preset aarch64 $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset aarch64 $(if $(QUICK),--target $(AARCH64_QUICK:%=test-%))
	$(BIN)/ctest --preset aarch64 -j $(JOBS) $(if $(QUICK),-R \
		'test-($(subst $(empty) $(empty),|,$(AARCH64_QUICK)))(:|.pages|$$)')

# The native tests under ASan+UBSan, under TSan and under Valgrind; docs/data keeps what happened.
sanitize: .venv/tested
	$(BIN)/python docs/sanitize.py

lint: .venv/linted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files '*.c' '*.h' | xargs $(BIN)/clang-format --dry-run --Werror
	$(BIN)/python -m pytest -q tests/allocator/test_rooms.py

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
	$(BIN)/python docs/study measure $(if $(QUICK),--quick) $(if $(RESUME),--resume)
	$(BIN)/python docs/study render $(if $(QUICK),--quick)

# hakmem against every peer: the standard matrix, into runs/rank (about 40 minutes on two cores).
RANK_WORKLOADS := mid_gap,mid_replace,mid_exchange,random_mixed,tiny_exchange,larson,larson_mid,producer_consumer,remote,large_mixed,huge_mixed
RANK_OPTIONS ?= -n 5 --duration 0.2 --warmup 0.1 --latency-every 0
rank: .venv/installed
	$(BIN)/mtbench sweep -a all -w $(RANK_WORKLOADS) -t 1-64 $(RANK_OPTIONS) -o runs/rank
	$(BIN)/mtbench rank runs/rank --of hakmem

# The learned huge threshold against fixed ones, on work whose best threshold changes half way.
learner: .venv/installed
	$(BIN)/python -m mtbench.learner --seconds 5

# The tool measured with itself: false claims and planted slowdowns (13 minutes), and what it costs
# (2 minutes). Both keep their numbers under docs/data and write the tables of docs/measurement.md.
aa: .venv/installed
	$(BIN)/python -m mtbench.selfcheck aa -o docs/data/aa.json; aa=$$?; \
		$(BIN)/python -m mtbench.selfcheck planted -o docs/data/planted.json; planted=$$?; \
		$(BIN)/python docs/measurement.py && test $$aa = 0 && test $$planted = 0

cost: .venv/installed
	$(BIN)/python -m mtbench.selfcheck cost -o docs/data/cost.json; cost=$$?; \
		$(BIN)/python docs/measurement.py && test $$cost = 0

# Every figure in every condition, as one page.
gallery: .venv/installed
	$(BIN)/python -m plots.gallery build/gallery

# Real programs under hakmem, output compared with the system malloc's.
real: .venv/tested
	$(BIN)/python tests/real/run.py

# A new user's first commands on other machines: Debian roots, other Pythons, odd paths (needs root;
# an hour on two cores, less with MACHINES='-j 3'; MACHINES='--only debian' runs some of them).
machines: .venv/tested
	$(BIN)/python tests/machines/matrix.py $(MACHINES); machines=$$?; \
		$(BIN)/python docs/reliability.py render && test $$machines = 0

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache
