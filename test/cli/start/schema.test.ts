import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import * as v from "valibot";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { jsonSchemaOf } from "../../../src/cli/reference/json-schema.ts";
import { inventorySchema, KNOWN_VARS, varsSchema } from "../../../src/inventory/schema.ts";
import { ROOT } from "../../docs/markdown.ts";
import { volley } from "../../e2e/lib/cli.ts";
import { makeProject, scratchDirectory } from "../../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** Read YAML as editors do, for whom a tag that they were told of changes no value. */
const read = (text: string): unknown =>
  parse(text, {
    customTags: ["!secret", "!vault", "!unsafe"].map((tag) => ({ tag, resolve: (value: string) => value })),
  });

const isInventory = new Ajv({ allowUnionTypes: true }).compile(inventorySchema());
const isVars = new Ajv({ allowUnionTypes: true }).compile(varsSchema());

test.each(["inventory/fleet.yaml", "src/starter/inventory/fleet.yaml"])("%s is an inventory", (file) => {
  isInventory(read(readFileSync(join(ROOT, file), "utf8")));
  expect(isInventory.errors).toBeNull();
});

test.each([
  "inventory/group_vars/all.yaml",
  "inventory/group_vars/web.yaml",
  "test/ansible/playbooks/group_vars/all.yml",
  "test/ansible/playbooks/host_vars/here/main.yml",
])("%s is a file of vars", (file) => {
  isVars(read(readFileSync(join(ROOT, file), "utf8")));
  expect(isVars.errors).toBeNull();
});

test.each([
  "",
  "all:",
  "all: { hosts: { web1: , 'web[01:20]': { any: [1, { a: b }] } } }",
  "web: { hosts: web1, children: { db: } }",
  "all: { vars: { ansible_port: 2222, ansible_user: 1000, ansible_become: yes } }",
  "all: { vars: { ansible_port: '22', ansible_become: '{{ wanted }}', ansible_connection: my.own.plugin } }",
  "all: { vars: { ansible_password: !secret 'env:PASSWORD', ansible_host: } }",
  "all: { vars: { volley_runtime: never, volley_runtime_dir: /opt/volley, ansible_connection: docker } }",
  "all: { vars: { volley_persist: 10m }, hosts: { web1: { volley_persist: false }, web2: { volley_persist: 90 } } }",
  "{ plugin: constructed, strict: true, compose: { a: b }, groups: { c: true }, keyed_groups: [{ key: d, prefix: '' }] }",
  "plugin: { hosts: { web1: } }",
])("inventory: %s", (text) => {
  isInventory(read(text));
  expect(isInventory.errors).toBeNull();
});

test.each([
  ["[web1]", "must be object,null"],
  ["all: [web1]", "must be object,null"],
  ["all: { host: { web1: } }", "must NOT have additional properties"],
  ["all: { hosts: [web1] }", "must be object,string,null"],
  ["all: { children: { web: { hots: } } }", "must NOT have additional properties"],
  ["all: { vars: { ansible_port: 70000 } }", "must be <= 65535"],
  ["all: { vars: { ansible_port: ssh } }", "must match pattern"],
  ["all: { hosts: { web1: { ansible_become: perhaps } } }", "must match pattern"],
  ["all: { hosts: { web1: { ansible_host: [a] } } }", "must be string,number,null"],
  ["all: { vars: { volley_runtime: sometimes } }", "must be equal to one of the allowed values"],
  ["all: { vars: { volley_runtime_dir: opt } }", "must match pattern"],
  ["all: { vars: { volley_persist: soon } }", "must match pattern"],
  ["all: { vars: { volley_persist: true } }", "must be equal to one of the allowed values"],
  ["{ plugin: aws_ec2 }", "must be equal to one of the allowed values"],
  ["{ plugin: constructed, composes: {} }", "must NOT have additional properties"],
])("no inventory: %s", (text, reason) => {
  expect(isInventory(read(text))).toBe(false);
  expect(isInventory.errors?.map(({ message }) => message).join("; ")).toContain(reason);
});

