"""nginx, which responds with a constant: what a web server that does nothing reaches on this machine."""

import os
import shutil

from common import Process, environment, ports

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MISSING = "nginx is not installed: apt-get install nginx-light"

CONFIGURATION = """
daemon off; worker_processes auto; pid {folder}/pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type application/json; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=4096; location /bare {{ return 200 '{body}'; }} }}
}}
"""


def start(folder, body, log):
  """nginx on a free port, which responds to GET /bare with `body`, text without quotation marks of nginx's or dollars."""
  port = ports.free_port()
  file = folder / "nginx.conf"
  file.write_text(CONFIGURATION.format(folder=folder, port=port, body=body))
  return Process([PROGRAM, "-e", "stderr", "-c", file], environment(), log, port)
