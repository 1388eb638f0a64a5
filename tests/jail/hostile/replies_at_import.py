# expect: ok|error|died|timeout
import os, struct
for seq in range(0, 50):
    for kind in (12, 13):
        os.write(4, struct.pack('<BBHIi', kind, 0, 0 if kind == 12 else 1, seq, 7))


def act(obs):
    return 0
