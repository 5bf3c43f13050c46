"""Models behind OpenAI-compatible servers: hosted ones, vLLM, llama.cpp and others.

```
HttpEngine ── engine      the protocol; asks ``probing`` what the server can do, once
           ├─ servers     kinds of servers, known by name
           ├─ keys        from the environment
           ├─ bodies      requests as JSON                             (pure)
           ├─ answers     JSON as answers, or refused                  (pure)
           ├─ metering    what tries took, and the most where nobody said
           └─ calls       one call: tries, deadlines, several servers
              ├─ failures what a failed try means
              └─ pressure how many calls at once
```
"""

from charter.engines.http.calls import Limits
from charter.engines.http.engine import HttpEngine
from charter.engines.http.servers import SERVERS

__all__ = ["SERVERS", "HttpEngine", "Limits"]
