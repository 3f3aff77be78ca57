"""Mutation testing: change one small thing in a file, run the file's tests, and see whether any of them notices.

    python -m tests.mutants                              every file of [tool.mutants] in pyproject.toml
    python -m tests.mutants recon/hull.py --survivors    one file, only what no test noticed last time
    python -m tests.mutants --table                      the table of docs/testing.md, from the last results

The changes are mutmut's. Its own runner skips decorated functions, properties and module level, where much of this
project lives, so a small one stands here. It collects a file's tests once and forks a process a change, which puts the
changed function in place and runs only the tests that reach the changed statement, quickest first.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import pickle
import random
import resource
import signal
import sys
import time
import tomllib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import CodeType, FunctionType

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.file_mutation import MutationVisitor, OuterFunctionProvider
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

RESULTS = Path("out/mutants")
EQUIVALENT = Path("tests/equivalent.txt")
OPTIONS = ["-x", "-q", "-s", "-p", "no:xdist", "-p", "no:cacheprovider", "--tb=no"]


# -- what is changed ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """One change of a file: its lines, what they were and are, the function around it, and what the tests said."""

    line: int
    last: int
    before: str
    after: str
    function: str = ""
    verdict: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.before, self.after


class Mutations(MutationVisitor):
    """mutmut's mutations, decorated functions included; `raise`, words for people and `strict=` of `zip` left out."""

    METADATA_DEPENDENCIES = (PositionProvider, OuterFunctionProvider, ParentNodeProvider)

    def _skip_node_and_children(self, node):
        if isinstance(node, cst.FunctionDef):
            return False
        if isinstance(node, cst.Raise) or (isinstance(node, cst.Arg) and _is_strict(node)):
            return True
        if isinstance(node, cst.SimpleString) and " " in node.value:
            return True
        return super()._skip_node_and_children(node)

    def _create_mutations(self, node):
        count = len(self.mutations)
        super()._create_mutations(node)
        if isinstance(node, cst.Call) and (strict := [arg.value for arg in node.args if _is_strict(arg)]):
            kept = [m for m in self.mutations[count:] if strict[0] in [arg.value for arg in m.mutated_node.args]]
            self.mutations[count:] = kept

    def place(self, node):
        """Lines of the statement around a node (of a compound one, its head), the function around it, if any, and the
        statement of the module that holds both."""
        lines, scope, inner = None, [], False
        while not isinstance(node, cst.Module):
            below, node = node, self.get_metadata(ParentNodeProvider, node)
            if lines is None and isinstance(below, (cst.SimpleStatementLine, cst.BaseCompoundStatement)):
                first, last = (
                    getattr(self.get_metadata(PositionProvider, below), end).line for end in ("start", "end")
                )
                if isinstance(below, cst.BaseCompoundStatement):
                    last = max(self.get_metadata(PositionProvider, below.body).start.line - 1, first)
                lines = first, last
            if isinstance(node, cst.FunctionDef) and below is node.body:
                scope, inner = [node.name.value], True
            elif isinstance(node, cst.ClassDef) and inner:
                scope = [node.name.value, *scope]
        return *lines, ".".join(scope), below


def _is_strict(arg):
    return arg.keyword is not None and arg.keyword.value == "strict"


def mutations(path):
    """A visitor that has seen a file, the file's tree, and its wrapper."""
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
    visitor = Mutations(mutation_operators, IgnoredCode(set(), set(), set()))
    return visitor, wrapper.visit(visitor), wrapper


def mutants(path):
    """Every mutant of a file with the whole file's source."""
    visitor, module, wrapper = mutations(path)
    parts = {statement: module.code_for_node(statement) for statement in module.body}
    head = "".join(module.code_for_node(line) for line in module.header)
    with visitor.resolve(wrapper):
        places = [visitor.place(mutation.original_node) for mutation in visitor.mutations]
    for mutation, (first, last, function, top) in zip(visitor.mutations, places, strict=True):
        changed = module.code_for_node(top.deep_replace(mutation.original_node, mutation.mutated_node))
        diff = list(difflib.unified_diff(parts[top].splitlines(), changed.splitlines(), n=0, lineterm=""))[2:]
        before, after = (" ".join(line[1:].strip() for line in diff if line[0] == sign) for sign in "-+")
        yield Mutant(first, last, before, after, function), head + "".join((parts | {top: changed}).values())


