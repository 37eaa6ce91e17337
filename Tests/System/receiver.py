"""A webhook receiver as somebody else would write it: the standard library, its own process, its own check of signatures.

Every request is a line of JSON in the file it is given. What it answers depends on the path:

  /ok           200
  /flaky/N      500 N times out of 100, else 200; or the connection is cut half of those times
  /hang         nothing, ever
  /redirect     302 to /ok
  /gone         410
  /status/N     N
  /slow/MS      200 after that many milliseconds
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import ssl
import sys
import time


def signatures_hold(secret, headers, body):
  """Both schemes, as their documentation describes them."""
  provable = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
  message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
  key = base64.b64decode(secret.removeprefix("whsec_"))
  standard = "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
  fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
  return {
    "provable": hmac.compare_digest(provable, headers["x-provable-signature"]),
    "standard": standard in headers["webhook-signature"].split(" "),
    "fresh": fresh,
  }


class Receiver:
  def __init__(self, log, seed):
    self.log = open(log, "a", buffering=1)
    self.random = random.Random(seed)

  async def serve(self, reader, writer):
    try:
      while await self.answer(reader, writer):
        pass
    except (asyncio.IncompleteReadError, ConnectionError):
      pass
    finally:
      writer.close()

  async def answer(self, reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    request, *lines = head.decode().rstrip("\r\n").split("\r\n")
    method, path, _ = request.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    kind, _, argument = path.strip("/").partition("/")
    status, extra = 200, ""
    if kind == "flaky" and self.random.random() * 100 < int(argument):
      status = 500 if self.random.random() < 0.5 else 0
    elif kind == "redirect":
      status, extra = 302, "Location: /ok\r\n"
    elif kind == "gone":
      status = 410
    elif kind == "status":
      status = int(argument)
    elif kind == "slow":
      await asyncio.sleep(int(argument) / 1000)
    # Noted before it is answered: what was answered was seen.
    entry = {"method": method, "path": path, "headers": headers, "body": body.decode(), "status": status, "time": time.time()}
    self.log.write(json.dumps(entry) + "\n")
    if kind == "hang":
      await asyncio.sleep(3600)
    if status == 0:
      return False
    answer = f'{{"status":{status}}}'
    writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(answer)}\r\n\r\n{answer}".encode())
    await writer.drain()
    return True


async def main(log, seed, certificate=None):
  receiver = Receiver(log, seed)
  context = None
  if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: receiver.log.write(json.dumps({"sni": name}) + "\n") and None
  server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context, backlog=512)
  print(server.sockets[0].getsockname()[1], flush=True)
  await server.serve_forever()


if __name__ == "__main__":
  asyncio.run(main(*sys.argv[1:]))
