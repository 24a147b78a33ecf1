"""Preloaded, the library is the process's malloc: by every name, in every plug-in, at any time."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import allocator
from workloads.preload import preload_path

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

PLUGIN = """
#include <stdlib.h>
#include <string.h>
void *plugin_take(size_t n) { return malloc(n); }
void plugin_give(void *block) { free(block); }
char *plugin_copy(const char *text) { return strdup(text); }
"""

OPENS_A_PLUGIN = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
    if (plugin == NULL) {
        puts(dlerror());
        return 2;
    }
    void *(*take)(size_t) = (void *(*)(size_t))dlsym(plugin, "plugin_take");
    void (*give)(void *) = (void (*)(void *))dlsym(plugin, "plugin_give");
    char *(*copy)(const char *) = (char *(*)(const char *))dlsym(plugin, "plugin_copy");
    for (int i = 0; i < 1000; i++) {
        free(take((size_t)i * 100));
        give(calloc(3, (size_t)i));
        free(copy("text"));
    }
    puts("ok");
}
"""

OTHER_NAMES = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t), *__libc_valloc(size_t), *__libc_pvalloc(size_t);
void __libc_free(void *), old_cfree(void *);
__asm__(".symver old_cfree,cfree@GLIBC_2.2.5");
int main(void) {
    free(__libc_malloc(100));
    free(__libc_calloc(3, 100));
    free(__libc_realloc(strdup("text"), 5000));
    free(__libc_memalign(64, 100));
    free(__libc_valloc(100));
    free(__libc_pvalloc(100));
    __libc_free(malloc(100));
    old_cfree(malloc(100));
    puts("ok");
}
"""

RESOLVER_ALLOCATES = """
#include <stdio.h>
#include <stdlib.h>
static int seven(void) { return 7; }
static int (*resolve(void))(void) {
    for (int i = 0; i < 1000; i++) {
        char *block = malloc((size_t)i * 50);
        block = realloc(block, (size_t)i * 60 + 1);
        block[0] = 1;
        free(block);
    }
    return seven;
}
int f(void) __attribute__((ifunc("resolve")));
int main(void) {
    free(malloc(100));
    puts(f() == 7 ? "ok" : "not seven");
}
"""

HANDLER_ALLOCATES = """
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
static volatile sig_atomic_t runs;
static char *volatile shared; /* one block that the handler takes over from the program */
static void handler(int signal) {
    (void)signal;
    char *block = calloc(1, 1000 + (size_t)runs % 5000);
    for (int i = 0; i < 1000; i++) {
        if (block[i] != 0) abort();
    }
    block = realloc(block, malloc_usable_size(block) + 100);
    memset(block, 1, 1100);
    free(block);
    free(shared);
    shared = NULL;
    runs++;
}
int main(void) {
    signal(SIGALRM, handler);
    struct itimerval often = {{0, 150}, {0, 150}};
    setitimer(ITIMER_REAL, &often, NULL);
    static char *blocks[500];
    for (unsigned k = 1; runs < 3000; k = k * 1103515245 + 12345) {
        unsigned at = (k >> 16) % 500;
        free(blocks[at]);
        blocks[at] = malloc((k >> 16) % 3000);
        if (shared == NULL) {
            shared = malloc(k % 7);
        }
    }
    puts("ok");
}
"""

X86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="a symbol version of x86-64")
CHECK = pytest.mark.parametrize("check", ["0", "1"])


def built(folder: Path, name: str, source: str, *flags: str) -> Path:
    (folder / f"{name}.c").write_text(source)
    program = folder / name
    command = ["cc", "-O0", "-w", "-o", str(program), str(folder / f"{name}.c"), *flags]
    subprocess.run(command, check=True, timeout=600)
    return program


def under_hakmem(
    program: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("HAKMEM_")} | environment
    return subprocess.run(
        [str(program), *arguments],
        env=env | {"LD_PRELOAD": preload_path(str(allocator.library()))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def lives(program: Path, *arguments: str, **environment: str) -> None:
    done = under_hakmem(program, *arguments, **environment)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done


@CHECK
def test_a_plugin_opened_with_deepbind_shares_the_malloc(tmp_path: Path, check: str) -> None:
    plugin = built(tmp_path, "plugin.so", PLUGIN, "-shared", "-fPIC")
    lives(built(tmp_path, "opens", OPENS_A_PLUGIN, "-ldl"), str(plugin), HAKMEM_CHECK=check)


def test_with_the_switch_deepbind_is_the_programs_again(tmp_path: Path) -> None:
    plugin = built(tmp_path, "plugin.so", PLUGIN, "-shared", "-fPIC")
    program = built(tmp_path, "opens", OPENS_A_PLUGIN, "-ldl")
    assert under_hakmem(program, str(plugin), HAKMEM_DEEPBIND="1").returncode < 0


def test_dlopen_keeps_the_search_path_of_whoever_calls_it(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    built(tmp_path / "plugins", "plugin.so", PLUGIN, "-shared", "-fPIC")
    program = built(tmp_path, "opens", OPENS_A_PLUGIN, "-ldl", "-Wl,-rpath,$ORIGIN/plugins")
    lives(program, "plugin.so")


@X86_64
@CHECK
def test_every_name_that_glibc_has_for_malloc_serves_one_heap(tmp_path: Path, check: str) -> None:
    lives(built(tmp_path, "names", OTHER_NAMES), HAKMEM_CHECK=check)


@CHECK
def test_an_ifunc_resolver_may_allocate(tmp_path: Path, check: str) -> None:
    lives(built(tmp_path, "resolver", RESOLVER_ALLOCATES), HAKMEM_CHECK=check)


def test_in_checked_mode_a_signal_handler_may_allocate(tmp_path: Path) -> None:
    lives(built(tmp_path, "handler", HANDLER_ALLOCATES), HAKMEM_CHECK="1")
