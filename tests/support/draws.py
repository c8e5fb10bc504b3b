"""Random numbers as a training program draws them: Philox4x32-10 by counter
(runtime/rng.h), and what mixup and cutmix make of them (runtime/mix.h)."""
import math

MIX = 5  # the stream


def word(seed, stream, step, element):
    key = [seed & 0xFFFFFFFF, seed >> 32]
    block = element // 4
    c = [block & 0xFFFFFFFF, block >> 32, step, stream]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ key[0], q & 0xFFFFFFFF,
             p >> 32 ^ c[3] ^ key[1], p & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF,
               (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c[element % 4]


def below(value, n):
    return value * n >> 32


def unit(value):
    return (value >> 8) / 2**24


def gamma(seed, alpha, element, end, epoch):
    """The logarithm of a gamma variate, by Marsaglia and Tsang (2000)."""
    at = element

    def uniform():
        nonlocal at
        at += 1
        return (word(seed, MIX, epoch, at - 1) + 0.5) / 2**32

    boost = 0.0
    if alpha < 1:
        boost, alpha = math.log(uniform()) / alpha, alpha + 1
    d = alpha - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while at < end:
        r = math.sqrt(-2 * math.log(uniform()))
        n = r * math.cos(2 * math.pi * uniform())
        v = (1 + c * n)**3
        if v > 0 and math.log(uniform()) < n * n / 2 + d - d * v + d * math.log(v):
            return boost + math.log(d * v)
    raise AssertionError("no variate")


def beta(seed, alpha, base, epoch):
    x = gamma(seed, alpha, base + 64, base + 512, epoch)
    y = gamma(seed, alpha, base + 512, base + 1024, epoch)
    return 1 / (1 + math.exp(y - x))


class Mixing:
    """The settings data.mixup, .mixup_share, .cutmix, .cutmix_share."""

    def __init__(self, mixup=0, mixup_share=None, cutmix=0, cutmix_share=None):
        share = 0.5 if mixup and cutmix else 1
        self.mixup, self.cutmix = mixup, cutmix
        self.up = (share if mixup_share is None else mixup_share) * (mixup > 0)
        self.cut = (share if cutmix_share is None else cutmix_share) * (
            cutmix > 0)

    def draw(self, seed, epoch, batch, rows, height, width):
        """(kind, weight, shift, box): row i is mixed with row i + shift; the
        box is ((top, bottom), (left, right))."""
        base = 1024 * batch
        which = unit(word(seed, MIX, epoch, base))
        if which >= self.up + self.cut:
            return "none", 1.0, 0, None
        shift = 1 + below(word(seed, MIX, epoch, base + 1), rows - 1)
        if which < self.up:
            return "mixup", beta(seed, self.mixup, base, epoch), shift, None
        share = math.sqrt(1 - beta(seed, self.cutmix, base, epoch))
        box = []
        for i, n in ((2, height), (3, width)):
            size = int(share * n)
            begin = below(word(seed, MIX, epoch, base + i), n) - size // 2
            box.append((max(begin, 0), min(begin + size, n)))
        hidden = (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])
        return "cutmix", 1 - hidden / (height * width), shift, box
