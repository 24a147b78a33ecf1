"""Real programs whose output must not depend on the malloc: what to run, and what to compare.

A program is a function that runs everything in a folder with an environment and returns what must
be equal, as text. It raises UnavailableError, with the reason, where the program is missing.
Nothing in the text may depend on time, paths or process numbers.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Environment = dict[str, str]
LIMIT_S = 600.0


class Run(Protocol):
    """Runs everything in a folder with an environment; what must be equal, as text."""

    def __call__(self, folder: Path, environment: Environment, /, *, quick: bool) -> str:
        """quick: with small inputs."""


class UnavailableError(Exception):
    """The program cannot run here; the message says why."""


@dataclass(frozen=True)
class Program:
    """packages: of the distribution, that it needs. quick: whether it belongs to the quick part."""

    name: str
    run: Run
    packages: tuple[str, ...] = ()
    quick: bool = field(default=False, kw_only=True)


def need(*names: str) -> list[str]:
    """Paths of the executables, or UnavailableError."""
    found = [shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing:
        raise UnavailableError(f"not installed: {', '.join(missing)}")
    return [path for path in found if path is not None]


def call(
    command: Sequence[str | Path],
    folder: Path,
    environment: Environment,
    *,
    text: str | None = None,
    limit_s: float = LIMIT_S,
) -> str:
    """stdout of a command that must end with exit code 0; anything else is a failed program."""
    name = Path(str(command[0])).name
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name}: no end within {limit_s:g} s") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:] or [""]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        raise RuntimeError(f"{name}: {how}: {words[0][:120]}")
    return done.stdout


def digest(*files: Path) -> str:
    """SHA-256 over the files' bytes, in order."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def lines(count: int) -> str:
    """Deterministic text that is neither sorted nor trivially compressible."""
    state, rows = 1, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        rows.append(f"{state >> 33:010d} line {state >> 40} of the input")
    return "\n".join(rows) + "\n"


