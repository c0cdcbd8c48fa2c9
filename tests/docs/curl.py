#!/usr/bin/env python3
"""Stands in for curl on machines that have none: as much of it as the documents use (-s, -i, -X, -H, -d)."""

import argparse
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit


def main() -> int:
    """One request, its answer on stdout."""
    parser = argparse.ArgumentParser(prog="curl")
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    options = parser.parse_args()
    url = urlsplit(options.url)
    headers = dict(header.split(": ", 1) for header in options.headers)
    method = options.method or ("GET" if options.body is None else "POST")
    connection = HTTPConnection(url.netloc, timeout=20)
    path = f"{url.path}?{url.query}" if url.query else url.path
    connection.request(method, path, options.body and options.body.encode(), headers)
    answer = connection.getresponse()
    if options.i:
        sys.stdout.write(f"HTTP/1.1 {answer.status} {answer.reason}\r\n")
        sys.stdout.write("".join(f"{name}: {value}\r\n" for name, value in answer.getheaders()) + "\r\n")
    sys.stdout.write(answer.read().decode())
    connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
