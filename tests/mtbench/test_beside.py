"""What `mtbench exec` preloads with a malloc: plug-ins with RTLD_DEEPBIND share the program's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mtbench.commands.report import load
from mtbench.mallocs.allocators import file_hash, resolve, worker_environment
from tests.mtbench.conftest import Command
from workloads.native import deepbind_library

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

PLUGIN = """
#include <stdlib.h>
void *plugin_take(size_t n) { return malloc(n); }
void plugin_give(void *block) { free(block); }
"""
PROGRAM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    usleep(300000);
    Dl_info found;
    dladdr(dlsym(RTLD_DEFAULT, "dlopen"), &found);
    if (argc > 2 && strstr(found.dli_fname, argv[2]) == NULL) {
        return 3;
    }
    void *plugin = dlopen("libplugin.so", RTLD_NOW | RTLD_DEEPBIND);
    if (plugin == NULL) {
        puts(dlerror());
        return 2;
    }
    void *(*take)(size_t) = (void *(*)(size_t))dlsym(plugin, "plugin_take");
    void (*give)(void *) = (void (*)(void *))dlsym(plugin, "plugin_give");
    for (int i = 0; i < 1000; i++) {
        void *taken = take((size_t)i * 100);
        argc > 1 ? free(taken) : give(taken);
        void *mine = malloc((size_t)i * 100);
        argc > 1 ? give(mine) : free(mine);
    }
    return 0;
}
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A program with a plug-in that it finds beside itself; asked to, blocks change sides,
    and the dlopen has to be of the library that is named."""
    (tmp_path / "plugin.c").write_text(PLUGIN)
    (tmp_path / "host.c").write_text(PROGRAM)
    made = tmp_path / "host"
    for words in (
        ("-shared", "-fPIC", "-o", "libplugin.so", "plugin.c"),
        ("-Wl,--enable-new-dtags,-rpath,$ORIGIN", "-o", "host", "host.c", "-ldl"),
    ):
        subprocess.run(["cc", "-O1", "-fno-builtin", *words], cwd=tmp_path, check=True)
    return made


def test_a_plug_in_may_free_what_the_program_allocated(host: Path, command: Command) -> None:
    mallocs = "system,hakmem,hakmem:deepbind=1"
    words = ("--", host, "cross", "libdeepbind.so")
    done = command("exec", "-a", mallocs, "-n", 1, "--no-progress", *words)
    assert done.returncode == 0, done.stderr
    # Such a malloc alone is not enough.
    alone = worker_environment(resolve("hakmem:deepbind=1"))
    assert subprocess.run([host], env=alone).returncode == 0
    assert subprocess.run([host, "cross"], env=alone, stderr=-3).returncode < 0


def test_a_run_says_what_was_preloaded_and_goes_on_with_that_only(
    host: Path, command: Command, tmp_path: Path
) -> None:
    words = ("-n", 1, "--no-progress", "-o", "run", "--", host)
    assert command("exec", "-a", "system", *words).returncode == 0
    digest = file_hash(os.fspath(deepbind_library()))
    file = tmp_path / "run" / "manifest.json"
    manifest = json.loads(file.read_text())
    assert manifest["beside"] == {"deepbind": digest}
    *_, run = load(tmp_path / "run")
    told = {fact.name: fact.found for fact in run.facts}
    assert told["preloaded with each malloc"] == f"libdeepbind.so ({digest[:12]})"
    manifest["conditions"]["preloaded deepbind"] = "0" * 12
    file.write_text(json.dumps(manifest))
    done = command("exec", "--resume", "run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"preloaded deepbind was {'0' * 12}, is {digest[:12]}" in done.stderr
