import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { EmbeddedHost } from "../../src/embedded/options.ts";
import { fleetStarter, follow, hostOf, ofType, start } from "./lib/drive.ts";
import { makeProject, playbookText, scratchDirectory } from "./lib/project.ts";

// Machines that nobody can log in to when the run begins: they are just being made, or nothing is asked of them.

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const closes: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closes.splice(0).map((close) => close()));
});

/** A door before a host: a shut door ends each connection at once. */
async function door(host: EmbeddedHost): Promise<{ readonly port: number; open(): void }> {
  let isOpen = false;
  const server = createServer((client) => {
    client.on("error", () => {});
    if (!isOpen) return void client.destroy();
    const behind = connect(host.port, host.address);
    behind.on("error", () => client.destroy());
    client.pipe(behind).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closes.push(async () => {
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    open: () => {
      isOpen = true;
    },
  };
}

const YAML = (keys: string, first: string): string => `- hosts: all
  gather_facts: false
${keys}  tasks:
${first}    - debug: {msg: "{{ inventory_hostname }} is here"}
`;
const WAIT = "    - set_fact: {known: here}\n    - wait_for_connection: {timeout: 300}\n";

const playbooks: readonly (readonly [string, string, string, boolean])[] = [
  ["wait_for_connection, behind what asks nothing of the host", "site.yml", YAML("", WAIT), true],
  [
    "wait_for_connection behind a task of the host",
    "site.yml",
    YAML("", `    - command: id\n${WAIT}`),
    false,
  ],
  ["wait_for_connection behind the facts", "site.yml", YAML("", WAIT).replace("false", "true"), false],
  ["no wait_for_connection", "site.yml", YAML("", "    - command: id\n"), false],
  [
    "`waitForConnection` of a play in TypeScript",
    "site.ts",
    playbookText(
      `{ name: "One", hosts: "all", waitForConnection: 300, tasks: ({ task }) => { task("show", debug({ msg: "here" })); } }`,
    ),
    true,
  ],
];

test.each(playbooks)("%s", async (_what, name, text, waits) => {
  const project = makeProject(scratch(), { [name]: text });
  const fleet = await startFleet({ count: 1 });
  const [host] = fleet.hosts;
  const { port, open } = await door(host!);
  const inventory = project.write("hosts.yaml", fleet.inventoryYaml().replace(`${host!.port}`, `${port}`));
  const ran = await follow(
    start(project, fleet, { inventory, playbook: project.path(name), hostKeys: "off", connectRetries: 0 }),
    (event) => {
      if (event.type === "log" && event.text.startsWith("not there yet, tried again for 300 s: ")) open();
    },
  );
  expect(hostOf(ran, host!.name).outcome).toBe(waits ? "ok" : "unreachable");
  expect(ofType(ran.events, "log").filter(({ text }) => text.startsWith("not there yet"))).toHaveLength(
    waits ? 1 : 0,
  );
});

test("a host that does not come in time is unreachable, with the time it had", async () => {
  const project = makeProject(scratch(), {
    "site.yml": YAML("", "    - wait_for_connection: {timeout: 1}\n"),
  });
  const fleet = await startFleet({ count: 1 });
  const [host] = fleet.hosts;
  const { port } = await door(host!);
  const inventory = project.write("hosts.yaml", fleet.inventoryYaml().replace(`${host!.port}`, `${port}`));
  const playbook = project.path("site.yml");
  const ran = await follow(start(project, fleet, { inventory, playbook, connectRetries: 0 }));
  const { outcome, error } = hostOf(ran, host!.name);
  expect([outcome, error?.code]).toEqual(["unreachable", "CONNECT_FAILED"]);
  expect(error?.message).toMatch(/ closed the connection before login was complete \(tried for \d+ s\)$/);
});

const PLACELESS = `    - set_fact: {known: "{{ ansible_play_hosts | length }}"}
    - block:
        - fail: {msg: "no {{ known }}"}
      rescue:
        - assert: {that: "ansible_failed_result.msg == 'no 1'"}
    - command: "echo {{ inventory_hostname }}"
      delegate_to: localhost
      register: said
    - assert: {that: said.stdout == inventory_hostname}
    - include_tasks: "{{ 'more' }}.yml"
    - add_host: {name: made, groups: late}
`;
const LATE =
  "- hosts: late\n  gather_facts: false\n  tasks:\n    - assert: {that: inventory_hostname == 'made'}\n";
const HANDLER = "  handlers:\n    - name: h\n      command: id\n";

test.each([
  [
    "tasks of the play alone, and of this machine",
    YAML("  become: true\n", PLACELESS) + LATE,
    "debug: {msg: x}",
    0,
  ],
  ["a task of the host in an included file", YAML("", PLACELESS), "command: id", 4],
  ["a handler of the host", YAML(HANDLER, PLACELESS), "debug: {msg: x}", 4],
  ["a later play for the host", YAML("", PLACELESS) + YAML("", "    - command: id\n"), "debug: {msg: x}", 4],
  ["facts", YAML("", PLACELESS).replace("false", "true"), "debug: {msg: x}", 4],
  [
    "a task that is delegated to a name that only a run knows",
    YAML("", "    - {command: id, delegate_to: '{{ x }}'}\n"),
    "debug: {msg: x}",
    4,
  ],
] as const)("a host need not be there for %s", async (_what, text, more, code) => {
  const project = makeProject(scratch(), { "site.yml": text, "more.yml": `- ${more}\n` });
  const fleet = await startFleet({ count: 1 });
  const [host] = fleet.hosts;
  const { port } = await door(host!);
  const inventory = project.write("hosts.yaml", fleet.inventoryYaml().replace(`${host!.port}`, `${port}`));
  const playbook = project.path("site.yml");
  const ran = await follow(start(project, fleet, { inventory, playbook, connectRetries: 0 }));
  expect(ran.summary.exitCode).toBe(code);
  expect(ran.summary.hosts.map(({ outcome }) => outcome)).toEqual(
    code === 0 ? ["ok", "ok"] : ["unreachable"],
  );
});
