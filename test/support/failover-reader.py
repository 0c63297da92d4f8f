"""Reads a file and a directory of a drive again and again until its input ends; then tells what failed.

Arguments: the file, the directory (which becomes the working directory), the seed of the file's content.
Prints `ready` after the first round, then one JSON object: `rounds`, `failures`, `names` (as the directory that was
open in the middle of its names gave them), `late` (read by a descriptor that was open all the time).
"""
import ctypes, json, os, select, sys

file, directory, seed = sys.argv[1], sys.argv[2], sys.argv[3]
block = bytes((at * 7 + int(seed)) % 251 for at in range(251 * 16))
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]


class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16),
                ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]


libc.readdir.restype = ctypes.POINTER(Dirent)


def names_of(stream, count):
    names = []
    while len(names) < count:
        entry = libc.readdir(stream)
        if not entry:
            break
        names.append(entry.contents.name.decode())
    return names


def expected(start, size):
    phase = start % len(block)
    repeats = (phase + size) // len(block) + 1
    return (block * repeats)[phase:phase + size]


descriptor = os.open(file, os.O_RDONLY)
size = os.fstat(descriptor).st_size
os.chdir(directory)
stream = libc.opendir(b'.')
names = names_of(stream, 5)
rounds, failures, isAsked = 0, [], True
piece = 1 << 18
while isAsked:
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for start in range(0, size, piece):
        try:
            got = os.pread(descriptor, piece, start)
            if got != expected(start, len(got)) or len(got) != min(piece, size - start):
                failures.append(f'other bytes at {start}')
        except OSError as error:
            failures.append(f'read at {start}: {error}')
    try:
        assert os.getcwd() == directory, os.getcwd()
        os.stat('.')
        os.listdir('.')
        for name in ('n-0001', 'n-0002'):
            with open(name) as each:
                assert each.read() == name
    except (OSError, AssertionError) as error:
        failures.append(f'names: {error!r}')
    rounds += 1
    if rounds == 1:
        print('ready', flush=True)
    isAsked = not select.select([sys.stdin], [], [], 0)[0]
names += names_of(stream, 1 << 30)
late = os.pread(descriptor, 4, 0).hex()
print(json.dumps({'rounds': rounds, 'failures': failures[:20], 'names': names, 'late': late}))
