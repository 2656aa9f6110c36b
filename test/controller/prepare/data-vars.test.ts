import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeJob, openPlan, planHosts } from "../../../src/controller/prepare/plan.ts";
import { becomeWay } from "../../../src/controller/prepare/reach.ts";
import { readInventory } from "../../../src/controller/prepare/read.ts";
import type { Facts } from "../../../src/core/facts.ts";
import { definePlaybook } from "../../../src/core/playbook.ts";
import { encodeLine, type Job } from "../../../src/core/protocol.ts";
import type { Vars } from "../../../src/core/values/vars.ts";
import { hostVariables } from "../../../src/engine/context.ts";
import { createTemplates } from "../../../src/template/index.ts";
import { createSecretStore } from "../../../src/vars/secrets/store.ts";
import { decodeVars, encodeVars } from "../../../src/vars/whole-value.ts";

// `p{{ 1+1 }}w`, and a file with `opened: "o{{ 1 + 1 }}"` and `raw: !unsafe "r{{ 1 }}"`; the password is `pw`.
const INLINE = `$ANSIBLE_VAULT;1.1;AES256
61316231633738323638653036616265363466663266376539646233316430363635646432626638
6132666661343531316435656538626162623261643736630a666435633362323030383732363639
64393737383531653862363230663861643531336633326437363363363233323039316534373162
3030373335613132660a613436323836313465336431613563616338346531643162663330356662
6236`;
const WHOLE = `$ANSIBLE_VAULT;1.1;AES256
30666430363937666339626639616433373235313666326366383430383839353735323366313433
6563383934303038336532663839333239323931333531320a396564653536663166343630656639
30643634633630396635663332653736623661333337336266636561626161376562646130663530
6131366463363736360a333933383631356135376666393536336330376332633636623964323761
62626330636263623661303938356338313033373962626162636535393662643932306161636532
3839323639616434643839613365306161386361656661343437`;

const FILES = {
  pw: "pw\n",
  "group_vars/all/whole.yml": WHOLE,
  "hosts.yml": `all:
  vars:
    inline: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      61316231633738323638653036616265363466663266376539646233316430363635646432626638
      6132666661343531316435656538626162623261643736630a666435633362323030383732363639
      64393737383531653862363230663861643531336633326437363363363233323039316534373162
      3030373335613132660a613436323836313465336431613563616338346531643162663330356662
      6236
    nested: {list: [!unsafe "{{ nosuch }}", "{{ 1 + 1 }}"]}
    shown: "<{{ inline }}|{{ raw }}|{{ nested.list[0] }}>"
    whole: "{{ inline }}"
    ansible_become_password: "{{ inline }}{{ tail }}"
    tail: !unsafe "{% x %}"
    same: "p{{ 1+1 }}w"
    wrong: "{{ nosuch }}"
  hosts: {web1: {}}
`,
  "list.json": JSON.stringify({
    all: { hosts: ["web2"] },
    _meta: {
      hostvars: {
        web2: {
          inline: { __ansible_vault: `${INLINE}\n` },
          raw: { __ansible_unsafe: "u{{ 1 }}" },
          shown: "{{ inline }} {{ raw }}",
        },
      },
    },
  }),
};

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-data-"));
  for (const [name, content] of Object.entries(FILES)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  writeFileSync(join(directory, "list.sh"), `#!/bin/sh\ncat ${directory}/list.json\n`, { mode: 0o755 });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Open an inventory's only host: its secrets, the content of its Job, and the vars that its templates see. */
async function open(file: string) {
  const path = join(directory, file);
  const playbook = definePlaybook([{ hosts: "all", roles: [] }]);
  const secrets = createSecretStore({ cwd: directory, vaultPasswordFiles: [join(directory, "pw")] });
  const { inventory, select } = await readInventory(path, {
    cwd: directory,
    playbookDirectory: directory,
    secrets,
  });
  const plan = await openPlan(
    planHosts(playbook, inventory, (pattern) => select(pattern)),
    secrets,
  );
  const host = plan.hosts[0]!;
  const options = { check: false, diff: false, tags: [], skipTags: [], barriers: false };
  const job = decodeVars(
    JSON.parse(encodeLine(encodeVars(makeJob(host, plan, { options, asksForGroups: true })))) as Job,
  );
  const seen: Vars = hostVariables(job, {} as Facts, createTemplates().renderValue);
  return { host, job, seen };
}

// As ansible-core 2.14 has it.
describe("what came as data is never a template", () => {
  it("in YAML: values encrypted on their own and unsafe ones; a file encrypted as a whole holds templates", async () => {
    const { seen } = await open("hosts.yml");
    expect(seen.inline).toBe("p{{ 1+1 }}w");
    expect(seen.same).toBe("p2w");
    expect(seen.opened).toBe("o2");
    expect(seen.raw).toBe("r{{ 1 }}");
    expect(seen.nested).toEqual({ list: ["{{ nosuch }}", "2"] });
    expect(seen.shown).toBe("<p{{ 1+1 }}w|r{{ 1 }}|{{ nosuch }}>");
    expect(seen.whole).toBe("p{{ 1+1 }}w");
  });

  it("in JSON", async () => {
    const { seen } = await open("list.sh");
    expect([seen.inline, seen.raw, seen.shown]).toEqual(["p{{ 1+1 }}w", "u{{ 1 }}", "p{{ 1+1 }}w u{{ 1 }}"]);
  });

  it("in the password to become another user", async () => {
    const { host } = await open("hosts.yml");
    expect(becomeWay(host, {}).password).toBe("p{{ 1+1 }}w{% x %}");
  });

  it("and where templates are set is told to the host", async () => {
    const { job, seen } = await open("hosts.yml");
    expect(job.sources?.wrong).toMatchObject({
      file: expect.stringMatching(/hosts\.yml$/),
      line: expect.any(Number),
    });
    expect(() => seen.wrong).toThrow(/^the var "wrong" cannot be rendered: 'nosuch' is undefined$/);
    const line = FILES["hosts.yml"].split("\n").findIndex((each) => each.includes("wrong:")) + 1;
    expect(job.sources?.wrong?.line).toBe(line);
  });
});