# -- running --------------------------------------------------------------------------------------------------


def fork(work, seconds):
    """What `work` returns in a process of its own, or None where it dies or takes more than so many seconds."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 6 * 2**30,) * 2)
            now = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            resource.setrlimit(resource.RLIMIT_CPU, (int(now + seconds) + 1,) * 2)
            signal.alarm(10 * int(seconds) + 10)  # for what sleeps
            with os.fdopen(write, "wb") as file:
                pickle.dump(work(), file)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        content = file.read()
    os.waitpid(child, 0)
    return pickle.loads(content) if content else None


class Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Gives a changed source where a module is imported."""

    def __init__(self, path, source):
        super().__init__(".".join(path.with_suffix("").parts), str(path.resolve()))
        self.source = source

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, name):
        return compile(self.source, self.path, "exec")


class Judge:
    """A pytest plugin: instead of running the tests once, lets them judge every mutant of a file."""

    def __init__(self, path, tests, chosen, known):
        self.path, self.tests, self.chosen, self.known = path, tests, chosen, known
        self.judged, self.early = [], set()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self):
        sys.settrace(self.tracer(self.early))
        try:
            return (yield)
        finally:
            sys.settrace(None)

    def tracer(self, lines):
        """Writes down which lines of the file are run."""
        file = str(self.path.resolve())

        def trace(frame, event, arg):
            if frame.f_code.co_filename != file:
                return None
            lines.add(frame.f_lineno)
            return trace

        return trace

    def pytest_runtestloop(self, session):
        self.session = session
        file = str(self.path.resolve())
        functions = [f for f in gc.get_objects() if type(f) is FunctionType and f.__code__.co_filename == file]
        self.functions = defaultdict(list)
        for function in functions:
            self.functions[_name(function.__code__)].append(function)
        gc.freeze()
        reach = fork(self.reach, 1000)
        if reach is None:
            pytest.exit(f"the tests of {self.path} fail without any change", 1)
        self.lines, self.seconds = reach
        for number, (mutant, source) in enumerate(self.chosen):
            verdict = self.known.get(mutant.key) or self.verdict(mutant, source)
            self.judged.append(replace(mutant, verdict=verdict))
            if verdict == "survived":
                print(f"{self.path}:{mutant.line}\n- {mutant.before}\n+ {mutant.after}", flush=True)
            print(f"{number + 1} of {len(self.chosen)}", end="\r", file=sys.stderr)
        return True

    def run(self, items):
        """Whether tests pass; the first that fails ends it."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            signal.setitimer(signal.ITIMER_PROF, 2 + 10 * self.seconds.get(item.nodeid, 0))  # kills what never ends
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.session.testsfailed:
                return False
        return True

    def reach(self):
        """Which lines of the file each test runs and how many seconds it takes; None where one fails."""
        lines, seconds = defaultdict(set), {}
        for item in self.session.items:
            start = time.process_time()
            sys.settrace(self.tracer(lines[item.nodeid]))
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            sys.settrace(None)
            seconds[item.nodeid] = time.process_time() - start
        return None if self.session.testsfailed else (dict(lines), seconds)

    def verdict(self, mutant, source):
        """What the tests say of a mutant: noticed, or survived."""
        here = set(range(mutant.line, mutant.last + 1))
        items = [item for item in self.session.items if here & self.lines.get(item.nodeid, set())]
        items.sort(key=lambda item: self.seconds[item.nodeid])
        limit = 10 + 3 * sum(self.seconds[item.nodeid] for item in items)
        if mutant.function and items and not fork(lambda: self.swapped(source, items), limit):
            return "noticed"
        # What was run while the tests were collected would not be run again.
        if not mutant.function or here & self.early:
            return "survived" if fork(lambda: self.imported(source), 20 + 3 * sum(self.seconds.values())) else "noticed"
        return "survived"

    def swapped(self, source, items):
        """Whether tests pass with the changed functions in place of the file's."""
        for code in _codes(compile(source, str(self.path.resolve()), "exec")):
            for function in self.functions.get(_name(code), []):
                function.__code__ = code
        return self.run(items)

    def imported(self, source):
        """Whether tests pass where everything of the project is imported anew, with the changed file."""
        own = tuple(f"{folder.name}." for folder in Path().iterdir() if folder.is_dir())
        for name in [name for name in sys.modules if f"{name}.".startswith(own)]:
            del sys.modules[name]
        sys.meta_path.insert(0, Changed(self.path, source))
        return pytest.main([*OPTIONS, *self.tests]) == 0


