# The checker's process: holds the tests and calls the candidate through a proxy. Everything that comes back is plain data.
# It starts once: every check runs in a fork of it, which is killed with its jail when it overstays.
import gc
import marshal
import os
import resource
import select
import signal
import socket
import sys
import time

# Here once, so that no fork imports them: what prompts and tests of the benchmarks use.
import collections, copy, functools, hashlib, heapq, itertools, json, math, random, re, string, typing  # noqa: E401


class Died(BaseException):
    """Ends the check whatever the test catches."""


class Failed(Exception):
    pass


class Checker:
    def __init__(self, job, channel, verdict_file):
        self.job, self.channel, self.verdict_file = job, channel, verdict_file

    def receive(self, at_end=("fail", "the program ended before it answered"), seconds=0):
        deadline = time.monotonic() + seconds

        def wait():
            if not select.select([self.channel.reading], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Died("timeout", "a call took longer than %g s" % seconds)

        try:
            message = self.channel.receive(wait if seconds else None)
        except EOFError:
            raise Died(*at_end)
        except (ValueError, RecursionError) as error:
            raise Died("fail", "not a reply: " + str(error)[:200])
        if type(message) is not dict:
            raise Died("fail", "not a reply")
        return message

    def failure(self, message):
        kind, text = str(message.get("type", ""))[:80], str(message.get("text", ""))[:400]
        if kind == "MemoryError":
            raise Died("memory", "the program used more memory than it may")
        return kind + ": " + text

    def call(self, args, kwargs, seconds):
        """One call of the candidate; `seconds` is its limit, 0 for none of its own."""
        nonce = os.urandom(16).hex()
        try:
            # Ours to theirs: nothing here has to be checked, so the quick form of the interpreter does.
            self.channel.send({"nonce": nonce, "call": marshal.dumps((list(args), kwargs)).hex()})
        except BrokenPipeError:
            raise Died("fail", "the program ended before it was called")
        reply = self.receive(seconds=seconds)
        if reply.get("nonce") != nonce:
            raise Died("fail", "a reply that no call asked for")
        if "value" not in reply:
            raise Failed(self.failure(reply))
        try:
            return decode(reply["value"])
        except Exception as error:
            raise Died("fail", "not a value: " + str(error)[:200])

    def run(self):
        not_ready = ("sandbox_error", "the candidate's jail did not start")
        if self.receive(not_ready).get("ready") is not True:
            raise Died(*not_ready)
        self.verdict_file.send({"started": True})  # the clock of the program starts
        loaded = self.receive()
        if loaded.get("loaded") is not True:
            raise Died("fail", self.failure(loaded))

        def proxy(*args, **kwargs):
            return self.call(args, kwargs, 0)

        proxy.timed = self.call
        scope = {"__name__": "__checker__", "DATA": self.job["data"]}
        # The prompt is the benchmark's own text: tests may use the helpers that it defines.
        try:
            helpers = compile(self.job["prompt"], "<prompt>", "exec")
        except SyntaxError:  # a prompt that ends at the colon
            helpers = compile(self.job["prompt"] + "    pass\n", "<prompt>", "exec")
        exec(helpers, scope)
        scope[self.job["entry_point"]] = proxy
        exec(compile(self.job["tests"], "<tests>", "exec"), scope)
        answer = scope["check"](proxy)
        return {"verdict": "pass", "detail": "", "answer": answer if type(answer) is str else ""}

    def verdict(self):
        try:
            return self.run()
        except Died as end:
            return {"verdict": end.args[0], "detail": end.args[1]}
        except AssertionError as error:
            return {"verdict": "fail", "detail": ("AssertionError " + str(error)[:400]).strip()}
        except BaseException as error:
            return {"verdict": "fail", "detail": (type(error).__name__ + ": " + str(error))[:400]}


def check(reading, writing, job_file, verdict_file):
    verdict_file = Channel(-1, verdict_file, 4 << 20)
    job = read_job(job_file)
    limit_resources(job, processes=8, file_bytes=0)
    verdict = Checker(job, Channel(reading, writing, job["message_bytes"]), verdict_file).verdict()
    # Half a surrogate pair, of which a program may make a message, is no text outside of Python.
    verdict_file.send({key: text.encode("utf-8", "replace").decode() for key, text in verdict.items()})


def serve():
    control = socket.socket(fileno=3)
    while True:
        byte, files, _, _ = socket.recv_fds(control, 1, 4)
        if not byte:
            return
        if os.fork() == 0:
            control.close()
            check(*files)
            os._exit(0)
        for file in files:
            os.close(file)


gc.freeze()  # a fork that collects garbage would copy every page of these modules
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended checks leave no zombies
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
if sys.argv[1:] == ["once"]:
    check(3, 4, 5, 6)
else:
    serve()
