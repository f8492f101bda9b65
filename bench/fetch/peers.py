"""peers.py URL COUNT AT_ONCE : COUNT requests to URL1, URL2, … by aiohttp behind a semaphore; answers are read and dropped.

Prints {wall, cpu, peak_rss, good, bytes} as JSON. The start of Python and the imports are in neither time, but in the
memory, as they are when somebody uses it. A body is read in pieces, which is kinder to the memory than `read()`."""

import asyncio
import json
import resource
import sys
import time

import aiohttp


async def main():
    url, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    gate = asyncio.Semaphore(at_once)
    good = size = 0

    async def one(session, n):
        nonlocal good, size
        async with gate:
            async with session.get(f"{url}{n}") as answer:
                async for piece in answer.content.iter_chunked(1 << 16):
                    size += len(piece)
                good += answer.status == 200

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    before, start = cpu(), time.perf_counter()
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        await asyncio.gather(*(one(session, n) for n in range(1, count + 1)))
    wall = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "cpu": cpu() - before, "peak_rss": peak, "good": good, "bytes": size}))


asyncio.run(main())
