import { describe, expect, test } from "vitest";
import { line, linter, playbook } from "./fixture.ts";

// Names that must be known to each other: of handlers, of vars and of roles.

const { look, lookWith } = linter();

describe("handlers", () => {
  test("a notification of nobody is an error, and a handler that nobody notifies a hint", async () => {
    const found = await look({
      "site.yml": [
        "- hosts: all",
        "  tasks:",
        "    - {command: 'true', notify: [Restart it, reloads, 'web : From the role', 'Re{{ how }} it']}",
        "    - {command: 'true', notify: Restart}",
        "  handlers:",
        "    - {name: Restart it, command: 'true'}",
        "    - {name: Reload, command: 'true', listen: reloads}",
        "    - {name: Lonely, command: 'true'}",
        "  roles: [web]",
        "",
      ].join("\n"),
      "roles/web/handlers/main.yml": "- {name: From the role, command: 'true'}\n",
    });
    expect(found.map(line)).toEqual([
      'site.yml:4:33 unknown-handler: no handler has the name "Restart", or listens to it',
      'site.yml:8:8 unused-handler: nobody here notifies the handler "Lonely"',
    ]);
    expect(found.map(({ severity }) => severity)).toEqual(["error", "hint"]);
  });

  test("each play has its own handlers, and roles those of the play", async () => {
    const found = await look({
      "site.yml":
        "- hosts: all\n  roles: [web]\n  handlers: [{name: one, command: 'true'}]\n- hosts: all\n  roles: [web]\n",
      "roles/web/tasks/main.yml": "- {command: 'true', notify: one}\n",
    });
    expect(found.map(line)).toEqual([
      'roles/web/tasks/main.yml:1:29 unknown-handler: no handler has the name "one", or listens to it',
    ]);
  });

  test("what handlers import are handlers, too", async () => {
    const found = await look({
      "site.yml":
        "- hosts: all\n  tasks: [{command: 'true', notify: [imported, included]}]\n  handlers: [{import_tasks: a.yml}, {include_tasks: b.yml}]\n",
      "a.yml": "- {name: imported, command: 'true'}\n",
      "b.yml": "- {name: included, command: 'true'}\n",
    });
    expect(found.map(line)).toEqual([
      'site.yml:2:48 unknown-handler: no handler has the name "included", or listens to it',
    ]);
  });

  test("roles that only a run knows may declare any handler", async () => {
    expect(
      await look({
        "site.yml": playbook("- include_role: {name: '{{ which }}'}\n- command: 'true'\n  notify: there"),
      }),
    ).toEqual([]);
  });
});

describe("vars", () => {
  test("item without a loop, where nothing around can loop", async () => {
    const found = await look({
      "site.yml": playbook(
        "- debug: {msg: '{{ item }}'}\n- debug: {msg: '{{ item }}'}\n  loop: [1]\n- include_tasks: more.yml\n  loop: [1]",
      ),
      "more.yml": "- debug: {msg: '{{ item }}'}\n",
    });
    expect(found.map(line)).toEqual([
      "site.yml:3:20 undefined-variable: the task has no loop, so there is no 'item'",
    ]);
  });

  test("a slip of the pen, without an inventory", async () => {
    const found = await look({
      "site.yml": playbook(
        [
          "- command: 'true'",
          "  register: installed",
          "- debug: {msg: '{{ instaled.rc }}'}",
          "- debug: {msg: '{{ nothing_like_it }}'}",
          "- debug: {msg: '{{ instaled_too | default(1) }}'}",
        ].join("\n"),
      ),
    });
    expect(found.map((each) => `${each.severity} ${line(each)}`)).toEqual([
      'warning site.yml:5:20 undefined-variable: nothing here defines "instaled"; did you mean "installed"?',
    ]);
  });

  test("with an inventory all vars are known", async () => {
    const files = {
      "site.yml": [
        "- hosts: all",
        "  vars: {mine: '{{ lazily }}'}",
        "  vars_files: [vars/more.yml]",
        "  roles: [web]",
        "  tasks:",
        "    - set_fact: {learned: 1}",
        "    - debug: {msg: '{{ mine }}{{ more }}{{ learned }}{{ web_port }}{{ by_group }}{{ from_hosts }}'}",
        "    - debug: {msg: '{{ ansible_hostname }}{{ groups }}{{ inventory_hostname }}{{ perhaps | default(1) }}'}",
        "    - debug: {msg: '{{ nowhere }}'}",
        "      when: perhaps is defined",
        "    - debug: {msg: '{% for each in mine %}{{ each }}{% endfor %}'}",
        "",
      ].join("\n"),
      "vars/more.yml": "more: 1\n",
      "group_vars/all": "by_group: 1\n",
      "roles/web/defaults/main.yml": "web_port: 80\n",
      "roles/web/templates/a.j2": "{{ web_port }}\n{{ web_host }}\n",
    };
    const found = await lookWith({ inventoryVars: new Set(["from_hosts"]) }, files);
    expect(found.map((each) => `${each.severity} ${line(each)}`)).toEqual([
      'error roles/web/templates/a.j2:2 undefined-variable: nothing here defines "web_host"',
      'warning site.yml:2:16 undefined-variable: nothing here defines "lazily"',
      'error site.yml:9:20 undefined-variable: nothing here defines "nowhere"',
    ]);
    expect(await look(files)).toEqual([]);
  });

  test("a var made of itself", async () => {
    const found = await look({
      "site.yml": playbook(
        "- debug: {msg: '{{ a }}{{ b }}'}\n  vars: {a: '{{ a | default(1) }}', b: '{{ b + 1 }}', c: '{{ d }}'}\n- set_fact: {b: '{{ b }}'}",
      ),
    });
    expect(found.map(line)).toEqual(['site.yml:4:17 recursive-variable: the var "a" is made of itself']);
  });

  test("command lines of the shell with vars of the user's", async () => {
    const found = await look(
      {
        "web/defaults/main.yml": "web_name: a\nweb_path: /a\n",
        "web/tasks/main.yml":
          "- shell: echo {{ web_name }} {{ web_path | quote }} '{{ web_path }}' {{ other }} > /a\n- command: echo {{ web_name }}\n",
      },
      "web",
    );
    expect(found.map((each) => `${each.severity} ${line(each)}`)).toEqual([
      'hint web/tasks/main.yml:1:10 unquoted-shell-variable: the shell sees the value of "web_name" as a part of its script',
    ]);
  });
});

