import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, flag, oneOf, optionalText } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const params = v.pipe(
  v.strictObject({
    state: v.optional(
      describe(
        v.picklist(["disabled", "enabled", "reloaded", "reset"]),
        "Turn the firewall on, now and at boot, or off; load its rules anew; or remove all rules and turn it off.",
      ),
    ),
    default: v.optional(
      describe(
        v.picklist(["allow", "deny", "reject"]),
        "What happens to traffic that no rule matches, in `direction`.",
      ),
    ),
    direction: v.optional(
      describe(
        v.picklist(["in", "incoming", "out", "outgoing", "routed"]),
        "Direction of the traffic: for rules `in` or `out`, for `default` all. Default: incoming.",
      ),
    ),
    logging: v.optional(
      describe(v.picklist(["on", "off", "low", "medium", "high", "full"]), "Level of the firewall's log."),
    ),
    rule: v.optional(
      describe(v.picklist(["allow", "deny", "limit", "reject"]), "Add a rule that does this."),
    ),
    delete: flag("Delete the rule instead."),
    insert: v.optional(
      describe(v.pipe(v.number(), v.integer()), "Insert the rule before the one of this number."),
    ),
    insert_relative_to: oneOf(
      ["zero", "first-ipv4", "last-ipv4", "first-ipv6", "last-ipv6"],
      "zero",
      "The rule that `insert` counts from.",
    ),
    log: flag("Log new connections that match the rule."),
    from_ip: v.optional(describe(v.string(), "Source address."), "any"),
    from_port: optionalText("Source port."),
    to_ip: v.optional(describe(v.string(), "Destination address."), "any"),
    to_port: optionalText("Destination port, or several: `80,443`, `1024:2048`."),
    proto: v.optional(
      describe(v.picklist(["any", "tcp", "udp", "ipv6", "esp", "ah", "gre", "igmp", "vrrp"]), "Protocol."),
    ),
    name: optionalText("Profile of an application in `/etc/ufw/applications.d`."),
    interface: optionalText("Interface of the traffic, in `direction`."),
    interface_in: optionalText("Interface that traffic comes in by."),
    interface_out: optionalText("Interface that traffic goes out by."),
    route: flag("The rule is for routed traffic."),
    comment: optionalText("Comment of the rule."),
  }),
  v.check(
    (given) =>
      given.state !== undefined ||
      given.default !== undefined ||
      given.rule !== undefined ||
      given.logging !== undefined,
    "give at least one of state, default, rule and logging",
  ),
  v.check(
    ({ rule, direction }) => rule === undefined || direction !== "routed",
    "a rule has no direction routed: set route",
  ),
  v.check(
    ({ interface: both, interface_in, interface_out }) =>
      both === undefined || (interface_in === undefined && interface_out === undefined),
    "give either interface, or interface_in and interface_out",
  ),
  v.check(
    ({ interface: both, direction }) => both === undefined || direction !== undefined,
    "interface needs direction",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of an ufw task. */
interface UfwData {
  /** The state of the firewall afterwards, as `ufw status verbose` tells it. */
  readonly msg: string;
  readonly commands: readonly string[];
}

interface UfwChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

/** Keep rules and state of the firewall ufw. */
export const ufw = defineAction<typeof params, UfwChange, UfwData>({
  name: "ufw",
  doc: `Keep rules, default policy, logging and state of the firewall ufw.

A rule is compared with those there are by \`ufw --dry-run\`. \`state: reloaded\` and \`reset\` run each time, and count as
changes only if state or rules differ afterwards. State and policy are set before rules: allow SSH before you deny all.`,
  params,
  aliases: {
    policy: "default",
    from: "from_ip",
    src: "from_ip",
    to: "to_ip",
    dest: "to_ip",
    port: "to_port",
    protocol: "proto",
    app: "name",
    if: "interface",
    if_in: "interface_in",
    if_out: "interface_out",
  },
  examples: [
    { rule: "allow", to_port: "22", proto: "tcp" },
    { state: "enabled", default: "deny" },
  ],
  title: ({ state, rule, to_port, name, ...given }) =>
    [state, given.default, given.delete ? "delete" : undefined, rule, to_port ?? name]
      .filter(Boolean)
      .join(" "),
  inspect,
  apply,
});

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  if ((await system.which("ufw")) === null) {
    const message = 'ufw is not installed; install it first with apt({ name: "ufw" })';
    if (context.check) return { commands: [], unknown: message } satisfies UfwChange;
    throw new VolleyError("ACTION_FAILED", message);
  }
  const before = await readState(system, context);
  const commands: (readonly string[])[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const diffs: Diff[] = [];
  const { state, logging, rule } = given;
  if (state === "enabled" && !before.isActive) {
    commands.push(["ufw", "-f", "enable"]);
    attributes.state = ["inactive", "active"];
  } else if (state === "disabled" && (before.isActive || before.isEnabled)) {
    commands.push(["ufw", "-f", "disable"]);
    attributes.state = ["active", "inactive"];
  } else if (state === "reset" || (state === "reloaded" && before.isActive)) {
    commands.push(["ufw", "-f", state === "reset" ? "reset" : "reload"]);
  }
  if (given.default !== undefined) {
    const direction = DIRECTIONS[given.direction ?? "incoming"];
    const current = before.policies[direction];
    if (current !== given.default) {
      commands.push(["ufw", "default", given.default, direction]);
      attributes[`default ${direction}`] = [current ?? "", given.default];
    }
  }
  if (logging !== undefined && !sameLogging(before.logging, logging)) {
    commands.push(["ufw", "logging", logging]);
    attributes.logging = [before.logging, logging];
  }
  if (rule !== undefined) {
    const words = await ruleWords(given, system, context);
    const dry = await system.query(["ufw", "--dry-run", ...words], queryOptions(context));
    if (dry.code !== 0) throw new VolleyError("ACTION_FAILED", `ufw refuses the rule: ${failureText(dry)}`);
    const after = rulesOf(dry.stdout, before);
    if (after !== before.rules) {
      commands.push(["ufw", ...words]);
      diffs.push({ path: "ufw rules", before: before.rules, after });
    }
  }
  if (commands.length === 0) return unchanged<UfwData>({ msg: before.text, commands: [] });
  if (Object.keys(attributes).length > 0) diffs.unshift({ path: "ufw", attributes });
  return {
    commands,
    diff: diffs,
    message: commands.map((argv) => argv.join(" ")).join("; "),
    data: { msg: before.text, commands: commands.map((argv) => argv.join(" ")) },
  } satisfies UfwChange;
}

async function apply(
  { commands }: UfwChange,
  _given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<UfwData>> {
  const before = await readState(system, context);
  for (const argv of commands) await runTool(system, argv, `run ${argv.join(" ")}`, queryOptions(context));
  const after = await readState(system, context);
  return {
    changed: JSON.stringify(before) !== JSON.stringify(after),
    data: { msg: after.text, commands: commands.map((argv) => argv.join(" ")) },
  };
}

function queryOptions({ signal }: ActionContext) {
  return { signal, env: { LC_ALL: "C" } };
}

const DIRECTIONS = {
  in: "incoming",
  incoming: "incoming",
  out: "outgoing",
  outgoing: "outgoing",
  routed: "routed",
} as const;

interface UfwState {
  /** The output of `ufw status verbose`. */
  readonly text: string;
  readonly isActive: boolean;
  /** True when it starts at boot. */
  readonly isEnabled: boolean;
  readonly logging: string;
  readonly policies: Readonly<Record<string, string | undefined>>;
  /** The rules of IPv4, then those of IPv6, one a line. */
  readonly rules: string;
  readonly rules4: readonly string[];
  readonly rules6: readonly string[];
}

async function readState(system: ReadSystem, context: ActionContext): Promise<UfwState> {
  const status = await system.query(["ufw", "status", "verbose"], queryOptions(context));
  if (status.code !== 0) throw new VolleyError("ACTION_FAILED", `ufw status fails: ${failureText(status)}`);
  const read = async (path: string): Promise<string> =>
    (await system.readIfExists(path))?.toString("utf8") ?? "";
  const [defaults, conf] = [await read("/etc/default/ufw"), await read("/etc/ufw/ufw.conf")];
  const value = (text: string, name: string): string =>
    new RegExp(`^\\s*${name}="?([^"\\n]*?)"?\\s*$`, "m").exec(text)?.[1] ?? "";
  const policy = (name: string): string | undefined =>
    ({ ACCEPT: "allow", DROP: "deny", REJECT: "reject" })[value(defaults, `DEFAULT_${name}_POLICY`)];
  const rules4 = tuplesOf((await read("/etc/ufw/user.rules")) || (await read("/lib/ufw/user.rules")));
  const rules6 = tuplesOf((await read("/etc/ufw/user6.rules")) || (await read("/lib/ufw/user6.rules")));
  return {
    text: status.stdout.trimEnd(),
    isActive: /^Status: active/m.test(status.stdout),
    isEnabled: /^yes$/i.test(value(conf, "ENABLED")),
    logging: value(conf, "LOGLEVEL"),
    policies: { incoming: policy("INPUT"), outgoing: policy("OUTPUT"), routed: policy("FORWARD") },
    rules4,
    rules6,
    rules: joinRules(rules4, rules6),
  };
}

/** The rules in a file of ufw, which keeps each as a comment beside what it became. */
function tuplesOf(text: string): readonly string[] {
  return [...text.matchAll(/^### tuple ### (.*)$/gm)].map((match) => match[1]!.trim());
}

function joinRules(rules4: readonly string[], rules6: readonly string[]): string {
  return [...rules4, ...rules6]
    .map(
      (rule) =>
        `${rule.replace(/ comment=([0-9a-f]+)$/, (_all, hex: string) => ` # ${Buffer.from(hex, "hex").toString("utf8")}`)}\n`,
    )
    .join("");
}

/** The rules as `ufw --dry-run` prints the files that it would write; of a file that stays as it is, it prints none. */
function rulesOf(output: string, { rules4, rules6 }: UfwState): string {
  let [after4, after6] = [rules4, rules6];
  for (const file of output.split(/^\*filter$/m).slice(1)) {
    if (file.includes(":ufw6-")) after6 = tuplesOf(file);
    else after4 = tuplesOf(file);
  }
  return joinRules(after4, after6);
}

function sameLogging(current: string, wanted: string): boolean {
  return current === wanted || (wanted === "on" && current !== "" && current !== "off");
}

/** The words of a rule in ufw's full syntax (ufw(8)). */
async function ruleWords(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[]> {
  const { direction, rule, from_port, to_port, proto, name, comment } = given;
  const way =
    direction === undefined
      ? undefined
      : { in: "in", incoming: "in", out: "out", outgoing: "out", routed: "in" }[direction];
  const position =
    given.insert === undefined || given.delete ? undefined : await insertAt(given, system, context);
  return [
    ...(given.route ? ["route"] : []),
    ...(given.delete ? ["delete"] : []),
    ...(position === undefined ? [] : ["insert", String(position)]),
    rule!,
    ...(way === undefined ? [] : [way]),
    ...(given.interface === undefined ? [] : ["on", given.interface]),
    ...(given.interface_in === undefined ? [] : ["in", "on", given.interface_in]),
    ...(given.interface_out === undefined ? [] : ["out", "on", given.interface_out]),
    ...(given.log ? ["log"] : []),
    ...["from", given.from_ip],
    ...(from_port === undefined ? [] : ["port", from_port]),
    ...["to", given.to_ip],
    ...(to_port === undefined ? [] : ["port", to_port]),
    ...(proto === undefined ? [] : ["proto", proto]),
    ...(name === undefined ? [] : ["app", name]),
    ...(comment === undefined ? [] : ["comment", comment]),
  ];
}

/** The number to insert a rule at; undefined to add it at the end, where there is no such rule yet. */
async function insertAt(
  { insert = 0, insert_relative_to }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<number | undefined> {
  if (insert_relative_to === "zero") return insert;
  const { stdout } = await system.query(["ufw", "status", "numbered"], queryOptions(context));
  const lines = [...stdout.matchAll(/^\[\s*(\d+)\]\s+(.*)$/gm)].map((match) => ({
    number: Number(match[1]),
    isIpv6: match[2]!.includes("(v6)") || /\b[0-9a-f]*:[0-9a-f:]+/i.test(match[2]!),
  }));
  const last = lines.at(-1)?.number ?? 0;
  const first6 = lines.find((line) => line.isIpv6)?.number ?? last + 1;
  const base = { "first-ipv4": 1, "last-ipv4": first6 - 1, "first-ipv6": first6, "last-ipv6": last }[
    insert_relative_to
  ];
  const position = base + insert;
  // ufw inserts before rules alone: after the last, a rule is added.
  return position > last || position < 1 ? undefined : position;
}
