# Everything a contributor types: `make help` lists it from the lines with two #. Each target installs
# what it needs into .venv first.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= $(shell nproc)
NINJA := -G Ninja "-DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja"
CMAKE_QUIET := $(NINJA) -DBUILD_TESTING=OFF
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/*) \
	$(shell find allocator workloads mtbench -name '*.[ch]' -o -name CMakeLists.txt -o -name build_ffi.py)

## This list. What is written in capitals is typed behind the target: make study QUICK=1.
help:
	@awk '/^## / { text[++lines] = substr($$0, 4); next } \
		/^[a-z0-9-]+:/ { sub(/:.*/, ""); for (i = 1; i <= lines; i++) \
		printf "%-12s  %s\n", i == 1 ? $$0 : "", text[i] } { lines = 0 }' Makefile

.PHONY: help sweep test trials ctest aarch64 sanitize lint format rank pgo pgo-library study learner aa \
	cost docs gallery programs real machines clean

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

## Measures every malloc of this machine for about two minutes; writes a report.
## SWEEP='-w larson -t 1,2': other cells.
sweep: .venv/installed
	$(BIN)/mtbench sweep --quick $(SWEEP)

## Every test: the C unit tests, then pytest.
test: ctest
	$(BIN)/python -m pytest -n $(JOBS) -q

TRIALS := $(patsubst %,tests/mtbench/test_%.py,reached isolate allocators)
## The tests that start trials: the core of `test` for other Pythons and machines.
trials: .venv/tested
	$(BIN)/python -m pytest -n $(JOBS) -q $(TRIALS)

## The C unit tests alone.
ctest: .venv/tested
	$(BIN)/cmake --preset release $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset release
	$(BIN)/ctest --preset release -j $(JOBS)

empty :=
AARCH64_QUICK := os vdso lock central pagemap pages cache registry huge
## The allocator's C tests for another processor; needs its cross compiler and qemu-user.
## QUICK=1: only what processor and system can make different, without the switches.
aarch64: .venv/tested
	$(BIN)/cmake --preset aarch64 $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset aarch64 $(if $(QUICK),--target $(AARCH64_QUICK:%=test-%))
	$(BIN)/ctest --preset aarch64 -j $(JOBS) $(if $(QUICK),-R \
		'test-($(subst $(empty) $(empty),|,$(AARCH64_QUICK)))(:|.pages|$$)')

## The C tests under ASan and UBSan, TSan and Valgrind; docs/data keeps what happened.
sanitize: .venv/tested
	$(BIN)/python -m tools.sanitize

TIDY := $(BIN)/clang-tidy --quiet --experimental-custom-checks
UNLESS_FAILED := 2> build/tidy.log || { cat build/tidy.log; false; }
# What CMake does not build, tests compile.
## Style, types and order: ruff, mypy --strict, clang-format, clang-tidy, import-linter.
lint: .venv/linted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	git ls-files '*.c' '*.h' | xargs $(BIN)/clang-format --dry-run --Werror
	$(BIN)/cmake --preset release $(NINJA) > /dev/null
	$(BIN)/cmake --build --preset release --target hakmem_hash workloads_hash > /dev/null
	git ls-files 'allocator/*.c' 'workloads/*.c' 'mtbench/*.c' | \
		xargs -P $(JOBS) -n 4 $(TIDY) -p build/release $(UNLESS_FAILED)
	git ls-files 'tests/*.c' 'tools/*.c' | \
		xargs -P $(JOBS) -I {} $(TIDY) {} -- -std=gnu11 -D_GNU_SOURCE= $(UNLESS_FAILED)
	$(BIN)/python -m pytest -q tests/allocator/test_rooms.py

## Formats Python and C as lint wants them.
format: .venv/linted
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.c' '*.h' | xargs $(BIN)/clang-format -i

