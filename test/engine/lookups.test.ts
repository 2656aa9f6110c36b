import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { template } from "../../src/actions/files/template.ts";
import { bytesToText } from "../../src/core/values/bytes.ts";
import { type BundledProject, bundleProject, runBundle } from "../agent/bundle-fixture.ts";
import { makeWorkplace, roleOf, runPlays } from "./run-plays.ts";

// Expected values: the results of ansible-core 2.14 with the same files.
const LOOKUPS: readonly (readonly [expression: string, expected: string])[] = [
  ["lookup('file', 'both')", "role-file"],
  ["lookup('file', 'files/both')", "role-file"],
  ["lookup('file', 'sub/a.conf', 'sub/b.conf')", "g1,g2"],
  ["lookup('file', 'onlypb')", "pb-file"],
  ["lookup('file', 'blanks', lstrip=true)", "x"],
  ["lookup('file', 'blanks', rstrip=false) | to_json", '"  x \\n"'],
  ["lookup('template', 'both')", "role-tpl web1\n"],
  ["lookup('template', 'onlytpl', template_vars={'inventory_hostname': 'mine'})", "pb-tpl mine\n"],
  ["lookup('template', 'list') | length", "2"],
  ["lookup('template', 'list', convert_data=false) | trim", "[1, 2]"],
  ["query('fileglob', '*.conf') | map('basename') | join", "c.conf"],
  ["query('fileglob', 'sub/[!b].conf') | map('basename') | join", "a.conf"],
  ["query('fileglob', 'none/*') | length", "0"],
  ["lookup('file', query('fileglob', 'sub/*.conf') | first)", "g1"],
  ["lookup('file', 'nosuch', errors='ignore')", ""],
  // Bytes that are not UTF-8, here as they stand in text.
  ["lookup('file', 'latin1') | length", "4"],
  ["lookup('file', 'latin1')", "Gr\udcfcn"],
  ["lookup('file', 'latin1') | hash('sha1')", "e4821dc904c8208b28245df57215d97fb4da98b4"],
  ["lookup('file', 'latin1') | b64encode", "R3L8bg=="],
  ["'R3L8bg==' | b64decode", "Gr\udcfcn"],
  // What is seldom used is a part of the bundle by itself.
  ["'10.0.0.0/8' | ansible.utils.ipaddr('prefix')", "8"],
  ["lookup('csvfile', 'b', file='pairs.csv', delimiter=',')", "2"],
  ["lookup('ini', 'port', section='web', file='conf.ini')", "80"],
  ["lookup('first_found', ['nosuch', 'both'])", "both"],
  // In vars of the inventory: the role's whose task asks.
  ["from_inventory", "role-file|role-tpl web1"],
];
const FAILING = [
  "lookup('file', 'onlyroletpl')",
  "lookup('template', 'onlypb')",
  "lookup('file', 'nosuch')",
  "lookup('file', '/etc/passwd')",
];

const vars = { from_inventory: "{{ lookup('file', 'both') }}|{{ lookup('template', 'both') | trim }}" };
const [open, close] = ["{{", "}}"];
const FILES = {
  "files/both": "pb-file\n",
  "files/onlypb": "pb-file\n",
  "templates/onlytpl": `pb-tpl ${open} inventory_hostname ${close}\n`,
  "roles/r/files/both": "role-file\n",
  "roles/r/files/sub/a.conf": "g1\n",
  "roles/r/files/sub/b.conf": "g2\n",
  "roles/r/files/c.conf": "g3\n",
  "roles/r/files/pairs.csv": "a,1\nb,2\n",
  "roles/r/files/conf.ini": "[web]\nport = 80\n",
  "roles/r/files/.hidden.conf": "",
  "roles/r/files/blanks": "  x \n",
  "roles/r/templates/both": `role-tpl ${open} inventory_hostname ${close}\n`,
  "roles/r/templates/list": "[1, 2]\n",
  "roles/r/templates/onlyroletpl": "",
  "roles/r/files/latin1": "Gr\udcfcn\n",
  "roles/r/templates/all": `Gr\udcfcn\n${LOOKUPS.map(([expression]) => `<${open} ${expression} ${close}>`).join("\n")}`,
  ...Object.fromEntries(
    FAILING.map((expression, index) => [`roles/r/templates/wrong${index}`, `${open} ${expression} ${close}`]),
  ),
  "roles/r/role.ts": `import { defineRole, template } from "volley";
export const r = defineRole({ name: "r", tasks: ({ task, facts }) => {
  task("all", template({ src: "all", dest: facts.env.TARGET + "/all" }));
  for (let index = 0; index < ${FAILING.length}; index++)
    task("wrong" + index, template({ src: "wrong" + index, dest: facts.env.TARGET + "/wrong" }), { ignoreErrors: true });
} });
`,
  "site.ts": `import { definePlaybook } from "volley";
import { r } from "./roles/r/role.ts";
export default definePlaybook([{ hosts: "all", roles: [r()] }]);
`,
  "inventory.yml": `all: { hosts: { web1: ${JSON.stringify(vars)} } }\n`,
};
const EXPECTED = `Gr\udcfcn\n${LOOKUPS.map(([, expected]) => `<${expected}>`).join("\n")}`;

let project: BundledProject;
beforeAll(async () => {
  project = await bundleProject(FILES);
});
afterAll(() => project[Symbol.dispose]());

describe("lookups find files of the role, then of the playbook", () => {
  it("in a bundle", async () => {
    using place = makeWorkplace();
    const env = { PATH: process.env.PATH ?? "", HOME: place.directory, TARGET: place.directory };
    const { stdout, stderr } = await runBundle(project.file, ["--local", "web1"], { env });
    expect(bytesToText(readFileSync(place.path("all"))), `${stdout}${stderr}`).toBe(EXPECTED);
    expect(`${stdout}${stderr}`.match(/lookup (?:file|template): there is no/g)).toHaveLength(FAILING.length);
  });

  it("and where the files lie on the controller", async () => {
    using place = makeWorkplace();
    const role = roleOf(
      "r",
      ({ task }) => {
        task("all", template({ src: "all", dest: place.path("all") }));
        for (const index of FAILING.keys())
          task(`wrong${index}`, template({ src: `wrong${index}`, dest: place.path("wrong") }), {
            ignoreErrors: true,
          });
      },
      { directory: "roles/r" },
    );
    const run = await runPlays([{ hosts: "all", roles: [role] }], {
      job: { vars },
      roleDirectory: project.path("roles/r"),
      playbookDirectory: project.directory,
    });
    expect(bytesToText(readFileSync(place.path("all")))).toBe(EXPECTED);
    for (const index of FAILING.keys())
      expect(run.task(`wrong${index}`).error?.message).toMatch(/^lookup (?:file|template): there is no /);
  });
});
