# The checker's process: holds the tests and calls the candidate through a proxy. Everything that comes back is plain data.
import secrets


class Died(BaseException):
    """Ends the check whatever the test catches."""


class Failed(Exception):
    pass


def check():
    limit_resources(8)
    job = read_job(5)
    channel = Channel(3, 4)
    verdict = {"verdict": "sandbox_error", "detail": ""}

    def receive(at_end=("fail", "the program ended before it answered")):
        try:
            message = channel.receive()
        except EOFError:
            raise Died(*at_end)
        except ValueError as error:
            raise Died("fail", "not a reply: " + str(error)[:200])
        if type(message) is not dict:
            raise Died("fail", "not a reply")
        return message

    def failure(message):
        kind, text = str(message.get("type", ""))[:80], str(message.get("text", ""))[:400]
        if kind == "MemoryError":
            raise Died("memory", "the program used more memory than it may")
        return kind + ": " + text

    def proxy(*args, **kwargs):
        nonce = secrets.token_hex(16)
        channel.send({"nonce": nonce, "args": encode(list(args)), "kwargs": encode(kwargs)})
        reply = receive()
        if reply.get("nonce") != nonce:
            raise Died("fail", "a reply that no call asked for")
        if "value" not in reply:
            raise Failed(failure(reply))
        try:
            return decode(reply["value"])
        except Exception as error:
            raise Died("fail", "not a value: " + str(error)[:200])

    try:
        if receive(("sandbox_error", "the candidate's jail did not start")).get("ready") is not True:
            raise Died("sandbox_error", "the candidate's jail did not start")
        loaded = receive()
        if loaded.get("loaded") is not True:
            raise Died("fail", failure(loaded))
        scope = {"__name__": "__checker__"}
        # The prompt is the benchmark's own text: tests may use the helpers that it defines.
        try:
            helpers = compile(job["prompt"], "<prompt>", "exec")
        except SyntaxError:  # a prompt that ends at the colon
            helpers = compile(job["prompt"] + "    pass\n", "<prompt>", "exec")
        exec(helpers, scope)
        scope[job["entry_point"]] = proxy
        exec(compile(job["tests"], "<tests>", "exec"), scope)
        scope["check"](proxy)
        verdict = {"verdict": "pass", "detail": ""}
    except Died as end:
        verdict = {"verdict": end.args[0], "detail": end.args[1]}
    except AssertionError as error:
        verdict = {"verdict": "fail", "detail": ("AssertionError " + str(error)[:400]).strip()}
    except BaseException as error:
        verdict = {"verdict": "fail", "detail": (type(error).__name__ + ": " + str(error))[:400]}
    Channel(6, 6).send(verdict)


check()
