"""What is preloaded instead of a malloc or beside one: calls counted, plug-ins opened."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mtbench.mallocs.allocators import worker_environment
from mtbench.trial.tally import Counts, counting, counts
from workloads.native import deepbind_library

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

Built = Callable[..., Path]


@pytest.fixture
def built(tmp_path: Path) -> Built:
    """A program, or another file that the compiler makes, of C source text."""

    def build(name: str, source: str, *flags: str) -> Path:
        text, made = tmp_path / f"{name}.c", tmp_path / name
        text.write_text(source)
        options = ["-D_GNU_SOURCE", "-O1", "-fno-builtin", "-pthread", *flags]
        subprocess.run(["cc", *options, "-o", str(made), str(text), "-ldl"], check=True)
        return made

    return build


def counted(program: Path, file: Path, *arguments: str, **more: str) -> Counts:
    """What a program that has to succeed made the tally count."""
    environment = worker_environment(counting(file)) | more
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    return counts(file)


HEAD = """
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void work(int pairs) {
    for (int i = 0; i < pairs; i++) {
        free(malloc(1000));
    }
}
static void *thread(void *none) {
    work(10000);
    return none;
}
"""


def test_every_thread_and_process_is_counted(built: Built, tmp_path: Path) -> None:
    program = built(
        "all",
        HEAD
        + """
int main(int argc, char **argv) {
    if (argc > 1) {
        work(10000);
        _exit(0);
    }
    pthread_t other;
    for (int i = 0; i < 3; i++) {
        pthread_create(&other, NULL, thread, NULL);
        pthread_join(other, NULL);
    }
    work(5000);
    if (fork() == 0) {
        work(10000);
        execl(argv[0], argv[0], "again", NULL);
    }
    work(5000);
    wait(NULL);
    puts("ok");
}
""",
    )
    found = counted(program, tmp_path / "tally")
    threads = 6
    pairs = threads * 10000
    assert int.from_bytes((tmp_path / "tally").read_bytes()[:8], "little") == threads
    assert pairs <= found.calls <= pairs + 200 and pairs <= found.frees <= pairs + 200
    assert 1000 * pairs <= found.bytes <= 1000 * pairs + (1 << 18)
    assert 2 * pairs / 64 * 0.8 < found.sampled < 2 * pairs / 64 * 1.2
    assert 0 < found.sampled_ns < found.sampled * 50_000


FAKE = """
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static long now_ns = 1000;
int clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    now_ns += 400;
    time->tv_sec = now_ns / 1000000000;
    time->tv_nsec = now_ns % 1000000000;
    return 0;
}
void *__libc_malloc(size_t bytes) {
    static _Alignas(16) char room[1 << 20];
    static size_t used;
    now_ns += 10;
    used = used + bytes < sizeof room ? used : 0;
    void *block = room + used;
    used += (bytes + 15) & ~(size_t)15;
    return block;
}
void __libc_free(void *block) {
    (void)block;
    now_ns += TAKES;
}
int main(void) {
    for (int i = 0; i < 32000; i++) {
        free(malloc(16));
    }
    return write(1, "ok\\n", 3) != 3;
}
"""
"""A clock of its own: reading it costs 400 ns, malloc 10, free as much as is said."""


@pytest.mark.parametrize(("takes", "seen"), [(990, 990), (100_000, 50_000)])
def test_calls_of_either_kind_are_timed_without_the_clock(
    built: Built, tmp_path: Path, takes: int, seen: int
) -> None:
    found = counted(built("fake", FAKE, "-rdynamic", f"-DTAKES={takes}"), tmp_path / "tally")
    assert 850 < found.sampled < 1150
    assert (10 + seen) / 2 * 0.9 < found.sampled_ns / found.sampled < (10 + seen) / 2 * 1.1


OTHER = """
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>
void *malloc(size_t bytes) { abort(); }
void free(void *block) { abort(); }
void *calloc(size_t count, size_t bytes) { abort(); }
void *realloc(void *block, size_t bytes) { abort(); }
void *reallocarray(void *block, size_t count, size_t bytes) { abort(); }
void *memalign(size_t alignment, size_t bytes) { abort(); }
void *aligned_alloc(size_t alignment, size_t bytes) { abort(); }
int posix_memalign(void **block, size_t alignment, size_t bytes) { abort(); }
void *valloc(size_t bytes) { abort(); }
void *pvalloc(size_t bytes) { abort(); }
size_t malloc_usable_size(void *block) { abort(); }
"""


def test_every_name_of_malloc_is_one_heap(built: Built, tmp_path: Path) -> None:
    source = """