def cpython(modules: Sequence[str]) -> Run:
    """The interpreter's own tests, with every object served by malloc: each test's verdict."""

    def run(folder: Path, environment: Environment, *, quick: bool) -> str:
        python = getattr(sys, "_base_executable", sys.executable)
        search = "import test.support, sys; from importlib.util import find_spec as f; "
        search += "print(*[m for m in sys.argv[1:] if f('test.' + m)])"
        try:
            found = call([python, "-c", search, *modules], folder, environment).split()
        except RuntimeError:
            found = []
        if not found:
            raise UnavailableError(f"{python} has none of {', '.join(modules)}")
        environment = environment | {"PYTHONMALLOC": "malloc", "TMPDIR": str(folder)}
        done = subprocess.run(
            [python, "-m", "test", "-v", *found],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode < 0:
            raise RuntimeError(f"python: signal {-done.returncode}")
        # Some tests may fail wherever they run: what counts is that the same ones do.
        verdict = re.compile(r"^(test\w+) \(.*?\).*\.\.\. (ok|FAIL|ERROR|skipped)", re.MULTILINE)
        return "\n".join(sorted(f"{name} {how}" for name, how in verdict.findall(done.stdout)))

    return run


def git(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("git")
    who = {
        f"GIT_{r}_{k}": v
        for r in ("AUTHOR", "COMMITTER")
        for k, v in (("NAME", "n"), ("EMAIL", "e@example.org"), ("DATE", "2001-01-01T00:00:00Z"))
    }
    environment = environment | who | {"HOME": str(folder)}
    call([program, "init", "-q", "-b", "main", "."], folder, environment)
    for commit in range(5 if quick else 40):
        for number in range(20):
            (folder / f"file{number}").write_text(lines(50 + 7 * commit + number))
        call([program, "add", "-A", "--", "file*"], folder, environment)
        call([program, "commit", "-q", "-m", f"c{commit}"], folder, environment)
    call([program, "repack", "-adfq", "--threads=2"], folder, environment)
    out = call([program, "fsck", "--full", "--strict"], folder, environment)
    return out + call([program, "rev-list", "--objects", "--all"], folder, environment)


def gcc(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("gcc")
    body = "".join(
        f"int f{i}(int a,int b){{int s=0;for(int i=0;i<a;i++)s+=(i*b)^{i};return s;}}\n"
        for i in range(300 if quick else 3000)
    )
    (folder / "many.c").write_text(body)
    call([program, "-O2", "-S", "-fno-ident", "many.c", "-o", "many.s"], folder, environment)
    return digest(folder / "many.s")


def make(folder: Path, environment: Environment, *, quick: bool) -> str:
    program, _ = need("make", "gcc")
    count = 12 if quick else 120
    for i in range(count):
        (folder / f"u{i}.c").write_text(f"int u{i}(int x) {{ return x * {i} + {i}; }}\n")
    objects = " ".join(f"u{i}.o" for i in range(count))
    (folder / "Makefile").write_text(f"all: {objects}\n%.o: %.c\n\tgcc -O1 -c $< -o $@\n")
    call([program, "-s", "-j4"], folder, environment)
    return digest(*(folder / f"u{i}.o" for i in range(count)))


def sort(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("sort")
    (folder / "in").write_text(lines(100_000 if quick else 1_000_000))
    call([program, "--parallel=4", "-S", "8M", "-T", ".", "in", "-o", "out"], folder, environment)
    return digest(folder / "out")


def tar(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("tar")
    (folder / "tree").mkdir()
    for i in range(200 if quick else 3000):
        (folder / "tree" / f"n{i}").write_text(lines(20))
    fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    call([program, *fixed, "--mode=644", "-cf", "all.tar", "tree"], folder, environment)
    return call([program, "-tvf", "all.tar"], folder, environment | {"TZ": "UTC"})


def xz(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("xz")
    (folder / "in").write_text(lines(60_000 if quick else 500_000))
    before = digest(folder / "in")
    call([program, "-T2", "-2", "--block-size=1MiB", "in"], folder, environment)
    packed = digest(folder / "in.xz")
    call([program, "-d", "-T2", "in.xz"], folder, environment)
    if digest(folder / "in") != before:
        raise RuntimeError("xz: what came out is not what went in")
    return packed


def sqlite(folder: Path, environment: Environment, *, quick: bool) -> str:
    """Four processes write one database at the same time."""
    (program,) = need("sqlite3")
    call([program, "db", "pragma journal_mode=wal; create table t(w, i, s);"], folder, environment)
    rows = 100 if quick else 1000
    script = ".timeout 60000\n" + "".join(
        f"insert into t values(W, {i}, hex(zeroblob({i % 300})));\n" for i in range(rows)
    )
    writers = []
    for writer in range(4):
        file = folder / f"script{writer}"
        file.write_text(script.replace("W", str(writer)))
        with file.open() as source:
            writers.append(
                subprocess.Popen([program, "db"], cwd=folder, env=environment, stdin=source)
            )
    codes = [writer.wait(timeout=LIMIT_S) for writer in writers]
    if any(codes):
        raise RuntimeError("sqlite3: a writer failed")
    question = "select count(*), sum(i), sum(length(s)) from t; pragma integrity_check;"
    return call([program, "db", question], folder, environment)


def perl(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("perl")
    script = """
my $n = shift; my (%h, @a); my $s = 1;
for my $i (1..$n) { $s = ($s * 1103515245 + 12345) % 2147483648; my $k = "k" . ($s % 5000);
  $h{$k} .= chr(97 + $i % 26); push @a, $s; $h{$k} =~ s/(.{40}).*/$1/; }
my @b = sort { $a <=> $b } @a; print scalar(keys %h), " $b[0] $b[-1]\\n";
print join(",", map { "$_=$h{$_}" } sort keys %h), "\\n";
"""
    return call([program, "-e", script, "60000" if quick else "600000"], folder, environment)


def node(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("node")
    script = """
const crypto = require('crypto'); const n = Number(process.argv[1]);
const h = crypto.createHash('sha256'); const m = new Map(); let bufs = [];
for (let i = 0; i < n; i++) { m.set('k' + (i * 7919) % 5003, { i, s: 'x'.repeat(i % 50) });
  bufs.push(Buffer.alloc((i * 31) % 5000, i % 256)); if (bufs.length > 200) bufs = []; }
for (const b of bufs) h.update(b); h.update(JSON.stringify([...m])); console.log(h.digest('hex'));
"""
    return call([program, "-e", script, "30000" if quick else "300000"], folder, environment)


def java(folder: Path, environment: Environment, *, quick: bool) -> str:
    program, _ = need("java", "javac")
    (folder / "M.java").write_text(
        "import java.util.*;public class M{public static void main(String[] a)throws Exception{"
        "Thread[] t=new Thread[4];long[] r=new long[4];for(int k=0;k<4;k++){int z=k;"
        "t[k]=new Thread(()->{Map<Integer,byte[]> m=new HashMap<>();for(int i=0;i<20000;i++)"
        "m.put(i*7919%503,new byte[i%3000]);for(byte[] b:m.values())r[z]+=b.length;});"
        "t[k].start();}for(Thread x:t)x.join();System.out.println(Arrays.toString(r));}}"
    )
    call(["javac", "M.java"], folder, environment)
    return call([program, "-Xmx256m", "-cp", ".", "M"], folder, environment)


def magick(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("convert")
    size = "256x256" if quick else "1500x1500"
    drawn = ["-size", size, "gradient:red-blue", "-blur", "0x4", "-rotate", "30", "out.ppm"]
    call([program, *drawn], folder, environment)
    return digest(folder / "out.ppm")


def ffmpeg(folder: Path, environment: Environment, *, quick: bool) -> str:
    (program,) = need("ffmpeg")
    source = f"testsrc=duration={1 if quick else 8}:size=640x360:rate=25"
    flags = ["-v", "error", "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-threads", "2"]
    return call([program, *flags, "-f", "md5", "-"], folder, environment)


def wait_until(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    """Polls; RuntimeError when the time is over."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"a server did not start within {seconds:g} s")
        time.sleep(0.05)