test("all vars that the inventory's readers look for are known, with a description", () => {
  const sources = [
    "inventory/connection.ts",
    "inventory/containers.ts",
    "inventory/draft.ts",
    "controller/prepare/reach.ts",
  ];
  const names = new Set(
    sources.flatMap((file) => {
      const text = readFileSync(join(ROOT, "src", file), "utf8");
      return [...text.matchAll(/"((?:ansible|volley)_[a-z_]+)"/g)].map(([, name]) => name!);
    }),
  );
  expect(names.size).toBeGreaterThan(15);
  expect([...names].filter((name) => !(name in KNOWN_VARS))).toEqual([]);
  for (const [name, { description }] of Object.entries(KNOWN_VARS)) expect(description, name).toBeTruthy();
});

describe("schemas of valibot", () => {
  const Role = v.strictObject({
    domain: v.pipe(v.string(), v.regex(/\./), v.description("The name of the site.")),
    workers: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)), 2),
    mode: v.optional(v.picklist(["fast", "safe"])),
    sizes: v.nullish(v.array(v.union([v.number(), v.literal("all")]))),
    users: v.record(v.string(), v.object({ name: v.string(), admin: v.exactOptional(v.boolean()) })),
    pair: v.optional(v.tuple([v.string(), v.number()])),
    own: v.custom(() => true),
  });
  const isRole = new Ajv({ allowUnionTypes: true, strictTuples: false }).compile(jsonSchemaOf(Role));
  const sound = { domain: "a.b", users: { a: { name: "A" } }, own: 1 };

  test.each([
    [{}, true],
    [{ workers: 64, mode: "safe", sizes: [1, "all"], pair: ["a", 1] }, true],
    [{ sizes: null, users: { a: { name: "A", admin: true, more: 1 } } }, true],
    [{ domain: "ab" }, false],
    [{ domain: undefined }, false],
    [{ workers: 0 }, false],
    [{ workers: 1.5 }, false],
    [{ mode: "slow" }, false],
    [{ sizes: ["some"] }, false],
    [{ users: { a: {} } }, false],
    [{ pair: ["a"] }, false],
    [{ more: 1 }, false],
  ])("say of %j what valibot says: %s", (change, verdict) => {
    const value = JSON.parse(
      JSON.stringify({
        ...sound,
        ...change,
        ...("domain" in change && change.domain === undefined ? { domain: undefined } : {}),
      }),
    );
    expect({ json: isRole(value), valibot: v.safeParse(Role, value).success }).toEqual({
      json: verdict,
      valibot: verdict,
    });
  });
});

describe("volley schema", () => {
  let printed: { readonly properties: Readonly<Record<string, { readonly description: string }>> };
  let isOwn: ReturnType<Ajv["compile"]>;

  beforeAll(async () => {
    const project = makeProject(scratch(), {
      "site.ts": `import * as v from "valibot";
import { definePlaybook, defineRole } from "volley";
const web = defineRole({ name: "web", vars: v.object({ workers: v.pipe(v.number(), v.description("Processes.")) }), tasks() {} });
const bare = defineRole({ name: "bare", tasks() {} });
export default definePlaybook([{ hosts: "all", roles: [web(), bare()] }, { hosts: "all", roles: [web()] }]);
`,
    });
    const { code, stdout, stderr } = await volley(["schema", "vars", "site.ts"], { cwd: project.directory });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    printed = JSON.parse(stdout);
    isOwn = new Ajv({ allowUnionTypes: true }).compile(printed);
  });

  test("has the vars that a playbook's roles declare", () => {
    expect(printed.properties.workers?.description).toBe("Processes. (role web)");
    expect(printed.properties).toHaveProperty("ansible_host");
    expect([{ workers: 2 }, { workers: "{{ cores }}" }, { other: [] }].map((each) => isOwn(each))).toEqual([
      true,
      true,
      true,
    ]);
    expect([{ workers: "many" }, { workers: true }].map((each) => isOwn(each))).toEqual([false, false]);
  });
});
