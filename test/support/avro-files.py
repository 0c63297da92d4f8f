"""Writes and reads Avro files by fastavro: write FILE CODEC with {schema, values} on standard input; read FILE."""

import json
import sys

import fastavro

mode, path = sys.argv[1:3]
if mode == 'write':
    given = json.load(sys.stdin)
    with open(path, 'wb') as file:
        fastavro.writer(file, given['schema'], given['values'], codec=sys.argv[3], sync_interval=300)
else:
    with open(path, 'rb') as file:
        reader = fastavro.reader(file)
        print(json.dumps({'codec': reader.codec, 'values': list(reader)}, default=lambda each: each.hex()))