describe("roles", () => {
  test("a role by its directory is looked at as a whole", async () => {
    const found = await look(
      {
        "roles/web/defaults/main.yml": "a: '{{ 1 | no_such }}'\n",
        "roles/web/vars/Debian.yml": "[]\n",
        "roles/web/handlers/main.yml":
          "- {name: Restart, servce: {name: a}}\n- {name: Brings in, include_tasks: more.yml}\n",
        "roles/web/handlers/more.yml": "- {name: Brought in, command: 'true'}\n",
        "roles/web/tasks/main.yml": "- {include_tasks: no.yml}\n- {copy: {src: theirs, dest: /a}}\n",
        "roles/web/tasks/never_reached.yml": "- {command: 'true', notify: restart}\n",
        "roles/web/templates/deep/a.j2": "{{ }}\n",
        "roles/web/meta/main.yml": "dependencies: [{role: not_here}, base]\n",
        "roles/base/tasks/main.yml": "- {fle: {path: /a}}\n",
      },
      "roles/web",
    );
    expect(found.map((each) => `${each.severity} ${line(each)}`)).toEqual([
      'error roles/base/tasks/main.yml:1:4 unknown-module: there is no module "fle"; did you mean "file"?',
      'error roles/web/defaults/main.yml:1:4 unknown-filter: there is no filter "no_such"',
      'hint roles/web/handlers/main.yml:1:4 unused-handler: nobody here notifies the handler "Restart"',
      'error roles/web/handlers/main.yml:1:19 unknown-module: there is no module "servce"; did you mean "service"?',
      "warning roles/web/meta/main.yml:1:16 missing-role: the role 'not_here' was not found",
      'error roles/web/tasks/main.yml:1:4 missing-file: there is no file of tasks "no.yml"',
      'warning roles/web/tasks/main.yml:2:4 missing-file: there is no file "theirs"',
      expect.stringMatching(/^error roles\/web\/templates\/deep\/a\.j2:1 template-syntax/),
      "error roles/web/vars/Debian.yml:1:1 yaml: a vars file must hold a mapping of names to values",
    ]);
  });

  test("a project: its playbooks and roles, and a collection's own roles by their full names", async () => {
    const files = {
      "galaxy.yml": "namespace: acme\nname: tools\n",
      "playbooks/a.yml": "- {hosts: all, roles: [one]}\n",
      "playbooks/not_one.yml": "key: value\n",
      "roles/two/tasks/main.yml": "- {import_role: {name: acme.tools.three, tasks_from: none}}\n",
      "roles/three/tasks/main.yml": "- {unknwn: }\n",
    };
    expect((await look(files, ".")).map(line)).toEqual([
      "playbooks/a.yml:1:24 missing-role: the role 'one' was not found",
      'roles/three/tasks/main.yml:1:4 unknown-module: there is no module "unknwn"',
      'roles/two/tasks/main.yml:1:4 missing-file: the role has no file "tasks/none"',
    ]);
  });

  test("imported playbooks have their own roles, and plays those of the collections they name", async () => {
    const files = {
      "site.yml":
        "- import_playbook: web/site.yml\n  vars: {given: 1}\n- {hosts: all, collections: [acme.tools], roles: [two]}\n- {hosts: all, roles: [two]}\n",
      "web/site.yml": "- {hosts: all, roles: [one]}\n",
      "web/roles/one/tasks/main.yml": "- debug: {msg: '{{ given }}'}\n",
      "collections/ansible_collections/acme/tools/roles/two/tasks/main.yml": "- import_role: {name: three}\n",
      "collections/ansible_collections/acme/tools/roles/three/tasks/main.yml": "- ping:\n",
    };
    expect((await lookWith({ inventoryVars: new Set() }, files)).map(line)).toEqual([
      "site.yml:4:24 missing-role: the role 'two' was not found",
    ]);
  });

  test("a single file of a role, and a path that holds nothing", async () => {
    const files = { "roles/web/tasks/main.yml": "- {fle: {path: /a}}\n", "docs/a.md": "" };
    expect(await look(files, "roles/web/tasks/main.yml")).toHaveLength(1);
    await expect(look(files, "docs")).rejects.toThrow("docs holds no role and no playbook");
    await expect(look(files, "none")).rejects.toThrow("there is no file or directory none");
    await expect(look(files, "docs/a.md")).rejects.toThrow("docs/a.md is no playbook, role or template");
  });
});
