"""Five threads read files on one drive while another drive replaces them all the time. Each version is filled with one
byte, so what is read shows of which versions it is. Arguments: the reading drive, the writing one, seconds.
Prints counts; what was read and is not one whole version comes first, a line each."""

import errno
import json
import os
import random
import sys
import threading
import time

reading, writing, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
names = ["f0", "f1", "f2", "f3"]
sizes = [5, 1000, 4096, 70_000, 1 << 20, 3_000_000, 4 << 20]
counts = {"written": 0, "whole": 0, "places": 0, "stale": 0, "wrong": 0, "other": 0}
lock = threading.Lock()


def count(kind, text=None):
    with lock:
        counts[kind] += 1
        if text is not None:
            print(kind, text, flush=True)


def replace(n):
    name, size = random.choice(names), random.choice(sizes)
    new = f"{writing}/new"
    with open(new, "wb") as file:
        file.write(bytes([n % 250 + 1]) * size)
    os.rename(new, f"{writing}/{name}")


def write():
    n = len(names)
    while time.monotonic() < end:
        n += 1
        replace(n)
        count("written")
        time.sleep(0.1)


def read_whole(fd, opened):
    got = bytearray()
    piece = random.choice([1000, 65_536, 262_144])
    while part := os.read(fd, piece):
        got += part
        if random.random() < 0.1:
            time.sleep(random.random() * 0.05)
    closed = os.fstat(fd).st_size
    fine = len(set(got)) == 1 and 0 not in got and len(got) == closed
    count("whole" if fine else "wrong", None if fine else
          f"whole: {len(got)} bytes of {sorted(set(got))}, {opened} when opened, {closed} now")


def read_places(fd, opened):
    found, lengths = set(), []
    for _ in range(6):
        offset = random.randrange(opened)
        part = os.pread(fd, 4096, offset)
        found |= set(part)
        lengths.append((offset, len(part)))
        time.sleep(random.random() * 0.05)
    closed = os.fstat(fd).st_size
    cut = [each for each in lengths if each[1] != min(4096, opened - each[0])]
    fine = len(found) == 1 and 0 not in found and (not cut or closed != opened)
    count("places" if fine else "wrong", None if fine else
          f"places: {sorted(found)}, {cut}, {opened} when opened, {closed} now")


def read_one(attributes):
    path = f"{reading}/{random.choice(names)}"
    if attributes and random.random() < 0.2:
        os.chmod(path, random.choice([0o600, 0o644]))
    if random.random() < 0.2:
        os.listdir(reading)
    fd = os.open(path, os.O_RDONLY)
    try:
        random.choice([read_whole, read_places])(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def read(attributes):
    while time.monotonic() < end:
        try:
            read_one(attributes)
        except OSError as error:
            stale = error.errno == errno.ESTALE
            count("stale" if stale else "other", None if stale else str(error))


for n, name in enumerate(names):
    with open(f"{writing}/{name}", "wb") as file:
        file.write(bytes([n + 1]) * 70_000)
while not set(names) <= set(os.listdir(reading)):
    time.sleep(0.1)
end = time.monotonic() + seconds
threads = [threading.Thread(target=write)]
threads += [threading.Thread(target=read, args=(each == 0,)) for each in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
