"""What workers in Python share: measured.mjs for asyncio."""

import asyncio
import inspect
import json
import os
import resource
import sys
import time

# Half a second of a client in Python: its connections are open then, and there is no compiler to wait for.
RANGES_TO_WARM_UP = 200


async def _outcome(work):
    result = work()
    return await result if inspect.isawaitable(result) else result


async def measured(warm_up, work):
    """Runs `warm_up` and then `work`; prints what `work` cost as the workers in JavaScript do."""
    if (core := os.environ.get("BENCH_CORE")) is not None:
        os.sched_setaffinity(0, {int(core)})
    if warm_up is not None:
        await _outcome(warm_up)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    result = await _outcome(work)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpuSeconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                "peakMiB": after.ru_maxrss / 1024,
                "yields": after.ru_nivcsw - before.ru_nivcsw,
                "result": result,
            }
        )
    )


async def in_flight(items, width, work):
    """Awaits `work(item)` for all items, `width` at a time."""
    remaining = iter(items)

    async def lane():
        for item in remaining:
            await work(item)

    await asyncio.gather(*(lane() for _ in range(width)))


def offsets(size_bytes, range_bytes, count):
    """The first `count` of the sequence that every contender reads."""
    state = 12345
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0xFFFFFFFF
        yield int(state / 2**32 * (size_bytes / range_bytes)) * range_bytes


def files_below(directory):
    """Names of all files, relative to `directory`."""
    for parent, _, names in os.walk(directory):
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), directory)


def leave():
    """Ends at once: threads of a Rust runtime may outlive the interpreter, and then end the process with SIGABRT."""
    sys.stdout.flush()
    os._exit(0)
