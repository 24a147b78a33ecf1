"""The programs that have a name. `mtbench list programs` and docs/programs.md are made of it.

All of them come from a distribution; none is shipped here. Sizes are chosen so that a run takes
half a second to three seconds of one core, and what allocates most is what a user would notice.
"""

from __future__ import annotations

from mtbench.programs.entry import Entry
from mtbench.programs.inputs import Input

_DOCUMENTS = Input(make="documents", count=60_000)
_TEXT = Input(make="text", count=60_000)
_UNIT = Input(make="unit", count=300)

_PERL = """perl -e '
my %h; $h{"key$_"} = [$_, "value$_"] for 1..300000;
my $s = 0; for my $k (keys %h) { $s += $h{$k}[0] + length $h{$k}[1]; }
print "$s\\n";'"""

_PYTHON = """python3 -c '
import json
first = json.load(open("documents.json"))
again = json.loads(json.dumps(first, sort_keys=True))
print(len(again), sum(len(each["tags"]) for each in again))'"""

_THREADS = """python3 -c '
import json, threading
def run(found, index):
    found[index] = len(json.dumps(json.load(open("documents.json"))))
found = {}
all = [threading.Thread(target=run, args=(found, i)) for i in range({threads})]
for each in all: each.start()
for each in all: each.join()
print(set(found.values()))'"""

_RUBY = """ruby -e '
h = {}; 200000.times { |i| h["key#{i}"] = "value#{i}" * 2 }
a = h.map { |k, v| [v.reverse, k.upcase] }.sort
puts a.size, a[77].join
20.times { s = +""; 20000.times { |i| s << "x#{i}" }; h["s"] = s }
puts h["s"].size'"""

_PHP = """php -d memory_limit=-1 -r '
$d = json_decode(file_get_contents("documents.json"), true); $n = 0;
foreach ($d as $x) { $n += strlen(json_encode($x)); }
usort($d, fn($a, $b) => [$a["score"], $a["id"]] <=> [$b["score"], $b["id"]]);
echo $n, " ", $d[5]["id"], "\\n";'"""

_LUA = """lua5.4 -e '
local t = {} for i = 1, 300000 do t[i] = {name = "n" .. i, next = t[i - 1]} end
local s = 0 for _, v in ipairs(t) do s = s + #v.name end print(s)
local u = {} for i = 1, 300000 do u["k" .. (i * 7 % 300007)] = tostring(i) end
local n = 0 for k, v in pairs(u) do n = n + #k + #v end print(n)'"""

_NODE = """node -e '
const m = new Map();
for (let i = 0; i < 300000; i++) m.set("k" + i, Buffer.alloc(4200 + i % 200).length);
let s = 0; for (const v of m.values()) s += v;
console.log(s)'"""

_GAWK = """gawk '
{ for (i = 1; i <= NF; i++) c[$i]++; for (i = 1; i <= NF; i++) p[NR % 5000 " " $i] = $0 }
END { n = asorti(c, s); for (i = 1; i <= n; i++) x += c[s[i]] * i; print n, x, length(p) }
' text.txt"""

_MANY = """names := $(addprefix p, $(shell seq 80))
all: $(names)
	@echo $(words $^)
$(names):
	@perl -e 'my %h = map { $$_ => [$$_] } 1..12000; exit(keys(%h) != 12000)'
"""

_NGINX = """daemon off; master_process off; pid nginx.pid; error_log stderr; worker_processes 1;
events { worker_connections 256; }
http {
  access_log off; gzip on; gzip_types text/plain;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen 127.0.0.1:PORT; root .; location / { ssi on; } }
}
"""

_JAVA = """import java.util.*;
public class Words {
  public static void main(String[] given) {
    Map<String, Integer> counts = new TreeMap<>();
    for (int i = 0; i < 2_000_000; i++)
      counts.merge("w" + Integer.toHexString(i * 7919 % 65537), 1, Integer::sum);
    System.out.println(counts.size() + " " + counts.values().stream().mapToInt(x -> x).max());
  }
}
"""

