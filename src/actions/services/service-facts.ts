import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { runsSystemd } from "./unit.ts";

/** A service, as Ansible describes one. */
interface ServiceFact {
  readonly name: string;
  readonly source: "systemd" | "sysv";
  readonly state: string;
  /** Of systemd's alone. */
  readonly status?: string;
}

/** The data of a service_facts task. */
interface ServiceFactsData {
  readonly ansible_facts: { readonly services: Readonly<Record<string, ServiceFact>> };
}

const params = v.strictObject({});

/** List the services of the host. */
export const service_facts = defineAction<typeof params, Change, ServiceFactsData>({
  name: "service_facts",
  doc: `List the services of the host, and set them as the fact \`services\`: \`name\`, \`source\` (\`systemd\` or \`sysv\`), \`state\` (\`running\`, \`stopped\` …) and, with systemd, \`status\` (\`enabled\`, \`disabled\`, \`static\` …).

It changes nothing. systemd's services have their full names: \`services["ssh.service"]\`.`,
  params,
  examples: [{}],

  async inspect(_params, system): Promise<Unchanged<ServiceFactsData>> {
    const services = { ...(await initScripts(system)), ...(await systemdServices(system)) };
    return unchanged({ ansible_facts: { services } });
  },
});

const ENGLISH = { env: { LC_ALL: "C" } } as const;

async function initScripts(system: ReadSystem): Promise<Readonly<Record<string, ServiceFact>>> {
  if ((await system.stat("/etc/init.d")) === null || (await system.which("service")) === null) return {};
  const { stdout } = await system.query(["service", "--status-all"], ENGLISH);
  const found = stdout.matchAll(/^\s*\[ (.) \]\s+(\S+)/gm);
  return Object.fromEntries(
    [...found].map(([, sign, name = ""]): [string, ServiceFact] => [
      name,
      { name, source: "sysv", state: sign === "+" ? "running" : "stopped" },
    ]),
  );
}

async function systemdServices(system: ReadSystem): Promise<Readonly<Record<string, ServiceFact>>> {
  if (!(await runsSystemd(system)) || (await system.which("systemctl")) === null) return {};
  const services: Record<string, ServiceFact> = {};
  const add = (name: string, state: string, status: string): void => {
    services[name] = { name, source: "systemd", state, status };
  };
  for (const [name = "", load = "", active = "", sub = ""] of await list(system, "list-units")) {
    const bad = [load, active, sub].find((word) => ["not-found", "masked", "failed"].includes(word));
    add(name, sub === "running" ? "running" : "stopped", bad ?? active);
  }
  const files = await list(system, "list-unit-files");
  const unloaded = files.flatMap(([name = ""]) => (services[name] === undefined ? [name] : []));
  const states = await activeStates(system, unloaded);
  for (const [name = "", status = ""] of files) {
    const known = services[name];
    if (known === undefined) add(name, states.get(name) ?? "unknown", status);
    else if (!["not-found", "failed"].includes(known.status ?? "")) add(name, known.state, status);
  }
  return services;
}

/** The columns of a listing; of names with a sign before them, such as `●`, the sign is left out. */
async function list(
  system: ReadSystem,
  verb: "list-units" | "list-unit-files",
): Promise<readonly (readonly string[])[]> {
  const { stdout } = await system.query(
    ["systemctl", verb, "--no-pager", "--no-legend", "--full", "--type=service", "--all"],
    ENGLISH,
  );
  return stdout.split("\n").flatMap((line) => {
    const words = line
      .replace(/^[^\w]+\s/, "")
      .trim()
      .split(/\s+/);
    return words[0]?.endsWith(".service") === true ? [words] : [];
  });
}

/** Ask for the states of units that are not loaded, in one call; a template has none. */
async function activeStates(
  system: ReadSystem,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const asked = names.filter((name) => !name.includes("@."));
  if (asked.length === 0) return new Map();
  const { stdout } = await system.query(
    ["systemctl", "show", "--property=ActiveState", "--", ...asked],
    ENGLISH,
  );
  const states = [...stdout.matchAll(/^ActiveState=(.*)$/gm)].map(([, state = ""]) => state);
  return new Map(
    asked.flatMap((name, index) => (states[index] === undefined ? [] : [[name, states[index]]])),
  );
}