PGO_WORKLOADS := mid_gap,mid_replace,random_mixed,mid_exchange,tiny_exchange
## Builds a profile-guided libhakmem.so in build/pgo; measures it beside the plain one.
pgo: pgo-library
	rm -rf build/pgo-run
	$(BIN)/mtbench sweep -a pgo=build/pgo/libhakmem.so,plain=build/plain/libhakmem.so \
		-w $(PGO_WORKLOADS) -t 1,2,8 -n 9 --duration 0.2 --no-progress -q -o build/pgo-run
	$(BIN)/mtbench rank build/pgo-run --of pgo --against plain

## The library of pgo, without measuring.
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

## Measures what pre-allocating a registry buys, 30 minutes; writes docs/study.md.
## QUICK=1: 3 minutes, into build/study. RESUME=1: goes on with what was measured.
study: .venv/tested
	$(if $(RESUME),,$(MAKE) pgo-library || echo "no profile-guided build here: going on without it")
	$(BIN)/python -m study measure $(if $(QUICK),--quick) $(if $(RESUME),--resume)
	$(BIN)/python -m study render $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python -m tools.documents README.md)

RANK_WORKLOADS := mid_gap,mid_replace,mid_exchange,random_mixed,tiny_exchange,larson,larson_mid,producer_consumer,remote,large_mixed,huge_mixed
RANK_OPTIONS ?= -n 5 --duration 0.2 --warmup 0.1 --latency-every 0
## Measures hakmem beside every peer, 40 minutes; into runs/rank.
## RANK_OPTIONS='-n 8': other than five trials of 0.2 s per cell.
rank: .venv/installed
	$(BIN)/mtbench sweep -a all -w $(RANK_WORKLOADS) -t 1-64 $(RANK_OPTIONS) -o runs/rank
	$(BIN)/mtbench rank runs/rank --of hakmem

## Measures the learned huge threshold beside fixed ones.
learner: .venv/installed
	$(BIN)/python -m tools.learner --seconds 5

## Measures the tool with itself, 13 minutes: false claims, planted slowdowns.
## The numbers go into docs/data, their tables into docs/measurement.md; so with cost.
aa: .venv/installed
	$(BIN)/python -m tools.selfcheck aa -o docs/data/aa.json; aa=$$?; \
		$(BIN)/python -m tools.selfcheck planted -o docs/data/planted.json; planted=$$?; \
		$(BIN)/python -m tools.documents docs/measurement.md && test $$aa = 0 && test $$planted = 0

## Measures what the tool costs, 2 minutes.
cost: .venv/installed
	$(BIN)/python -m tools.selfcheck cost -o docs/data/cost.json; cost=$$?; \
		$(BIN)/python -m tools.documents docs/measurement.md && test $$cost = 0

## Makes anew what docs/ and README.md hold that is made from data or code.
docs: .venv/tested
	$(BIN)/python -m tools.documents

## Draws every figure in every condition, as one page, into build/gallery.
gallery: .venv/installed
	$(BIN)/python -m tools.gallery build/gallery

PROGRAM_OPTIONS ?= -n 5 -a system,hakmem,jemalloc,tcmalloc,mimalloc,mimalloc-pypi,tbbmalloc
## Measures the programs that the distribution has here, 25 minutes; into runs/programs.
## Renews docs/programs.md. PROGRAM_OPTIONS='-n 9 -a all': more runs, every malloc.
programs: .venv/tested
	PATH=/usr/bin:/bin:$$PATH \
		$(BIN)/mtbench exec -p all -t 1,2,8 $(PROGRAM_OPTIONS) -o runs/programs || test $$? = 4
	$(BIN)/python -m tools.keep run runs/programs programs
	$(BIN)/python -m tools.documents docs/programs.md docs/guide/program.md

## Runs real programs under hakmem; compares their output with the system malloc's.
real: .venv/tested
	$(BIN)/python -m tests.real.run

## A new user's first commands on other machines: Debian, other Pythons, odd paths.
## Needs root; an hour. MACHINES='-j 3': less. MACHINES='--only debian': some of them.
machines: .venv/tested
	$(BIN)/python -m tests.machines.matrix $(MACHINES); machines=$$?; \
		$(BIN)/python -m tools.documents docs/reliability.md && test $$machines = 0

## Removes what make made.
clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache
