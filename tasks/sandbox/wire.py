# Shared by both sides: plain values as tagged JSON. Only exact built-in types cross, so an object that claims to be equal
# to everything never reaches a test. Depth at most 50, a line at most 1 MiB.
import posix

LIMIT = 1 << 20

try:  # the C halves of the json module, without the 8 ms that its Python half takes to import
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    class ScannerSettings:
        strict, object_hook, object_pairs_hook, memo = True, None, None, {}
        parse_float, parse_int, parse_constant = float, int, float

    scan = make_scanner(ScannerSettings)
    pieces = make_encoder(None, None, encode_basestring_ascii, None, ": ", ", ", False, False, False)

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

except ImportError:
    from json import dumps as write, loads as parse


def encode(value, depth=0):
    if depth > 50:
        raise ValueError("nested deeper than 50")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return {"i": hex(value)}
    if kind is float:
        return {"f": value.hex()}
    if kind is complex:
        return {"c": [value.real.hex(), value.imag.hex()]}
    if kind is str:
        return {"s": value.encode("utf-8", "surrogatepass").hex()}
    if kind is bytes:
        return {"b": value.hex()}
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return {kind.__name__: [encode(item, depth + 1) for item in value]}
    if kind is dict:
        return {"dict": [[encode(key, depth + 1), encode(item, depth + 1)] for key, item in value.items()]}
    raise TypeError("a value of type " + kind.__name__[:80] + " cannot leave the sandbox")


def decode(value, depth=0):
    if depth > 50:
        raise ValueError("nested deeper than 50")
    if value is None or type(value) is bool:
        return value
    if type(value) is not dict or len(value) != 1:
        raise ValueError("not a tagged value")
    (tag, body), = value.items()
    if tag == "i":
        return int(body, 16)
    if tag == "f":
        return float.fromhex(body)
    if tag == "c":
        return complex(float.fromhex(body[0]), float.fromhex(body[1]))
    if tag == "s":
        return bytes.fromhex(body).decode("utf-8", "surrogatepass")
    if tag == "b":
        return bytes.fromhex(body)
    if tag == "dict":
        return {decode(key, depth + 1): decode(item, depth + 1) for key, item in body}
    make = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[tag]
    return make(decode(item, depth + 1) for item in body)


class Channel:
    """Lines of JSON over two descriptors."""

    def __init__(self, reading, writing):
        self.reading, self.writing, self.rest = reading, writing, bytearray()

    def send(self, message):
        line = write(message).encode() + b"\n"
        if len(line) > LIMIT:
            raise ValueError("a message of more than 1 MiB")
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
            block = posix.read(self.reading, 65536)
            if not block:
                raise EOFError
            self.rest += block
            if len(self.rest) > LIMIT:
                raise ValueError("a message of more than 1 MiB")
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