int main(void) {
    void *block = NULL;
    work(1000);
    free(valloc(100));
    free(pvalloc(100));
    free(reallocarray(malloc(8), 10, 10));
    free(realloc(valloc(100), 5000));
    free(realloc(strdup("text"), 1 << 20));
    free(realloc(NULL, 20));
    free(aligned_alloc(64, 128));
    free(memalign(4096, 100));
    free(NULL);
    if (malloc_usable_size(block = calloc(3, 5)) < 15) {
        return 2;
    }
    free(block);
    errno = 7;
    if (posix_memalign(&block, 3, 10) != EINVAL || posix_memalign(&block, 64, 10) != 0 ||
        (size_t)block % 64 != 0 || errno != 7) {
        return 3;
    }
    free(block);
    volatile size_t most = -1;
    if (reallocarray(NULL, most / 2, 4) != NULL || malloc(most / 2) != NULL ||
        calloc(most / 8, 16) != NULL || errno != ENOMEM ||
        posix_memalign(&block, 64, most / 2) != ENOMEM) {
        return 4;
    }
    puts("ok");
}
"""
    # It links another malloc, as Debian's redis-server does.
    other = built("libother.so", OTHER, "-shared", "-fPIC")
    linked = ("-Wl,--no-as-needed", f"-Wl,-rpath,{tmp_path}", str(other))
    found = counted(built("names", HEAD + source, *linked), tmp_path / "tally")
    assert 1016 <= found.calls < 1100


def test_without_a_file_of_its_own_nothing_is_counted(built: Built, tmp_path: Path) -> None:
    program = built("plain", HEAD + 'int main(void) { work(100); puts("ok"); }')
    file = tmp_path / "tally"
    assert counted(program, file, MTBENCH_TALLY="").calls == 0
    (tmp_path / "short").write_bytes(b"")
    assert counted(program, file, MTBENCH_TALLY=str(tmp_path / "short")).calls == 0
    assert counted(program, file, MTBENCH_TALLY=str(tmp_path)).calls == 0
    assert counted(program, file).calls >= 100


def test_more_threads_than_slots_are_no_harm(built: Built, tmp_path: Path) -> None:
    file = tmp_path / "tally"
    program = built("plain", HEAD + 'int main(void) { work(100); puts("ok"); }')
    environment = worker_environment(counting(file))
    with file.open("r+b") as opened:
        opened.write((1 << 20).to_bytes(8, "little"))
    subprocess.run([program], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
    assert 100 <= counts(file).calls < 200


def test_a_plug_in_is_found_by_the_search_path_of_who_opens_it(
    built: Built, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    built("parts/libpart.so", "int part(void) { return 7; }", "-shared", "-fPIC")
    source = """
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    void *part = dlopen("libpart.so", RTLD_NOW | RTLD_DEEPBIND);
    puts(part != NULL && dlsym(part, "part") != NULL ? "ok" : dlerror());
}
"""
    path = ("-Wl,--enable-new-dtags,-rpath,$ORIGIN/parts",)
    environment = {**os.environ, "LD_PRELOAD": str(deepbind_library())}
    for program in (built("by_runpath", source, *path), built("by_nothing", source)):
        done = subprocess.run([program], env=environment, capture_output=True, text=True)
        assert (done.stdout == "ok\n") == (program.name == "by_runpath"), done
