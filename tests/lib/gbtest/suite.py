"""Running the tests of one file: 'ok NAME', 'FAIL NAME: why', a total, and an exit status that tells the truth.

    suite = Suite()
    @suite.test
    def restores_what_it_backed_up(): ...
    suite.main()

Arguments name the tests to run (default: all, in the order of the file); -l lists them. GB_TEST_LONG=1 asks for the
full form. What the tests started is ended by processes.cleanup() at the end of the file, whatever happened.
"""
import functools
import os
import sys
import time
import traceback

from . import processes

LONG = bool(os.environ.get('GB_TEST_LONG'))


def say(text):
    print(text, flush=True)


class Skipped(Exception):
    pass


class Shared:
    """What the tests of a file share, made by the first that asks; if that fails, each of them fails and says so."""

    def __init__(self, make):
        self.make, self.made, self.failure = make, None, None

    def __call__(self):
        if self.failure is not None:
            raise AssertionError(f'what this test needs could not be made: {self.failure}')
        if self.made is None:
            try:
                self.made = self.make()
            except Exception as error:
                self.failure = error
                raise
        return self.made


class Suite:
    def __init__(self):
        self.tests = []

    def skip(self, why):
        """Ends the test as neither passed nor failed: what it needs can't be had here."""
        raise Skipped(why)

    def test(self, function):
        self.add(function.__name__, function)
        return function

    def add(self, name, function, *arguments, **options):
        self.tests.append((name, functools.partial(function, *arguments, **options)))

    def main(self):
        wanted = [word for word in sys.argv[1:] if not word.startswith('-')]
        names = [name for name, _ in self.tests]
        if '-l' in sys.argv:
            say('\n'.join(names))
            sys.exit(0)
        unknown = [word for word in wanted if not any(word in name for name in names)]
        if unknown:
            say(f'no test is named {unknown}; there are {names}')
            sys.exit(2)
        passed = failed = 0
        try:
            processes.run_dir()
            for name, function in self.tests:
                if wanted and not any(word in name for word in wanted):
                    continue
                begin = time.monotonic()
                try:
                    function()
                except Skipped as why:
                    say(f'skip {name}: {why}')
                except Exception as error:
                    failed += 1
                    why = ' '.join(str(error).split()) or repr(error)
                    say(f'FAIL {name}: {type(error).__name__}: {why[:1500]}')
                    traceback.print_exc()
                else:
                    passed += 1
                    say(f'ok {name} ({time.monotonic() - begin:.1f} s)')
        except processes.Interrupted as signal_name:
            say(f'interrupted by {signal_name}')
            failed += 1
        finally:
            processes.cleanup()
        say(f'{os.path.basename(sys.argv[0])}: {passed} passed, {failed} failed')
        sys.exit(1 if failed or not passed else 0)
