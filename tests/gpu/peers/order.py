"""The order in which zerorun reads a token file (core/data/batches.h), once more, for peers that shall read the same: window s of the run is
permute(seed, s // windows, s % windows, windows), a Feistel network of six rounds keyed by Philox4x32-10, walked until it is within the windows."""
MASK = 0xFFFFFFFF
ROUNDS = 6


def philox(counter, key):
    a, b, c, d = counter
    k, l = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = second >> 32 ^ b ^ k, second & MASK, first >> 32 ^ d ^ l, first & MASK
        k, l = k + 0x9E3779B9 & MASK, l + 0xBB67AE85 & MASK
    return a, b, c, d


def name_hash(name):
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def words_of(value):
    return value & MASK, value >> 32


def permute(seed, epoch, k, n):
    half = 1
    while 1 << 2 * half < n:
        half += 1
    mask = (1 << half) - 1
    key = philox((*words_of(epoch), *words_of(name_hash("data.order"))), words_of(seed))[:2]
    while True:
        left, right = k >> half, k & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ philox((right & MASK, turn, 0, 0), key)[0] & mask
        k = left << half | right
        if k < n:
            return k


def windows_of_step(seed, step, batch, windows):
    """Numbers of the windows of a step, counted from 0."""
    return [permute(seed, sample // windows, sample % windows, windows) for sample in range(step * batch, (step + 1) * batch)]
