"""urllib3: one seam, ``HTTPConnectionPool.urlopen`` of each pool, where every client of that world ends.

seam        which clients are wrapped, and how that is undone
hook        the patched ``urlopen`` of one pool, and the guards that watch it
call        one guarded ``urlopen``: arguments in, response or exception out
redirects   the redirect step of a bare pool
transport   one attempt on the wire, and letting go of an answer
failures    what an exception says about what the server may have seen
timeouts    how long one attempt may take
request     the model's Request of a urllib3 call
bodies      where a body starts, and whether it can be sent again
"""

from clever_guard.adapters.urllib3.seam import ADAPTER

__all__ = ["ADAPTER"]