def _codes(code):
    """Codes of functions in a module's code, those in classes included, those in functions not."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & 2:  # has fast locals: a function, not a class
                yield inner
            else:
                yield from _codes(inner)


def _name(code):
    return code.co_qualname, code.co_firstlineno


def test(path, tests, most, survivors):
    """Judge a file's mutants, at most so many, and write down what came of each."""
    every = list(mutants(path))
    for before, after in equivalents()[path.as_posix()].keys() - {mutant.key for mutant, _ in every}:
        print(f"{EQUIVALENT}: {path} has no such change:\n- {before}\n+ {after}", file=sys.stderr)
    if most:
        random.Random(0).shuffle(every)  # a larger choice holds a smaller one
        every = every[:most]
    known = dict.fromkeys(equivalents()[path.as_posix()], "equivalent")
    if survivors:
        before = results(path)
        open_ = {mutant.key for mutant in before if mutant.verdict == "survived"}
        known = {mutant.key: "noticed" for mutant in before if mutant.key not in open_} | known
    judge = Judge(path, tests, every, known)
    pytest.main([*OPTIONS, *tests], plugins=[judge])
    if not judge.judged:
        sys.exit(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    _record(path).write_text("".join(json.dumps(asdict(mutant)) + "\n" for mutant in judge.judged))


# -- results --------------------------------------------------------------------------------------------------


def _record(path):
    return RESULTS / f"{path.with_suffix('').as_posix().replace('/', '.')}.jsonl"


def results(path):
    record = _record(path)
    return [Mutant(**json.loads(line)) for line in record.read_text().splitlines()] if record.exists() else []


def equivalents():
    """Changes that no test can notice: {file: {(before, after): reason}}, from tests/equivalent.txt."""
    listed, path, pairs = defaultdict(dict), "", []
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []:
        sign, text = line[:2], line[2:]
        if sign == "- ":
            pairs.append([text, ""])
        elif sign == "+ ":
            pairs[-1][1] = text
        elif sign == "= ":
            listed[path] |= {tuple(pair): text for pair in pairs}
            pairs = []
        elif line and line[0] != "#":
            path = line
    return listed


def table(paths):
    """The table of docs/testing.md."""
    print("| file | changes | tried | noticed | equivalent | share |\n|---|---:|---:|---:|---:|---:|")
    total = Counter()
    for path in paths:
        judged = results(path)
        count = Counter(mutant.verdict for mutant in judged)
        count += Counter(all=len(mutations(path)[0].mutations), tried=len(judged))
        total += count
        print(_row(f"`{path}`", count))
    print(_row("all", total))


def _row(name, count):
    share = count["noticed"] / max(count["tried"] - count["equivalent"], 1)
    figures = (count[figure] for figure in ("all", "tried", "noticed", "equivalent"))
    return f"| {name} | {' | '.join(map(str, figures))} | {share:.1%} |"


def main():
    config = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutants"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="files to change (all of [tool.mutants])")
    parser.add_argument("--survivors", action="store_true", help="only what no test noticed last time")
    parser.add_argument("--most", type=int, default=0, help="a random choice of at most so many changes a file")
    parser.add_argument("--table", action="store_true", help="print the last results")
    options = parser.parse_args()
    paths = options.files or [Path(file) for file in config["files"]]
    for path in paths if not options.table else []:
        mirror = [f"tests/{path.parent.as_posix()}/test_{path.stem}.py"]
        # A process a file: what one has imported would be in another's way.
        if len(paths) > 1 and (child := os.fork()):
            os.waitpid(child, 0)
            continue
        test(path, config.get("tests", {}).get(path.as_posix(), mirror), options.most, options.survivors)
        if len(paths) > 1:
            os._exit(0)
    table(paths)


if __name__ == "__main__":
    main()
