from benchmarks.gateway.stacks import Share, markdown, read

LOOP = "main (api/server.py:60);Runner.run (asyncio/runners.py:118);uv_run (core.c:452)"


def owners(*lines: str) -> dict[str, float]:
    return {share.what: share.percent for share in read(lines).owners}


def test_c_code_counts_for_the_function_that_called_it() -> None:
    assert owners(f"{LOOP};chat (api/gateway/app.py:9);parse (orjson/orjson.so) 3") == {"api/gateway": 100}


def test_the_loop_itself_is_uvloop() -> None:
    assert owners(f"{LOOP};uv__io_poll (linux.c:1) 1") == {"uvloop": 100}


def test_system_calls_waiting_and_collecting_are_nobodys_code() -> None:
    assert owners(
        f"{LOOP};send (aiohttp/client.py:1);write (libc.so.6) 2",
        f"{LOOP};epoll_pwait (libc.so.6) 1",
        f"{LOOP};send (aiohttp/client.py:1);gc_collect_main (libpython3.11.so);visit (dict.c:2) 1",
    ) == {"system call write": 50, "waiting for the kernel (epoll)": 25, "garbage collection": 25}


def test_threads_that_wait_for_work_are_left_out() -> None:
    assert owners(
        "_worker (concurrent/futures/thread.py:81);lock_acquire (_threadmodule.c:9);futex (libc.so.6) 9",
        f"{LOOP};chat (api/gateway/app.py:9) 1",
    ) == {"api/gateway": 100}


def test_a_function_of_ours_counts_once_wherever_it_is_on_the_stack() -> None:
    found = read([f"{LOOP};chat (api/gateway/app.py:9);chat (api/gateway/app.py:7);get (aiohttp/client.py:1) 1"])
    assert Share("`chat` api/gateway/app.py", 100) in found.within
    assert found.own == [Share("`get` aiohttp/client.py", 100)]


def test_each_table_names_what_it_counts() -> None:
    table = markdown(read([f"{LOOP};chat (api/gateway/app.py:9) 1"]))
    assert "| api/gateway | 100.0% |" in table
    assert "| `chat` api/gateway/app.py | 100.0% |" in table