_JQ = (
    'jq -c "[.[] | {n: (.tags | length), name: (.name | ascii_upcase)}] | group_by(.n)'
    ' | map({n: .[0].n, c: length})" documents.json'
)

_ALL = (
    Entry(
        "perl",
        "an interpreter that counts references: 300 000 hash entries, each with two strings",
        _PERL,
        ("perl",),
    ),
    Entry(
        "python",
        "an interpreter without pools of its own: JSON read, written and read again",
        _PYTHON,
        ("python3",),
        inputs={"documents.json": _DOCUMENTS},
        environment={"PYTHONMALLOC": "malloc"},
    ),
    Entry(
        "python_threads",
        "the same in several threads that take turns: blocks change hands with the lock",
        _THREADS,
        ("python3",),
        inputs={"documents.json": Input(make="documents", count=15_000)},
        environment={"PYTHONMALLOC": "malloc"},
    ),
    Entry("ruby", "strings and hashes under a garbage collector that sweeps", _RUBY, ("ruby",)),
    Entry(
        "php",
        "a script's JSON with the request pool switched off, as under a profiler",
        _PHP,
        ("php-cli",),
        inputs={"documents.json": _DOCUMENTS},
        environment={"USE_ZEND_ALLOC": "0"},
    ),
    Entry("lua", "small tables and strings, all through realloc", _LUA, ("lua5.4",)),
    Entry("node", "buffers beside a garbage collector that has its own heap", _NODE, ("nodejs",)),
    Entry(
        "jq",
        "one large document as millions of counted values, dropped at the end one by one",
        _JQ,
        ("jq",),
        inputs={"documents.json": Input(make="documents", count=40_000)},
    ),
    Entry(
        "xmllint",
        "a document tree built, printed and torn down",
        "xmllint --format documents.xml",
        ("libxml2-utils",),
        inputs={"documents.xml": Input(make="markup", count=120_000)},
    ),
    Entry(
        "gawk",
        "associative arrays of words and lines",
        _GAWK,
        ("gawk",),
        inputs={"text.txt": _TEXT},
    ),
    Entry(
        "groff",
        "a typesetter: C++ of small nodes made and freed line by line",
        "groff -ms -Tutf8 text.ms",
        ("groff",),
        inputs={"text.ms": Input(make="manuscript", count=30_000)},
    ),
    Entry(
        "ghostscript",
        "PostScript to pages: large chunks of its own allocator, raster bands",
        "gs -q -dNOPAUSE -dBATCH -sDEVICE=bit -r72 -sOutputFile=- page.ps",
        ("ghostscript",),
        inputs={"page.ps": Input(make="pages", count=150)},
    ),
    Entry(
        "dot",
        "a graph laid out: long-lived small nodes, many short-lived lists",
        "dot -Tsvg graph.dot",
        ("graphviz",),
        inputs={"graph.dot": Input(make="graph", count=800)},
    ),
    Entry(
        "gcc",
        "a compiler in C with pools and a collector of its own",
        "gcc -O2 -c unit.c -o unit.o",
        ("gcc",),
        inputs={"unit.c": _UNIT},
        check="objdump -d unit.o",
        needs=("objdump",),
    ),
    Entry(
        "g++",
        "templates: trees that only grow until the process ends",
        "g++ -O1 -c template.cc -o template.o",
        ("g++",),
        inputs={"template.cc": Input(make="templates", count=8)},
        check="objdump -d template.o",
        needs=("objdump",),
    ),
    Entry(
        "clang",
        "a compiler in C++: arenas, hash tables and small vectors",
        "clang -O1 -c unit.c -o unit.o",
        ("clang",),
        inputs={"unit.c": Input(make="unit", count=200)},
        check="objdump -d unit.o",
        needs=("objdump",),
    ),
    Entry(
        "make",
        "many short processes: what a malloc costs at start and end",
        "make -s -j{threads} -f many.mk",
        ("make", "perl"),
        inputs={"many.mk": Input(text=_MANY)},
        needs=("perl",),
    ),
    Entry(
        "z3",
        "a solver: terms, clauses and hash tables, undone and made again",
        "z3 sudoku.smt2",
        ("z3",),
        inputs={"sudoku.smt2": Input(make="sudoku", count=1)},
    ),
    Entry(
        "sqlite",
        "a database in memory: pages, statements, sorts",
        "sqlite3 :memory: '.read build.sql'",
        ("sqlite3",),
        inputs={"build.sql": Input(make="statements", count=200_000)},
    ),
    Entry(
        "rocksdb",
        "a store with threads: memory tables, block cache, iterators",
        "db_bench --benchmarks=fillrandom,readrandom --num=60000 --threads={threads} --db=db "
        "--disable_wal=1 --seed=7",
        ("rocksdb-tools",),
        prepare="rm -rf db",
        check="",
    ),
    Entry(
        "git",
        "objects compressed and searched for deltas in threads",
        "git -C g -c pack.threads={threads} repack -adfq --window=50",
        ("git",),
        check="git -C g fsck --full && git -C g rev-list --objects --all | sort | sha256sum",
        inputs={"text.txt": _TEXT},
        prepare=(
            "test -d g || { git init -q g && split -a 3 -l 30 text.txt g/ && cd g && git add . && "
            "git -c user.name=a -c user.email=a@b commit -qm x; }"
        ),
    ),
    Entry(
        "redis",
        "a server of one thread: strings, lists and hashes that grow",
        "redis-server --port {port} --save '' --appendonly no",
        ("redis-server", "redis-tools"),
        client="redis-benchmark -p {port} -n 120000 -r 100000 -P 16 -t set,lpush,sadd,hset -q",
        ready="redis-cli -p {port} ping",
        check="redis-cli -p {port} llen mylist",
    ),
    Entry(
        "memcached",
        "a server of threads over slabs of its own",
        "memcached -u root -l 127.0.0.1 -p {port} -t {threads}",
        ("memcached", "libmemcached-tools"),
        client="memcslap --servers=127.0.0.1:{port} --concurrency=8 --execute-number=8000 "
        "--test=set",
        needs=("memcstat",),
        check="memcstat --servers=127.0.0.1:{port} | grep cmd_set",
    ),
    Entry(
        "nginx",
        "a web server: a pool for each request, compressed bodies",
        "nginx -p . -c nginx.conf -e stderr",
        ("nginx-light", "wrk", "curl"),
        inputs={"nginx.in": Input(text=_NGINX), "page.txt": Input(make="text", count=300)},
        prepare="sed s/PORT/{port}/ nginx.in > nginx.conf",
        client="wrk -t1 -c16 -d1s -H 'Accept-Encoding: gzip' http://127.0.0.1:{port}/page.txt",
        metric=r"requests/s=Requests/sec:\s+([\d.]+)",
        needs=("curl",),
        check="curl -sS --compressed http://127.0.0.1:{port}/page.txt",
    ),
    Entry(
        "pgbench",
        "a database of processes: shared buffers, a context for each statement",
        "postgres -D db -p {port} -k . -c listen_addresses=127.0.0.1",
        ("postgresql", "postgresql-contrib"),
        client="pgbench -h 127.0.0.1 -p {port} -c4 -t 500 -n --random-seed=7 postgres",
        ready="pg_isready -h 127.0.0.1 -p {port}",
        metric=r"transactions/s=tps = ([\d.]+) \(without",
        prepare="test -d db || initdb -D db >initdb.log",
        check="psql -h 127.0.0.1 -p {port} -At -c 'select count(*) from pg_class' postgres",
        unprivileged=True,
    ),
    Entry(
        "java",
        "a virtual machine: its compilers' arenas beside a heap of its own",
        "java -XX:+UseSerialGC -Xmx256m Words.java",
        ("default-jdk-headless",),
        inputs={"Words.java": Input(text=_JAVA)},
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ALL}
"""Every named program, in the order in which they are shown."""
