# Reads every file two levels below a directory once, as a data loader does: data-loader.py DIRECTORY WORKERS [SEED].
# Names are in order, or shuffled by SEED; batches of 32 go round the worker processes. Prints JSON.
import json
import os
import random
import sys
import time

BATCH = 32


def load(paths):
    total = 0
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            total += len(file.readall())
    return total


def main():
    top, workers = sys.argv[1], int(sys.argv[2])
    parents = [os.path.join(top, name) for name in sorted(os.listdir(top))]
    paths = [os.path.join(parent, name) for parent in parents for name in sorted(os.listdir(parent))]
    if len(sys.argv) > 3:
        random.Random(int(sys.argv[3])).shuffle(paths)
    batches = [paths[at : at + BATCH] for at in range(0, len(paths), BATCH)]
    start = time.monotonic()
    readers = []
    for worker in range(workers):
        come, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(go, str(sum(load(batch) for batch in batches[worker::workers])).encode())
            os._exit(0)
        os.close(go)
        readers.append((child, come))
    asked = 0
    for child, come in readers:
        asked += int(os.read(come, 64))
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("a worker failed")
    seconds = time.monotonic() - start
    print(json.dumps({"asked": asked, "perSecond": len(paths) / seconds}))


main()
