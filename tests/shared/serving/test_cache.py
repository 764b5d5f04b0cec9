"""The cache keeps what is used, counts what it does, and bears threads."""

from concurrent.futures import ThreadPoolExecutor

from shared.serving.cache import Cache
from shared.serving.metrics import CACHE_REQUESTS


def counted(model: str, outcome: str) -> float:
    samples = next(iter(CACHE_REQUESTS.collect())).samples
    labels = {"model": model, "cache": "text", "outcome": outcome}
    return next(sample.value for sample in samples if sample.labels == labels)


def test_a_value_is_found_until_what_was_used_longest_ago_must_go() -> None:
    cache = Cache[str, int](2, model="lru", name="text")
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert len(cache) == 2


def test_a_value_put_again_replaces_the_one_before() -> None:
    cache = Cache[str, int](2, model="again", name="text")
    for value in (1, 2):
        cache.put("a", value)
    assert (cache.get("a"), len(cache)) == (2, 1)


def test_a_value_that_is_false_is_a_hit() -> None:
    cache = Cache[str, int](1, model="false", name="text")
    cache.put("a", 0)
    assert cache.get("a") == 0
    assert counted("false", "hit") == 1


def test_hits_and_misses_are_counted() -> None:
    cache = Cache[str, int](1, model="counted", name="text")
    cache.get("a")
    cache.put("a", 1)
    cache.get("a")
    cache.get("a")
    assert (counted("counted", "hit"), counted("counted", "miss")) == (2, 1)


def test_many_threads_never_see_more_than_the_limit_or_another_keys_value() -> None:
    cache = Cache[int, int](10, model="threads", name="text")

    def work(seed: int) -> bool:
        for step in range(2000):
            key = (seed * 31 + step) % 25
            cache.put(key, key)
            if cache.get(key) not in {key, None} or len(cache) > 11:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert len(cache) == 10
