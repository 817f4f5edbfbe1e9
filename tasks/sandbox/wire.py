# Shared by both sides: plain values as tagged JSON. Only exact built-in types arrive, so an object that claims to be equal
# to everything never reaches a test. Depth at most 50; a line has a limit.
import posix

try:  # the C halves of the json module, without the 8 ms that its Python half takes to import
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    class ScannerSettings:
        strict, object_hook, object_pairs_hook, memo = True, None, None, {}
        parse_float, parse_int, parse_constant = float, int, float

    scan = make_scanner(ScannerSettings)
    pieces = make_encoder(None, None, encode_basestring_ascii, None, ":", ",", False, False, True)

    def parse(text):
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError("not JSON")
        if text[end:].strip():
            raise ValueError("text after the JSON value")
        return value

    def write(value):
        return "".join(pieces(value, 0))

except (ImportError, TypeError):  # private parts of Python: others may come
    from json import dumps as write, loads as parse


PLAIN = {type(None), bool, int, float, str}  # what JSON carries exactly
WIDE = 1 << 64  # wider integers go as hexadecimal: decimal takes quadratic time


def all_plain(items):
    kinds = set(map(type, items))
    return kinds <= PLAIN and (int not in kinds or all(type(i) is not int or -WIDE < i < WIDE for i in items))


def encode(value, depth=0):
    """Subclasses (Counter, namedtuple, IntEnum) cross as what they derive from, whatever they say of themselves."""
    if depth > 50:
        raise ValueError("nested deeper than 50")
    if value is None or type(value) is bool:
        return value
    for kind in (int, float, str, list, tuple, dict, bytes, complex, set, frozenset):
        if isinstance(value, kind):
            break
    else:
        raise TypeError("a value of type " + type(value).__name__[:80] + " cannot leave the sandbox")
    if kind is int:
        value = int.__int__(value)
        return value if -WIDE < value < WIDE else {"i": hex(value)}
    if kind is float:
        return float.__float__(value)
    if kind is str:
        return str.__str__(value)
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if kind is bytes:
        return {"b": bytes.hex(value)}
    if kind is dict:
        return {"dict": [[encode(key, depth + 1), encode(item, depth + 1)] for key, item in dict.items(value)]}
    items = list(kind.__iter__(value))
    if not all_plain(items):
        items = [encode(item, depth + 1) for item in items]
    return items if kind is list else {kind.__name__: items}


def decode(value, depth=0):
    if depth > 50:
        raise ValueError("nested deeper than 50")
    if type(value) in PLAIN:
        return value
    if type(value) is list:
        return value if set(map(type, value)) <= PLAIN else [decode(item, depth + 1) for item in value]
    if type(value) is not dict or len(value) != 1:
        raise ValueError("not a tagged value")
    (tag, body), = value.items()
    if tag == "i":
        return int(body, 16)
    if tag == "c":
        return complex(*map(float, body))
    if tag == "b":
        return bytes.fromhex(body)
    if tag == "dict":
        return {decode(key, depth + 1): decode(item, depth + 1) for key, item in body}
    make = {"tuple": tuple, "set": set, "frozenset": frozenset}[tag]
    return make(decode(item, depth + 1) for item in body)


class Channel:
    """Lines of JSON over two descriptors."""

    def __init__(self, reading, writing, limit):
        self.reading, self.writing, self.limit, self.rest = reading, writing, limit, bytearray()

    def send(self, message):
        line = write(message).encode() + b"\n"
        if len(line) > self.limit:
            raise ValueError("a message of more than %d bytes" % self.limit)
        line = memoryview(line)
        while line:
            line = line[posix.write(self.writing, line):]

    def receive(self, wait=None):
        """The next message. `wait` is called before every read and may raise."""
        searched = 0
        while (end := self.rest.find(b"\n", searched)) < 0:
            searched = len(self.rest)
            if wait:
                wait()
            block = posix.read(self.reading, 1 << 20)
            if not block:
                raise EOFError
            self.rest += block
            if len(self.rest) > self.limit:
                raise ValueError("a message of more than %d bytes" % self.limit)
        line = self.rest[:end].decode()
        del self.rest[: end + 1]
        return parse(line)


def read_job(descriptor):
    blocks = []
    while block := posix.read(descriptor, 1 << 20):
        blocks.append(block)
    posix.close(descriptor)
    return parse(b"".join(blocks).decode())


def limit_resources(job, processes, file_bytes):
    import resource

    for name, value in (("RLIMIT_CORE", 0), ("RLIMIT_CPU", job["cpu_seconds"]), ("RLIMIT_FSIZE", file_bytes),
                        ("RLIMIT_NOFILE", 64), ("RLIMIT_NPROC", processes), ("RLIMIT_AS", job["memory_bytes"])):
        resource.setrlimit(getattr(resource, name), (value, value))
