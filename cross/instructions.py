#!/usr/bin/env python3
"""A row of the table of instructions.sh.

    instructions.py WHAT COUNT SYMBOLS FEW MANY

MANY has COUNT requests more than FEW; both are of the plugin count.c: the address of a block, and instructions. SYMBOLS
is of nm, sorted by address.
"""

import bisect
import collections
import re
import sys


def short(name):
    """A name of Rust without its hash and what is generic in it."""
    name = re.sub(r"::h[0-9a-f]{16}$", "", name)
    # `<Type as Trait>::method` has no other name left without its brackets.
    name = re.sub(r"^<(.*) as .*>::(\w+)$", r"\1::\2", name)
    if len(name) > 60:
        while (less := re.sub(r"<[^<>]*>", "", name)) != name:
            name = less
    return name


what, count, symbols, few, many = sys.argv[1:]
addresses, names = [], []
with open(symbols) as file:
    for line in file:
        address, kind, name = line.rstrip("\n").split(" ", 2)
        if kind in "tTwW":
            addresses.append(int(address, 16))
            names.append(short(name))

functions = collections.Counter()
for path, sign in ((many, 1), (few, -1)):
    with open(path) as file:
        for line in file:
            address, executed = line.split()
            at = bisect.bisect_right(addresses, int(address, 16)) - 1
            functions[names[at] if at >= 0 else "?"] += sign * int(executed)

total = sum(functions.values())
cells = [f"`{name}` {100 * part / total:.0f} %" for name, part in functions.most_common(3)]
print(f"| {what} | {total // int(count):,} | {' | '.join(cells)} |", flush=True)
