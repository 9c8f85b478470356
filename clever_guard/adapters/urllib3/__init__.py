"""urllib3: one seam, ``HTTPConnectionPool.urlopen`` of each pool, where every client of that world ends.

seam        which objects are patched, and how that is undone
call        one guarded ``urlopen``: arguments in, response or exception out, redirects of bare pools
transport   one attempt on the wire, and letting go of an answer
failures    what an exception says about what the server may have seen
timeouts    how long one attempt may take
request     the model's Request of a urllib3 call; bodies and headers
"""

from clever_guard.adapters.urllib3.seam import ADAPTER

__all__ = ["ADAPTER"]
