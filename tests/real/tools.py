"""Programs that look at a process from beside it, or keep it within limits: PHP's extensions, core
files, a faked clock, an emulated processor, Python's own limits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.real.programs import Environment, UnavailableError, call, lines, need

HANG_S = 60.0
PYTHON = getattr(sys, "_base_executable", sys.executable)

PHP = r"""
$doc = new DOMDocument();
$root = $doc->appendChild($doc->createElement('all'));
for ($i = 0; $i < $argv[1]; $i++) {
  $node = $root->appendChild($doc->createElement('row', mb_strtoupper("n\u{e4}me $i")));
  $node->setAttribute('id', mb_convert_encoding("\u{df}$i", 'ISO-8859-1', 'UTF-8') === "\xdf$i");
}
$text = $doc->saveXML();
$read = simplexml_load_string($text);
$parser = xml_parser_create();
xml_parse_into_struct($parser, $text, $values);
echo md5($text), ' ', count($read->row), ' ', count($values), ' ',
  mb_strlen($text), ' ', preg_match_all('/(\w+) 9+/u', $text), "\n";
"""


def php(folder: Path, environment: Environment, *, quick: bool) -> str:
    """Its extensions are opened with RTLD_DEEPBIND, and hand blocks to and fro."""
    (program,) = need("php")
    loaded = subprocess.run([program, "-m"], capture_output=True, text=True, check=False).stdout
    missing = {"dom", "mbstring", "SimpleXML", "xml"} - set(loaded.split())
    if missing:
        raise UnavailableError(f"php has no {', '.join(sorted(missing))}")
    command = [program, "-r", PHP, "--", "2000" if quick else "50000"]
    own = call(command, folder, environment)
    return own + call(command, folder, environment | {"USE_ZEND_ALLOC": "0"})


HELD_MIB, CORE_MIB = 60, 400
HOLDER = f"""
import sys
held = [bytes([i % 251]) * 3000 for i in range({HELD_MIB} * 349)]
print('ready', flush=True)
sys.stdin.read()
"""


def gcore(folder: Path, environment: Environment, *, quick: bool) -> str:
    """The core file of a process of some 70 MiB is not much larger."""
    program, limit = need("gcore", "prlimit")
    holder = subprocess.Popen(
        [PYTHON, "-c", HOLDER],
        cwd=folder,
        env=environment | {"PYTHONMALLOC": "malloc"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdin is not None
    try:
        if holder.stdout.readline() != "ready\n":
            raise RuntimeError("python did not start")
        bounded = [limit, f"--fsize={CORE_MIB << 20}", program, "-o", "core", str(holder.pid)]
        call(bounded, folder, dict(os.environ))
    finally:
        holder.stdin.close()
        holder.wait(timeout=60)
    (core,) = folder.glob("core.*")
    # gdb ends well where the file system's limit cuts its file.
    if core.stat().st_size > CORE_MIB << 20 >> 1:
        raise RuntimeError(f"gcore: {core.stat().st_size >> 20} MiB for a process of {HELD_MIB}")
    return f"below {CORE_MIB // 2} MiB\n"


TIMED = """
import datetime, threading
def work():
    held = [bytes(n % 3000) for n in range(20000)]
    held.sort(key=len)
    found.append(sum(map(len, held)))
found = []
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(datetime.datetime.now(datetime.timezone.utc), found)
"""


def faketime(folder: Path, environment: Environment, *, quick: bool) -> str:
    """libfaketime stands before libc's clocks; preloaded before and after the malloc."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise UnavailableError("not installed: libfaketimeMT.so.1")
    fake, malloc = str(found[0]), environment.get("LD_PRELOAD", "")
    environment |= {"FAKETIME": "2001-02-03 04:05:06", "TZ": "UTC", "PYTHONMALLOC": "malloc"}
    orders = [":".join(filter(None, order)) for order in ((malloc, fake), (fake, malloc))]
    return "".join(
        call([PYTHON, "-c", TIMED], folder, environment | {"LD_PRELOAD": order}, limit_s=HANG_S)
        for order in orders
    )


EMULATED_MIB = 512


def qemu(folder: Path, environment: Environment, *, quick: bool) -> str:
    """The malloc in a program on an emulated processor, whose memory stays in bounds."""
    emulator, sort = need(f"qemu-{platform.machine()}", "sort")
    (folder / "in").write_text(lines(2000 if quick else 50_000))
    inside = {k: v for k, v in environment.items() if k.startswith(("LD_", "HAKMEM_"))}
    outside = {k: v for k, v in environment.items() if k not in inside}
    given = [part for k, v in inside.items() for part in ("-E", f"{k}={v}")]
    command = [emulator, *given, sort, "-S", "1M", "-o", "out", "in"]
    process = subprocess.Popen(command, cwd=folder, env=outside)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"qemu: ended with {process.returncode}")
    if used.ru_maxrss > EMULATED_MIB << 10:
        raise RuntimeError(f"qemu: {used.ru_maxrss >> 10} MiB resident")
    return (folder / "out").read_text()


LIMITED = """
import mmap, resource, threading
LIMIT = 1024
resource.setrlimit(resource.RLIMIT_AS, (LIMIT << 20, LIMIT << 20))
done = []
thread = threading.Thread(target=done.append, args=(1,))
thread.start(); thread.join()
mmap.mmap(-1, 1 << 20).close()
block = bytearray(100 << 20)
held = []
try:
    while len(held) < LIMIT:
        held.append(bytearray(1 << 20))
    print('never stopped')
except MemoryError:
    enough = len(held) > LIMIT // 2
    held.clear()
    print('stopped', enough, done, len(block), len([str(i) for i in range(100000)]))
"""


def python_limits(folder: Path, environment: Environment, *, quick: bool) -> str:
    """A process that limits its own address space has it to use, and is stopped at its end."""
    environment = environment | {"PYTHONMALLOC": "malloc"}
    return call([PYTHON, "-c", LIMITED], folder, environment, limit_s=HANG_S)
