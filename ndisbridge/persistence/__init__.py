# temporary until the helper's package lands
from __future__ import annotations
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
class StoreError(Exception): pass
class IdentityInUseError(StoreError): pass
class IdentityConflictError(StoreError): pass
class LeaseLostError(StoreError): pass
class IdentityExistsError(StoreError):
    def __init__(self, existing): super().__init__("exists"); self.existing = existing
@dataclass(frozen=True, slots=True)
class IdentityRecord:
    compartment: str
    provider: str
    key: str
    net_luid: int
    interface_guid: uuid.UUID
    persistent: bool = True
    if_index: int = 0
    if_index_owned: bool = False
    alias: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    in_use_by: Any = None
class Store(Protocol):
    leases: bool
    if_index_first: int
class MemoryStore:
    leases = False
    if_index_first = 1
    def __init__(self): self.rows = {}
    def retain(self, sets, identities=(), persistent=True):
        for r in identities:
            k = (r.compartment, r.provider, r.key)
            if k in self.rows: raise IdentityExistsError(self.rows[k])
            self.rows[k] = r
    def release(self, sets, identities=(), persistent=True):
        for r in identities: self.rows.pop((r.compartment, r.provider, r.key))
    def confirm(self, luids, idx): pass
    def unconfirm(self, luids): pass
    def find(self, c, p, k): return self.rows.get((c, p, k))
    def identities(self, c=None, p=None): return list(self.rows.values())
    def update(self, luid, **ch):
        for k, r in self.rows.items():
            if r.net_luid == luid: self.rows[k] = replace(r, **ch)
    def close(self): pass
    def after_fork_in_child(self): pass
def open_store(x): return MemoryStore()
