"""Servers under load: Redis, nginx, vsftpd, PostgreSQL. Each lives in the folder and on Unix
sockets, or on a free port of the loopback interface."""

from __future__ import annotations

import ftplib
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.real.programs import Environment, UnavailableError, call, lines, need, wait_until


@contextmanager
def serving(command: list[str], folder: Path, environment: Environment) -> Iterator[None]:
    """A server process for as long as the block runs; it must end when asked to."""
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield
        if server.poll() is not None:
            raise RuntimeError(f"{Path(command[0]).name} died with {server.returncode}")
    finally:
        server.terminate()
        try:
            code = server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            raise RuntimeError(f"{Path(command[0]).name} does not stop") from None
    if code not in (0, -15):
        raise RuntimeError(f"{Path(command[0]).name} ended with {code}")


def redis(folder: Path, environment: Environment, *, quick: bool) -> str:
    server, bench, client = need("redis-server", "redis-benchmark", "redis-cli")
    path = folder / "redis.sock"
    command = [server, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with serving(command, folder, environment):
        wait_until(path.exists)
        requests = "5000" if quick else "100000"
        kinds = "set,get,incr,lpush,lpop,sadd,hset,zadd,lrange_100"
        flags = ["-s", str(path), "-n", requests, "-c", "20", "-t", kinds, "-r", "1000", "-q"]
        call([bench, *flags], folder, environment)
        call([client, "-s", path, "flushall"], folder, environment)
        load = "".join(
            f"set key{i} {'v' * (i % 3000)}\nlpush list{i % 50} {i}\n"
            for i in range(2000 if quick else 20000)
        )
        call([client, "-s", path], folder, environment, text=load)
        call([client, "-s", path, "bgsave"], folder, environment)
        return call([client, "-s", path, "debug", "digest"], folder, environment) + call(
            [client, "-s", path, "dbsize"], folder, environment
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def reachable(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def nginx(folder: Path, environment: Environment, *, quick: bool) -> str:
    (server,) = need("nginx")
    port = free_port()
    (folder / "www").mkdir()
    for i in range(20):
        (folder / "www" / f"page{i}").write_text(lines(10 + i * i * 10))
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error;\n"
        "events {}\n"
        f"http {{ access_log off; gzip on; gzip_types *; gzip_proxied any; root {folder}/www;\n"
        f"client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
        f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n"
        f"server {{ listen 127.0.0.1:{port}; }} }}\n"
    )
    folder.chmod(0o755)

    def fetch(number: int) -> bytes:
        headers = {"Accept-Encoding": "gzip"} if number % 2 else {}
        url = f"http://127.0.0.1:{port}/page{number % 20}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            body: bytes = answer.read()
            return body

    with serving([server, "-p", str(folder), "-c", "nginx.conf"], folder, environment):
        wait_until(lambda: reachable(port))
        with ThreadPoolExecutor(8) as pool:
            bodies = list(pool.map(fetch, range(400 if quick else 8000)))
    return hashlib.sha256(b"".join(bodies)).hexdigest()


def vsftpd(folder: Path, environment: Environment, *, quick: bool) -> str:
    """Each session is a process that limits its own address space to 200 MiB."""
    (server,) = need("vsftpd")
    port, files = free_port(), 12
    (folder / "empty").mkdir()
    (folder / "files").mkdir()
    for i in range(files):
        (folder / "files" / f"file{i}").write_text(lines(10 + i * i * 40))
    options = {
        "background": "NO",
        "listen": "YES",
        "listen_address": "127.0.0.1",
        "listen_port": port,
        "pasv_address": "127.0.0.1",
        "anonymous_enable": "YES",
        "anon_root": folder / "files",
        "secure_chroot_dir": folder / "empty",
        "seccomp_sandbox": "NO",  # it kills for calls that newer C libraries make
    }
    if os.geteuid() == 0:
        options |= {"nopriv_user": "nobody"}  # and ftp, whom the package makes
    else:
        options |= {"run_as_launching_user": "YES"}
    configuration = folder / "vsftpd.conf"
    configuration.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
    folder.chmod(0o755)
    (folder / "files").chmod(0o555)

    def session(number: int) -> bytes:
        try:
            with ftplib.FTP() as ftp:
                ftp.connect("127.0.0.1", port, timeout=60)
                ftp.login()
                parts = [" ".join(sorted(ftp.nlst())).encode()]
                ftp.retrbinary(f"RETR file{number % files}", parts.append)
                return b"".join(parts)
        except ftplib.all_errors as error:
            raise RuntimeError(f"vsftpd: {error!r}") from None

    with serving([server, str(configuration)], folder, environment):
        wait_until(lambda: reachable(port))
        with ThreadPoolExecutor(4) as pool:
            bodies = list(pool.map(session, range(20 if quick else 400)))
    return hashlib.sha256(b"".join(bodies)).hexdigest()


def postgres_folder() -> str:
    """Where the newest installed server's programs lie."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise UnavailableError("not installed: postgresql")
    return str(found[-1].parent)


def postgres(folder: Path, environment: Environment, *, quick: bool) -> str:
    home = postgres_folder()
    prefix: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise UnavailableError("running as root, and there is no user postgres") from None
        prefix = [*need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")
        folder.chmod(0o755)
    data, on = folder / "data", ["-h", str(folder)]
    initialise = [*prefix, f"{home}/initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-N"]
    call([*initialise, "--no-locale", "-E", "UTF8"], folder, environment)
    command = [
        *prefix,
        f"{home}/postgres",
        "-D",
        str(data),
        "-k",
        str(folder),
        "-c",
        "listen_addresses=",
        "-c",
        "fsync=off",
        "-c",
        "max_connections=20",
    ]
    with serving(command, folder, environment):
        wait_until((folder / ".s.PGSQL.5432").exists)
        bench = [f"{home}/pgbench", *on, "-U", "postgres", "postgres"]
        asked = [f"{home}/psql", *on, "-U", "postgres", "-At", "-c"]

        def answering() -> bool:
            ready = [f"{home}/pg_isready", *on, "-q"]
            return subprocess.run(ready, env=environment, check=False).returncode == 0

        wait_until(answering)
        call([*bench, "-i", "-q"], folder, environment)
        call([*bench, "-c", "4", "-j", "2", "-t", "50" if quick else "2000"], folder, environment)
        return "".join(
            call([*asked, question], folder, environment)
            for question in (
                "select count(*), sum(aid) from pgbench_accounts",
                "select count(*) from pgbench_history",
                "select (select sum(abalance) from pgbench_accounts) = "
                "(select sum(delta) from pgbench_history)",
                "select sum(length(md5(i::text))) from generate_series(1, 200000) i",
            )
        )
