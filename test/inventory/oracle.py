"""What ansible-core makes of inventories: reads lines of JSON, each a directory, its inventory and patterns; answers each with one."""

import json
import sys

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

Display.warning = Display.deprecated = lambda *_args, **_named: None


def typed(value):
    if hasattr(value, "__UNSAFE__"):
        return ["unsafe", str(value)]
    if value is None or isinstance(value, bool):
        return ["None" if value is None else "bool", str(value)]
    if isinstance(value, dict):
        return ["dict", [[typed(key), typed(item)] for key, item in value.items()]]
    if isinstance(value, (list, tuple, set)):
        return ["list", [typed(item) for item in value]]
    kind = [name for name in (int, float, str) if isinstance(value, name)]
    return [kind[0].__name__, repr(value) if kind[0] is float else str(value)]


def hosts_of(inventory, pattern):
    try:
        return [host.name for host in inventory.get_hosts(pattern)]
    except (IndexError, AnsibleError):
        return []


for line in sys.stdin:
    asked = json.loads(line)
    loader = DataLoader()
    loader.set_basedir(asked["directory"])
    inventory = InventoryManager(loader=loader, sources=[asked["inventory"]])
    variables = VariableManager(loader=loader, inventory=inventory)
    hosts = {}
    for host in inventory.get_hosts("all"):
        found = variables.get_vars(host=host, include_hostvars=False, include_delegate_to=False)
        hosts[host.name] = {
            "vars": {name: typed(value) for name, value in found.items() if name.startswith("v_")},
            "groups": found["group_names"],
        }
    answer = {
        "hosts": hosts,
        "groups": inventory.get_groups_dict(),
        "patterns": [hosts_of(inventory, pattern) for pattern in asked["patterns"]],
    }
    print(json.dumps(answer), flush=True)
