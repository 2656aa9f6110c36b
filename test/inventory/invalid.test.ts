import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadInventory } from "../../src/inventory/load.ts";
import { failure, load, loadModule, project } from "./project.ts";

describe("malformed inventories are refused with the place", () => {
  it.each([
    ["all:\n  hots:\n    a:\n", 'h.yml:2:3 group all has an unknown key "hots"; did you mean "hosts"?'],
    ["web:\n  web1:\n", 'h.yml:2:3 group web has an unknown key "web1"'],
    ["all:\n  hosts:\n    a:\n    b:\n    a:\n", 'h.yml:5:5 "a" is written twice, on line 3 and on line 5'],
    ["all:\n  vars:\n    x: {a: 1, a: 2}\n", 'h.yml:3:15 "a" is written twice, on line 3 and on line 3'],
    [
      "all:\n  hosts:\n    - a\n",
      "h.yml:2:3 hosts of group all must be a mapping (`name:` on a line of its own), not a list",
    ],
    [
      "all:\n  vars: 5\n",
      "h.yml:2:3 vars must be a mapping (`name:` on a line of its own), not the number 5",
    ],
    [
      "all:\n  hosts:\n    a: text\n",
      'h.yml:3:5 vars must be a mapping (`name:` on a line of its own), not the string "text"',
    ],
    ["all: 5\n", "h.yml:1:1 the body of group all must be a mapping of hosts, children and vars"],
    ["- a\n", "h.yml:1:1 an inventory must be a mapping of groups, such as `all:`"],
    ["all:\n  hosts:\n    a b:\n", 'h.yml:3:5 "a b" is not a host name: it holds a space'],
    ["all:\n  hosts:\n    a/b:\n", 'h.yml:3:5 "a/b" is not a host name: it holds a slash'],
    [
      "all:\n  hosts:\n    me@a:\n",
      'h.yml:3:5 "me@a" is not a host name: it holds a user; set ansible_user instead',
    ],
    [
      "all:\n  hosts:\n    -oX=1:\n",
      'h.yml:3:5 "-oX=1" is not a host name: it looks like a var; vars of a group stand in [group:vars]',
    ],
    [
      "all:\n  hosts:\n    -a:\n",
      'h.yml:3:5 "-a" is not a host name: a name is letters, digits, dots, dashes and underscores, and begins with a letter or digit',
    ],
    [
      "all:\n  hosts:\n    a:70000:\n",
      'h.yml:3:5 "a:70000" is not a host name: port 70000 is not between 1 and 65535',
    ],
    ["all:\n  hosts:\n    a[3:1]:\n", 'h.yml:3:5 "a[3:1]" is not a host name: [3:1] runs backwards'],
    [
      "we b:\n",
      'h.yml:1:1 "we b" is not a group name: it must be letters, digits, dots, dashes and underscores, and begin with a letter or digit',
    ],
    [
      "a: {children: {b: {children: {c: {children: {a: }}}}}}\n",
      "h.yml:1:46 groups hold each other in a circle: a → b → c → a",
    ],
    [
      "web: {children: {all: }}\nall: {children: {web: }}\n",
      "h.yml:1:18 groups hold each other in a circle: all → web → all",
    ],
    ["all:\n  vars:\n    p: !secret x\n", "h.yml:3:16 !secret must say where the secret is to be had"],
    [
      "all:\n  vars:\n    p: {{ x }}\n",
      "h.yml:3:9 a key must be text; a value that begins with {{ must be in quotes",
    ],
    [
      "all:\n  vars: {a: 1\n",
      "h.yml:3:1 not valid YAML: flow map in block collection must be sufficiently indented and end with a }",
    ],
    ["all:\n\thosts:\n", "h.yml:2:1 not valid YAML: a tab indents this line; YAML wants spaces"],
    ["all:\n---\nweb:\n", "h.yml:2:1 not valid YAML: a second document begins here (---); a file holds one"],
    [
      "all:\n...\n---\nweb:\n",
      "h.yml:3:1 not valid YAML: a second document begins here (---); a file holds one",
    ],
    ["a: b: c\n", 'h.yml:1:4 not valid YAML: text with ": " in it must be in quotes'],
    ["all:\nweb\n", 'h.yml:2:1 not valid YAML: this line has no ":" behind a key'],
    ["a: 'x\n", "h.yml:2:1 not valid YAML: the quote ' is not closed"],
    ["]\n", "h.yml:1:1 not valid YAML: this bracket closes none"],
    [
      "a: 'b' c\n",
      "h.yml:1:8 not valid YAML: text stands here that belongs to nothing; look at the indentation, or put the whole value in quotes",
    ],
    ["all:\n  vars:\n    a: *nope\n", "h.yml:3:8 the alias *nope stands for nothing"],
    ["all:\n  vars:\n    a: &a [*a]\n", "h.yml:3:12 this is nested too deeply, or an alias holds itself"],
    [
      "plugin: amazon.aws.aws_ec2\nregions: [x]\n",
      "h.yml:1:1 this configures the inventory plugin amazon.aws.aws_ec2, which only Ansible can run",
    ],
    [
      "all: {vars: {ansible_group_priority: high}}\n",
      "h.yml:1 ansible_group_priority of group all must be a whole number",
    ],
  ])("YAML %j", async (text, message) => {
    expect(await failure(load({ "h.yml": text }))).toBe(`INVENTORY_INVALID ${message}`);
  });

  it.each([
    ["[web:var]\n", 'hosts:1 unknown section [web:var]; did you mean "vars"?'],
    ["[]\n", "hosts:1 unknown section []"],
    ["[web]\nweb1 web2\n", 'hosts:2 "web2" behind host web1 must be key=value'],
    [
      "[web]\na=1\n",
      'hosts:2 "a=1" is not a host name: it looks like a var; vars of a group stand in [group:vars]',
    ],
    ["[web]\n[web:vars]\nnope\n", 'hosts:3 "nope" in [web:vars] must be key=value'],
    ["[web]\nweb1 a='x\n", "hosts:2 a quote (') is never closed"],
    ["[web]\nweb1 pass=foo#bar\n", 'hosts:2:14 "pass=foo#…" is cut off at the # when Ansible reads it'],
    ["[web]\nweb1\n[wbe:vars]\na=1\n", 'hosts:3 there is no group "wbe"; did you mean "web"?'],
    ["[web]\nweb1\n[prod:children]\nwbe\n", 'hosts:4 there is no group "wbe"; did you mean "web"?'],
    ["[a:children]\nb\n[b:children]\na\n", "hosts:4 groups hold each other in a circle: a → b → a"],
    ["web 1\n", 'hosts:1 "1" behind host web must be key=value'],
    [
      "[we b]\n",
      'hosts:1 "[we" is not a host name: a name is letters, digits, dots, dashes and underscores, and begins with a letter or digit',
    ],
  ])("INI %j", async (text, message) => {
    expect(await failure(load({ hosts: text }))).toBe(`INVENTORY_INVALID ${message}`);
  });

  it.each([
    ["export const x = 1;", "i.mjs it has no default export; write `export default defineInventory({ … })`"],
    [
      "export default { group: {} };",
      'i.mjs the inventory has an unknown key "group"; did you mean "groups"?',
    ],
    [
      "export default { groups: { web: { host: {} } } };",
      'i.mjs group web has an unknown key "host"; did you mean "hosts"?',
    ],
    [
      "export default { hosts: { a: { adress: 'x' } } };",
      'i.mjs host a has an unknown key "adress"; did you mean "address"?',
    ],
    ["export default { hosts: { a: { port: '22' } } };", 'i.mjs port of host a must be a number, not "22"'],
    [
      "export default { hosts: { a: { become: 1 } } };",
      "i.mjs become of host a must be a string or a boolean, not 1",
    ],
    ["export default { groups: { web: { children: ['db'] } } };", 'i.mjs there is no group "db"'],
    ["export default { groups: { web: { vars: [] } } };", "i.mjs vars of group web must be an object"],
    ["throw new Error('no credentials');", "i.mjs it cannot be loaded: no credentials"],
    ["export default 5;", "i.mjs the inventory must be an object"],
  ])("JavaScript %j", async (text, message) => {
    expect(await failure(load({ "i.mjs": text }))).toBe(`INVENTORY_INVALID ${message}`);
  });

  it.each([
    ["echo oops; exit 0", 'cloud the output of cloud --list must be JSON, but is "oops"'],
    ["true", "cloud the output of cloud --list must be JSON, but is nothing"],
    ["echo '[]'", "cloud the output of cloud --list must be a JSON object"],
    ["echo broken >&2; exit 3", "cloud the inventory script cloud --list exited with code 3"],
    [`echo '{"web": {"host": []}}'`, 'cloud group web has an unknown key "host"; did you mean "hosts"?'],
    [`echo '{"web": {"hosts": "a"}}'`, "cloud hosts of group web must be a list of names"],
  ])("a script that runs %s", async (body, message) => {
    expect(await failure(load({ cloud: `#!/bin/sh\n${body}\n` }))).toBe(`INVENTORY_INVALID ${message}`);
  });

  it("shows what a failing script said", async () => {
    await expect(load({ cloud: "#!/bin/sh\necho no credentials >&2; exit 3\n" })).rejects.toMatchObject({
      hint: "It said: no credentials",
    });
  });

  it("names missing, unreadable and unsupported sources", async () => {
    expect(await failure(load({}, ["nope"]))).toBe("INVENTORY_MISSING there is no inventory at nope");
    expect(await failure(load({}, [""]))).toBe("INVENTORY_MISSING the path of the inventory is empty");
    await expect(load({}, ["web1"])).rejects.toMatchObject({
      hint: "To name a host instead of a file, end it with a comma: -i 'web1,'",
    });
    expect(await failure(load({ "h.toml": "" }))).toBe(
      "INVENTORY_INVALID h.toml TOML inventories are not supported; write YAML, INI or TypeScript",
    );
  });

  it("refuses two vars files of one name, of which Ansible would read one", async () => {
    const files = { hosts: "[web]\na\n", "group_vars/web.yml": "x: 1", "group_vars/web/main.yml": "x: 2" };
    expect(await failure(load(files))).toBe(
      "INVENTORY_INVALID group_vars/web.yml group_vars/web and group_vars/web.yml both hold the vars of web, and Ansible reads only one of them",
    );
  });

  it("names a vars file that cannot be read", async () => {
    const cwd = await project({ hosts: "[web]\na\n", "group_vars/x": "" });
    await symlink("nowhere", join(cwd, "group_vars/web.yml"));
    expect(await failure(loadInventory(["hosts"], { cwd, loadModule }))).toBe(
      "INVENTORY_INVALID group_vars/web.yml group_vars/web.yml cannot be read: the link leads nowhere",
    );
  });

  it("names the vars file that is wrong", async () => {
    const hosts = "[web]\na\n";
    expect(await failure(load({ hosts, "group_vars/web.yml": "- 1" }))).toBe(
      "INVENTORY_INVALID group_vars/web.yml:1:1 a vars file must be a mapping of names to values",
    );
  });
});
