# The candidate's process: defines the model's code and answers calls. It never sees tests or expected values; what it may
# do at worst is answer its own calls, which is what any function does.
import marshal


def serve():
    job = read_job(5)
    limit_resources(job, processes=32, file_bytes=8 << 20)
    channel = Channel(3, 4, job["message_bytes"])
    channel.send({"ready": True})  # before any code of the model: what fails earlier is the sandbox's fault
    scope = {"__name__": "__candidate__"}
    try:
        exec(compile(job["program"], "<candidate>", "exec"), scope)
        function = scope[job["entry_point"]]
        if not callable(function):
            raise TypeError("the entry point is not a function")
    except BaseException as error:
        channel.send({"loaded": False, "type": type(error).__name__[:80], "text": str(error)[:400]})
        return
    channel.send({"loaded": True})
    while True:
        call = channel.receive()
        reply = {"nonce": call["nonce"]}
        try:
            args, kwargs = marshal.loads(bytes.fromhex(call["call"]))
            result = function(*args, **kwargs)
            reply["value"] = encode(result)
            channel.send(reply)
        except BaseException as error:
            channel.send({"nonce": call["nonce"], "type": type(error).__name__[:80], "text": str(error)[:400]})


serve()
