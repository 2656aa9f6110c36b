import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { builtCli } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, scratchDirectory } from "../lib/project.ts";

// Groups that tasks make, with their vars, and the secrets of other hosts. ansible-playbook 2.14 passes the asserts as well.

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const play = (directory: string, ...more: readonly string[]) =>
  volleyHere(["run", "-i", "inv", "site.yml", "--output", "ansible", ...more], {
    cwd: directory,
    env: { ANSIBLE_CONFIG: "", HIDDEN: "from-the-environment" },
  });

const HOSTS = `all:
  vars: {ansible_connection: local, base: all}
  children:
    web: {hosts: {a: {own: host}, b: {}}}
    top: {children: {mid: {}}, vars: {from_top: "top {{ inventory_hostname }}", level: top}}
    other: {vars: {from_other: inventory, level: other}}
`;

const GROUPS = {
  "inv/hosts.yml": HOSTS,
  "inv/group_vars/made.yml": "{beside: inventory, both: inventory}\n",
  "group_vars/made.yml": `{both: "playbook {{ own | default('-') }}", own: group, level: made}\n`,
  "group_vars/zlast.yml": "{last: here, level: last}\n",
  "host_vars/new.yml": "{of_file: yes}\n",
};

test("groups that tasks make bring their vars, and those of the groups above them", async () => {
  const { directory } = makeProject(scratch(), {
    ...GROUPS,
    "site.yml": `- hosts: web
  gather_facts: false
  tasks:
    - group_by: {key: made, parents: [mid, zlast]}
      when: inventory_hostname == 'a'
    - assert:
        that:
          - both == 'playbook host' and beside == 'inventory' and own == 'host'
          - from_top == 'top a' and level == 'made' and last == 'here'
          - group_names == ['made', 'mid', 'top', 'web', 'zlast']
          - groups.top == ['a'] and groups.zlast == ['a'] and groups.other == []
      when: inventory_hostname == 'a'
    - assert: {that: "both is undefined and from_top is undefined and group_names == ['web']"}
      when: inventory_hostname == 'b'
    - add_host: {name: b, groups: [other], special: 5, own: given}
    - assert: {that: "special == 5 and own == 'given' and from_other == 'inventory' and level == 'other'"}
      when: inventory_hostname == 'b'
    - assert: {that: special is undefined and hostvars.b.special == 5 and hostvars.b.level == 'other'}
      when: inventory_hostname == 'a'
    - add_host: {name: new, groups: [made], from_top: mine}
    - assert:
        that:
          - hostvars.new.both == 'playbook group' and hostvars.new.of_file and hostvars.new.last == 'here'
          - hostvars.new.from_top == 'mine' and hostvars.new.level == 'made'
          - hostvars.new.group_names == ['made', 'mid', 'top', 'zlast'] and groups.all[0] == 'new'
    - group_by: key=late parents=other
    - assert: {that: "from_other == 'inventory' and 'late' in group_names and 'other' in group_names"}
- hosts: made
  gather_facts: false
  tasks:
    - assert: {that: "beside == 'inventory' and last == 'here' and level == 'made'"}
    - assert: {that: "own == 'group' and from_top == 'mine' and of_file"}
      when: inventory_hostname == 'new'
- hosts: localhost
  gather_facts: false
  tasks:
    - group_by: {key: made}
    - assert: {that: "both == 'playbook group' and 'localhost' not in groups.all and 'mid' in group_names"}
`,
  });
  const end = await play(directory);
  expect([end.code, end.code === 0 ? "" : end.stdout + end.stderr]).toEqual([0, ""]);
  expect(end.stdout).toMatch(/new +: ok=2 /);
});

test("a host by itself learns the vars of the groups that it makes, whatever their names come from", async () => {
  const { directory } = makeProject(scratch(), {
    ...GROUPS,
    "site.yml": `- hosts: a
  gather_facts: false
  vars: {what: ade}
  tasks:
    - group_by: {key: "m{{ what }}"}
    - assert: {that: "beside == 'inventory' and level == 'made' and groups.made == ['a']"}
    - group_by: {key: "one two"}
    - assert: {that: "'one-two' in group_names"}
    - group_by: {key: top, parents: [made]}
    - group_by: {key: made, parents: [top]}
      ignore_errors: true
      register: circle
    - assert: {that: circle is failed and base == 'all'}
`,
  });
  const end = await play(directory);
  expect([end.code, end.code === 0 ? "" : end.stdout + end.stderr]).toEqual([0, ""]);
});

