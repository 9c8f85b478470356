"""Guard a urllib3 manager in two lines. Without an argument it starts the emulated API itself.

python examples/plain_urllib3.py [https://api.clever.com/v2.0/students]
"""

import os
import sys

import urllib3

from clever_guard import paginate, presets
from clever_guard.testing import Emulator


def main(url: str) -> None:
    with presets.clever() as guard:
        http = guard.wrap(urllib3.PoolManager())
        headers = {"Authorization": f"Bearer {os.environ.get('CLEVER_TOKEN', 'TEST_TOKEN')}"}
        students = sum(1 for _ in paginate(http, url, headers=headers))
        print(f"{students} students")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with Emulator(records=250).serve() as server:
            main(server.url + "/v2.0/students")
