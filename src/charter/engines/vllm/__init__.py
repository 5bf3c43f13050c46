"""Generation with vLLM: paged memory, prefixes kept, several adapters on one base.

```
Hosts ── hosts             a run's bases, one of each
├─ VllmEngine ── engine    the protocol, for a base or an adapter on it
│  └─ requests             requests as vLLM's parameters, its outputs as answers   (pure)
└─ Host ── base            a base model that vLLM runs, and adapters on it
   ├─ host, watch          in this process; what ends vLLM's own processes where this one is killed
   ├─ server               in a server that a run begins and ends
   ├─ process              the server's process, under a guard (charter.processes)
   ├─ command, door        how a server is started, and who is let in
   ├─ launch               what vLLM is told
   └─ environment, installed   where it is, and what it lacks
```

vLLM is no dependency of Charter, and often cannot be in one environment with its training.
"""

from charter.engines.vllm.base import Host
from charter.engines.vllm.engine import VllmEngine
from charter.engines.vllm.environment import VARIABLE, find_python, look_into
from charter.engines.vllm.hosts import Hosts, begin_launch
from charter.engines.vllm.launch import HostSettings

__all__ = ["VARIABLE", "Host", "HostSettings", "Hosts", "VllmEngine", "begin_launch", "find_python", "look_into"]
