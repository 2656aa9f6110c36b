import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, oneOf, text } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const CAPABILITY = /^(cap_\w+)([=+-])([eip]+)$/i;

const params = v.pipe(
  v.strictObject({
    path: text("The program."),
    capability: describe(
      v.pipe(v.string(), v.nonEmpty()),
      "The capability, with operator and flags where it is to be there: `cap_net_bind_service+ep`.",
    ),
    state: oneOf(["present", "absent"], "present", "Give it, or take it away."),
  }),
  v.check(
    ({ capability, state }) => state === "absent" || CAPABILITY.test(capability),
    "Couldn't find operator (one of: =-+): write cap_net_bind_service+ep",
  ),
);

/** A capability of a file, with what it is in effect: `ep`. */
interface Capability {
  readonly name: string;
  readonly flags: string;
}

interface CapabilityChange extends Change {
  readonly path: string;
  readonly after: readonly Capability[];
}

const ENGLISH = { env: { LC_ALL: "C" } } as const;

/** The data of a capabilities task, under Ansible's names. */
interface CapabilityData {
  readonly msg: string;
  readonly state?: "present" | "absent";
  /** The output of setcap. */
  readonly stdout?: string;
}

/** Give programs capabilities, or take them away. */
export const capabilities = defineAction<typeof params, CapabilityChange, CapabilityData>({
  name: "capabilities",
  aliases: { key: "path", cap: "capability" },
  doc: "Give a program a capability, such as that to listen on a port below 1024, or take it away. Its other capabilities stay.",
  params,
  examples: [
    { path: "/opt/app/bin/app", capability: "cap_net_bind_service+ep" },
    { path: "/usr/bin/ping", capability: "cap_net_raw", state: "absent" },
  ],
  title: ({ path, capability }) => `${capability} of ${path}`,

  async inspect({ path: given, capability, state }, system, { facts }) {
    for (const tool of ["getcap", "setcap"])
      if ((await system.which(tool)) === null)
        throw new VolleyError(
          "ACTION_FAILED",
          `there is no ${tool} on this host; install the package that has it (libcap2-bin, libcap)`,
        );
    const path = await expandPath(system, given, facts.env);
    if ((await system.stat(path)) === null)
      throw new VolleyError("ACTION_FAILED", `Unable to get capabilities of ${path}: there is no such file`);
    const before = await capabilitiesOf(path, system);
    const name = capability.replace(/[=+-].*$/, "").toLowerCase();
    const others = before.filter((each) => each.name !== name);
    const now = before.find((each) => each.name === name);
    const wanted = state === "absent" ? undefined : wantedOf(capability, now);
    if (wanted?.flags === now?.flags) return unchanged();
    const after = wanted === undefined ? others : [...others, wanted];
    const list = (all: readonly Capability[]): string => all.map(textOf).sort().join(" ");
    return {
      path,
      after,
      diff: { path, attributes: { capabilities: [list(before), list(after)] as const } },
      data: { msg: CHANGED },
    };
  },

  async apply({ path, after }, { state }, system, { signal }) {
    const argv = after.length === 0 ? ["setcap", "-r", path] : ["setcap", after.map(textOf).join(" "), path];
    const options = { ...ENGLISH, signal };
    const { stdout } = await runTool(system, argv, `set the capabilities of ${path}`, options);
    return { data: { state, msg: CHANGED, stdout } };
  },
});

/** Ansible's message. */
const CHANGED = "capabilities changed";

/** Return a capability as it is wanted: `-` leaves flags out, and without any there is none. */
function wantedOf(written: string, now: Capability | undefined): Capability | undefined {
  const [, name = "", operator, letters = ""] = CAPABILITY.exec(written)!;
  const kept = operator === "=" ? "" : (now?.flags ?? "");
  const flags = [..."eip"].filter((flag) =>
    operator === "-"
      ? kept.includes(flag) && !letters.includes(flag)
      : kept.includes(flag) || letters.includes(flag),
  );
  return flags.length === 0 ? undefined : { name: name.toLowerCase(), flags: flags.join("") };
}

function textOf({ name, flags }: Capability): string {
  return `${name}=${flags}`;
}

/** Read what getcap says: `PATH = cap_a,cap_b+ep`, or since libcap 2.41 `PATH cap_a,cap_b=ep`. */
async function capabilitiesOf(path: string, system: ReadSystem): Promise<readonly Capability[]> {
  const asked = await system.query(["getcap", path], ENGLISH);
  if (asked.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot read the capabilities of ${path}: ${failureText(asked)}`);
  const found = new Map<string, Set<string>>();
  const line = asked.stdout.split("\n").find((each) => each.startsWith(`${path} `));
  const clauses = (line ?? "")
    .slice(path.length)
    .replace(/^\s*=\s/, " ")
    .trim();
  for (const clause of clauses === "" ? [] : clauses.split(/\s+/)) {
    const [, names = "", changes = ""] = /^([\w,]*)((?:[=+-][eip]*)+)$/i.exec(clause) ?? [];
    for (const name of names.toLowerCase().split(",").filter(Boolean)) {
      const flags = found.get(name) ?? new Set<string>();
      for (const [, operator, letters = ""] of changes.matchAll(/([=+-])([eip]*)/gi)) {
        if (operator === "=") flags.clear();
        for (const flag of letters.toLowerCase()) operator === "-" ? flags.delete(flag) : flags.add(flag);
      }
      found.set(name, flags);
    }
  }
  return [...found].map(([name, flags]) => ({
    name,
    flags: [..."eip"].filter((flag) => flags.has(flag)).join(""),
  }));
}
