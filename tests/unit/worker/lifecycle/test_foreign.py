from worker.lifecycle.foreign import Idling, Work, work_of

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 4.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 1.0e+02
vllm:generation_tokens_total{engine="0",model_name="m"} 50.0
vllm:request_success_total{finished_reason="stop"} 7.0
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_vllm_tells_of_the_calls_of_all_its_engines() -> None:
    assert work_of(METRICS) == Work(in_flight=3, waiting=4, tokens=150.0)


def test_of_a_server_with_other_counters_nothing_is_known() -> None:
    assert work_of("python_gc_objects_collected_total 1\n") is None
    assert work_of("<html>") is None


def test_counters_that_count_nothing_are_none() -> None:
    for nonsense in ("e", "-", "-1", "1e999", "NaN"):
        assert work_of(f"vllm:num_requests_running {nonsense}\n") is None
    assert work_of(METRICS + "vllm:prompt_tokens_total 1e999\n") is None
    assert work_of(METRICS + "process_start_time_seconds 1e999\n") == work_of(METRICS)


def test_a_server_is_idle_since_its_last_token_though_nobody_looked_while_it_worked() -> None:
    clock = Clock()
    idling = Idling(clock)
    assert idling.seconds("a", Work(0, 0, 10)) == 0
    clock.now += 60
    assert idling.seconds("a", Work(0, 0, 10)) == 60
    assert idling.seconds("a", Work(0, 0, 12)) == 0
    clock.now += 5
    assert idling.seconds("a", Work(1, 0, 12)) is None
    assert idling.seconds("a", Work(0, 1, 12)) is None
    clock.now += 5
    assert idling.seconds("a", Work(0, 0, 12)) == 5


def test_another_server_at_the_same_place_begins_anew() -> None:
    clock = Clock()
    idling = Idling(clock)
    idling.seconds("a", Work(0, 0, 10))
    clock.now += 60
    idling.forget_all_but(set())
    assert idling.seconds("a", Work(0, 0, 10)) == 0