// Made with ansible-vault of ansible-core 2.14; the password is `correct horse`.
/** `bees {{ knees }}` */
const OF_B = `$ANSIBLE_VAULT;1.1;AES256
37326563646634326337333430306539666333366439633932643433386439326664656263323431
6135313463613633613232613436666265353339386239660a636662343230346565383739353832
31636333303732393935393639393234343537393532333862393938643333373238343166363463
3965323263666231320a343332396461303733633635643537626234356639326135383838366366
63636163356566313934306566616565633962326166643631343039653564643237
`;
/** `seas-the-day` */
const OF_C = `$ANSIBLE_VAULT;1.1;AES256
65323833383432303363353033343761333737383139646665356135323838623231343337343262
6138393465613766393039336139353831613238336538300a633537386530323464353464343239
37323732343732626461623139613333323430303530323766653035346562346635363863343663
6137636262386238660a323234313437383038333335363530373762633433343132366362356330
3533
`;
/** `{db_pass: "pass word-{{ inventory_hostname }}-tail", num: 12345678}`, of the group db. */
const OF_DB = `$ANSIBLE_VAULT;1.1;AES256
38386130646336303336626666613064656639366335363734366533376234663762643562643561
6632393733323762633665623237326533636361383536640a323764373466636430363336346332
39653538396336346239646234373161306130373532393139326633386539396362633564626437
3030323133393137640a316561633738353931393965336238623135633732623363363465363538
39306437633261396465376566316630613232633565323434333134633366623832343236336162
35313330376137356435386137313734393532633633356362363164633938336366666637316366
62333236333131343834353931613733386364306334316234363631383433656366643466333834
33373232383033356337
`;

const indent = (text: string, by: number): string => text.trim().replace(/^/gm, " ".repeat(by));

const SECRETS = {
  password: "correct horse\n",
  "group_vars/db.yml": OF_DB,
  "inv/hosts.yml": `all:
  vars: {ansible_connection: local}
  children:
    web:
      hosts:
        a: {}
        b:
          secret: !vault |
${indent(OF_B, 12)}
    db:
      hosts:
        c:
          name: cee
          hidden: !secret env:HIDDEN
          broken: !secret env:NO_SUCH_VARIABLE
          deep:
            list:
              - plain
              - !vault |
${indent(OF_C, 16)}
          url: "https://{{ deep.list[1] }}@x"
`,
};

test("secrets of other hosts are read, and masked wherever they are shown", async () => {
  const { directory } = makeProject(scratch(), {
    ...SECRETS,
    "site.yml": `- hosts: web
  gather_facts: false
  tasks:
    - command: echo "{{ secret }}"
      register: said
      when: inventory_hostname == 'b'
    - debug: {msg: "{{ hostvars.b.secret }} {{ hostvars.b.said.stdout }}"}
    - debug: {msg: "{{ hostvars.c.url }} {{ hostvars.c.db_pass }} {{ hostvars.c.num }} {{ hostvars.c.hidden }}"}
    - copy:
        content: "{{ hostvars.c.deep | to_json }} {{ hostvars['c']['db_pass'] }} {{ hostvars[item].secret | default('none') }}"
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}-{{ item }}"
      loop: "{{ groups.all }}"
    - debug: {var: hostvars.c.deep}
      run_once: true
      register: once
    - assert: {that: "once['hostvars.c.deep'].list[1] == 'seas-the-day'"}
    - debug: {msg: "again {{ once['hostvars.c.deep'].list[1] }}"}
    - command: echo "{{ hostvars.b.secret | length }} {{ hostvars.b.secret }}"
      register: other
    - assert: {that: "other.stdout is match('16 bees ..') and 'secret' in hostvars.b and hostvars.c.name == 'cee'"}
    - debug: {msg: "{{ hostvars.c.broken }}"}
      register: failed
      ignore_errors: true
      when: inventory_hostname == 'a'
    - assert: {that: "failed is skipped or failed.msg is search('NO_SUCH_VARIABLE')"}
`,
  });
  const end = await play(directory, "--vault-password-file", "password");
  expect([end.code, end.code === 0 ? "" : end.stdout + end.stderr]).toEqual([0, ""]);
  expect(end.stdout + end.stderr).not.toMatch(/knees|seas-the|pass word|12345678|from-the-env/);
  expect(end.stdout).toContain("again ********");
  for (const host of ["a", "b"])
    expect(["a", "b"].map((item) => readFileSync(join(directory, `${host}-${item}`), "utf8"))).toEqual([
      '{"list": ["plain", "seas-the-day"]} pass word-c-tail none',
      '{"list": ["plain", "seas-the-day"]} pass word-c-tail bees {{ knees }}',
    ]);
});

test("a vars file that stays closed fails the task that reads its host, and no other", async () => {
  const { directory } = makeProject(scratch(), {
    ...SECRETS,
    "site.yml": `- hosts: a
  gather_facts: false
  tasks:
    - debug: {msg: "{{ hostvars.a.inventory_hostname }}"}
    - debug: {msg: "{{ hostvars.c.db_pass }}"}
      register: closed
      ignore_errors: true
    - assert: {that: "closed.msg is search('group_vars/db.yml')"}
`,
  });
  const end = await play(directory);
  expect([end.code, end.code === 0 ? "" : end.stdout + end.stderr]).toEqual([0, ""]);
});
