# Thin: CMake builds, scripts test. See docs/testing.md.
BUILD ?= build
TEST_BUILD ?= build-test
TYPE ?= RelWithDebInfo
PREFIX ?= /usr
PYTHON = /usr/bin/python3
# Of make check: kinds of tests, or names of files of tests/e2e (tests/check tells them); empty: all.
CHECK ?=

all: configure
	cmake --build $(BUILD)

configure:
	@test -f $(BUILD)/build.ninja || cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=$(TYPE) \
	    -DCMAKE_INSTALL_PREFIX=$(PREFIX)

# The same sources with the holds that tests need (GB_TEST_HOOKS); never installed.
test-build:
	@test -f $(TEST_BUILD)/build.ninja || cmake -S . -B $(TEST_BUILD) -G Ninja -DCMAKE_BUILD_TYPE=$(TYPE) \
	    -DGB_TEST_HOOKS=ON
	cmake --build $(TEST_BUILD)

deps:
	@packaging/install-debian-packages deps

demo:
	@packaging/install-debian-packages demo
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) $(PYTHON) tests/e2e/demo

check:
	@packaging/install-debian-packages check
	@$(MAKE) --no-print-directory test-build
	@BUILD=$(TEST_BUILD) $(PYTHON) tests/check $(CHECK)

# What depends on the server's formats and locks, on MariaDB 11.8, in a Debian 13 that is made for it.
CHECK_11_8 = unit mtr test_full_standalone test_full_galera test_invariant test_rules test_regressions test_aria test_surface \
    test_formats test_storm

check-11.8:
	@packaging/install-debian-packages check-11.8
	@BUILD=$(TEST_BUILD) tests/debian-root trixie sh -c \
	    'mariadbd --version | grep -F "Ver 11.8." && make check CHECK="$(or $(CHECK),$(CHECK_11_8))"'

check-long:
	@packaging/install-debian-packages check-long
	@GB_TEST_LONG=1 $(MAKE) --no-print-directory check; status=$$?; \
	    GB_TEST_BACKUPS=30 $(MAKE) --no-print-directory check-11.8 && exit $$status

check-sanitizers:
	@packaging/install-debian-packages check
	@$(MAKE) --no-print-directory test-build
	@BUILD=$(TEST_BUILD) $(PYTHON) tests/check sanitizers

fuzz:
	@packaging/install-debian-packages check
	@$(MAKE) --no-print-directory test-build
	@BUILD=$(TEST_BUILD) $(PYTHON) tests/check fuzz

bench:
	@packaging/install-debian-packages bench
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) $(PYTHON) tests/bench/bench

bench-feel:
	@packaging/install-debian-packages bench
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) $(PYTHON) tests/bench/feel

install: all
	cmake --install $(BUILD)

clean:
	rm -rf $(BUILD) $(TEST_BUILD) $(TEST_BUILD)-asan $(TEST_BUILD)-tsan $(TEST_BUILD)-fuzz

.PHONY: all configure test-build deps demo check check-11.8 check-long check-sanitizers fuzz bench bench-feel install clean
