import { playbookText, TWO_FILES } from "./project.ts";

/** A playbook that is right, and an inventory for it. */
export const site = { "site.ts": playbookText(TWO_FILES) };
export const hosts = {
  "inventory/hosts.yaml": "all:\n  children:\n    web:\n      hosts:\n        web1:\n        web2:\n",
};

/** Tasks of one play, written on the lines from the fifth on. */
export function tasks(...lines: readonly string[]): string {
  return playbookText(
    `{ name: "One", hosts: "all", tasks: ({ task, vars, facts }) => {\nvoid [vars, facts];\n${lines.join("\n")}\n} }`,
  );
}

/** A role whose tasks are this, and a playbook that uses it. */
export const role = (body: string, vars = ""): string =>
  `import * as v from "valibot";\nimport { copy, debug, defineRole, template } from "volley";\nvoid [v, copy, debug, template];\nexport default defineRole({\n  name: "web",\n${vars}  tasks({ task, vars }) {\n    void vars;\n    ${body}\n  },\n});\n`;
export const withRole = (use: string): string =>
  `import { definePlaybook } from "volley";\nimport web from "./roles/web/role.ts";\nexport default definePlaybook([\n  { hosts: "all", roles: [${use}] },\n]);\n`;
