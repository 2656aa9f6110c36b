import * as v from "valibot";
import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { commandLine } from "../../core/unix/shell.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { describe, flag, oneOf, optionalText, textList } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const LEVELS = [
  "0",
  "1",
  "2",
  "3",
  "4",
  "5",
  "6",
  "7",
  "emerg",
  "alert",
  "crit",
  "error",
  "warning",
  "notice",
  "info",
  "debug",
] as const;

const params = v.pipe(
  v.strictObject({
    table: oneOf(["filter", "nat", "mangle", "raw", "security"], "filter", "The table."),
    chain: optionalText("The chain."),
    state: oneOf(["absent", "present"], "present", "Whether the rule, or the chain, is there."),
    action: oneOf(["append", "insert"], "append", "Where a new rule goes: at the end, or the beginning."),
    rule_num: optionalText("Number of the rule to insert a new one before; with `action: insert`."),
    ip_version: oneOf(["ipv4", "ipv6"], "ipv4", "The version of IP: iptables or ip6tables."),
    chain_management: flag("Make a missing chain; with `state: absent` and no rule, remove the chain."),
    flush: flag("Remove all rules of the chain, or of the table; other parameters count for nothing."),
    policy: v.optional(
      describe(
        v.picklist(["ACCEPT", "DROP", "QUEUE", "RETURN"]),
        "Set the policy of a built-in chain; other parameters count for nothing.",
      ),
    ),
    protocol: optionalText(
      "Protocol, by name or number; `!` before it stands for all others, as with most values.",
    ),
    source: optionalText("Source address, with a mask or without."),
    destination: optionalText("Destination address, with a mask or without."),
    tcp_flags: v.optional(
      describe(
        v.strictObject({
          flags: v.optional(textList("Flags to look at.")),
          flags_set: v.optional(textList("Flags that are set.")),
        }),
        "Flags of TCP.",
      ),
    ),
    match: v.optional(textList("Modules to match with, in their order."), []),
    jump: optionalText("Target of packets that match: a chain, or `ACCEPT`, `DROP`, `LOG`…"),
    gateway: optionalText("Address that `TEE` sends copies to."),
    log_prefix: optionalText("Text before each line of the log; jumps to `LOG`."),
    log_level: v.optional(describe(v.picklist(LEVELS), "Level of the log; jumps to `LOG`.")),
    goto: optionalText("Chain to go on in without coming back."),
    in_interface: optionalText("Interface that packets come in by."),
    out_interface: optionalText("Interface that packets go out by."),
    fragment: optionalText("Match second and further fragments."),
    set_counters: optionalText("Counters of a new rule: packets and bytes."),
    source_port: optionalText("Source port, or a range `first:last`."),
    destination_port: optionalText("Destination port, or a range `first:last`."),
    destination_ports: v.optional(textList("Several destination ports."), []),
    to_ports: optionalText("Port or range that packets are redirected to."),
    to_destination: optionalText("New destination, for `DNAT`."),
    to_source: optionalText("New source, for `SNAT`."),
    syn: oneOf(
      ["ignore", "match", "negate"],
      "ignore",
      "Match packets that begin a connection, or all others.",
    ),
    set_dscp_mark: optionalText("Mark for DSCP."),
    set_dscp_mark_class: optionalText("Class for DSCP."),
    comment: optionalText("Comment of the rule."),
    ctstate: v.optional(textList("States of connections: `ESTABLISHED,RELATED`."), []),
    src_range: optionalText("Range of source addresses."),
    dst_range: optionalText("Range of destination addresses."),
    match_set: optionalText("Set of ipset to match."),
    match_set_flags: v.optional(
      describe(
        v.picklist(["src", "dst", "src,dst", "dst,src", "src,src", "dst,dst"]),
        "Addresses that `match_set` compares.",
      ),
    ),
    limit: optionalText("Matches at a time: `5/minute`."),
    limit_burst: optionalText("Matches before the limit counts."),
    uid_owner: optionalText("User whose packets match."),
    gid_owner: optionalText("Group whose packets match."),
    reject_with: optionalText("Answer to rejected packets; jumps to `REJECT`."),
    icmp_type: optionalText("Type of ICMP."),
    wait: optionalText("Seconds to wait for the lock of xtables."),
    numeric: flag("List rules without looking names up: always so."),
  }),
  v.check(({ flush, chain }) => flush || chain !== undefined, "chain is required, unless flush is set"),
  exclusive("set_dscp_mark", "set_dscp_mark_class"),
  v.check(
    ({ match_set, match_set_flags }) => (match_set === undefined) === (match_set_flags === undefined),
    "give match_set and match_set_flags together",
  ),
  v.check(({ jump, goto }) => jump === undefined || goto === undefined, "give either jump or goto"),
  v.check(
    ({ rule_num, action }) => rule_num === undefined || action === "insert",
    "rule_num needs action insert",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of an iptables task. */
interface IptablesData {
  readonly ip_version: string;
  readonly table: string;
  readonly chain: string | null;
  readonly flush: boolean;
  readonly rule: string;
  readonly state: string;
  readonly chain_management: boolean;
}

interface IptablesChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

/** Keep a rule of iptables. */
export const iptables = defineAction<typeof params, IptablesChange, IptablesData>({
  name: "iptables",
  doc: `Keep one rule, the policy of a chain, or a chain in the kernel's packet filter, by iptables or ip6tables.

The rule is looked for with \`-C\`, which tells whether exactly this rule is there. Rules are in the running kernel alone:
a package such as iptables-persistent keeps them. \`flush\` counts as a change each time.`,
  params,
  examples: [
    {
      chain: "INPUT",
      protocol: "tcp",
      destination_port: "22",
      ctstate: ["NEW"],
      jump: "ACCEPT",
      comment: "SSH",
    },
    { chain: "INPUT", policy: "DROP" },
  ],
  title: ({ chain, policy, flush, ...given }) =>
    [flush ? "flush" : "", chain ?? given.table, policy ?? given.jump ?? ""]
      .filter((word) => word !== "")
      .join(" "),
  inspect,
  apply,
});

function programOf({ ip_version }: Params): string {
  return ip_version === "ipv6" ? "ip6tables" : "iptables";
}

/** The words that precede all of a command. */
function commandOf(given: Params, command: string, ...rest: readonly string[]): readonly string[] {
  const wait = given.wait === undefined ? [] : ["-w", given.wait];
  return [programOf(given), ...wait, "-t", given.table, command, ...rest];
}

async function inspect(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<IptablesChange | Unchanged<IptablesData>> {
  const { chain, flush, policy, state, chain_management } = given;
  const program = programOf(given);
  if ((await system.which(program)) === null) {
    const message = `${program} is not installed; install it first with apt({ name: "iptables" })`;
    if (context.check) return { commands: [], unknown: message } satisfies IptablesChange;
    throw new VolleyError("ACTION_FAILED", message);
  }
  const rule = ruleWords(given);
  const data = dataOf(given, rule);
  const ask = (...words: readonly string[]) =>
    system.query(commandOf(given, words[0]!, ...words.slice(1)), {
      signal: context.signal,
      env: { LC_ALL: "C" },
    });
  const changing = (...commands: readonly (readonly string[])[]): IptablesChange => ({
    commands,
    message: commands.map(commandLine).join("; "),
    data,
  });
  if (flush) return changing(commandOf(given, "-F", ...(chain === undefined ? [] : [chain])));
  if (policy !== undefined) {
    const listed = await ask("-L", chain!, "-n");
    const current = /^Chain \S+ \(policy (\w+)/m.exec(listed.stdout)?.[1];
    if (current === undefined)
      throw new VolleyError(
        "ACTION_FAILED",
        `cannot read the policy of ${chain}: ${listed.code === 0 ? "only built-in chains have one" : failureText(listed)}`,
      );
    if (current === policy) return unchanged(data);
    return {
      ...changing(commandOf(given, "-P", chain!, policy)),
      diff: { path: `chain ${chain}`, attributes: { policy: [current, policy] } },
    };
  }
  const hasChain = async (): Promise<boolean> => (await ask("-S", chain!)).code === 0;
  if (chain_management && rule.length === 0) {
    const exists = await hasChain();
    if (exists === (state === "present")) return unchanged(data);
    return {
      ...changing(commandOf(given, state === "present" ? "-N" : "-X", chain!)),
      diff: {
        path: `chain ${chain}`,
        ...(exists ? { before: `${chain}\n`, after: null } : { before: null, after: `${chain}\n` }),
      },
    };
  }
  const found = await ask("-C", chain!, ...rule);
  // Exit code 2 stands for a wrong command line.
  if (found.code === 2)
    throw new VolleyError("ACTION_FAILED", `${program} does not take the rule: ${failureText(found)}`);
  const exists = found.code === 0;
  if (exists === (state === "present")) return unchanged(data);
  const text = `${commandLine(["-A", chain!, ...rule])}\n`;
  const diff = {
    path: `chain ${chain}`,
    ...(exists ? { before: text, after: "" } : { before: "", after: text }),
  };
  if (exists) return { ...changing(commandOf(given, "-D", chain!, ...rule)), diff };
  const makesChain = chain_management && !(await hasChain());
  const place =
    given.action === "append"
      ? ["-A", chain!]
      : ["-I", chain!, ...(given.rule_num === undefined ? [] : [given.rule_num])];
  return {
    ...changing(
      ...(makesChain ? [commandOf(given, "-N", chain!)] : []),
      commandOf(given, place[0]!, ...place.slice(1), ...rule),
    ),
    diff,
  };
}

async function apply(
  { commands }: IptablesChange,
  given: Params,
  system: System,
  { signal }: ActionContext,
): Promise<Applied<IptablesData>> {
  for (const argv of commands)
    await runTool(system, argv, `run ${commandLine(argv)}`, { signal, env: { LC_ALL: "C" } });
  return { data: dataOf(given, ruleWords(given)) };
}

function dataOf(given: Params, rule: readonly string[]): IptablesData {
  const { ip_version, table, chain, flush, state, chain_management } = given;
  return { ip_version, table, chain: chain ?? null, flush, rule: rule.join(" "), state, chain_management };
}

/** The words of a rule, without chain and command. */
function ruleWords(given: Params): readonly string[] {
  const words: string[] = [];
  const add = (option: string, value: string | undefined): void => {
    if (value === undefined) return;
    const negated = /^!\s*/.exec(value);
    words.push(...(negated === null ? [option, value] : ["!", option, value.slice(negated[0].length)]));
  };
  const modules = new Set(given.match);
  const use = (module: string): void => {
    if (!modules.has(module)) words.push("-m", module);
    modules.add(module);
  };
  const { tcp_flags, destination_ports, ctstate, match_set, match_set_flags, uid_owner, gid_owner } = given;
  const wantsLog = given.log_prefix !== undefined || given.log_level !== undefined;
  const jump =
    given.jump ??
    (given.goto !== undefined
      ? undefined
      : wantsLog
        ? "LOG"
        : given.reject_with === undefined
          ? undefined
          : "REJECT");
  add("-p", given.protocol);
  add("-s", given.source);
  add("-d", given.destination);
  for (const module of given.match) words.push("-m", module);
  if (tcp_flags?.flags !== undefined && tcp_flags.flags_set !== undefined)
    words.push("--tcp-flags", tcp_flags.flags.join(","), tcp_flags.flags_set.join(","));
  add("-i", given.in_interface);
  add("-o", given.out_interface);
  if (given.fragment !== undefined) words.push(...(given.fragment.startsWith("!") ? ["!"] : []), "-f");
  add("--sport", given.source_port);
  add("--dport", given.destination_port);
  if (destination_ports.length > 0) {
    use("multiport");
    words.push("--dports", destination_ports.join(","));
  }
  if (given.syn !== "ignore") words.push(...(given.syn === "negate" ? ["!"] : []), "--syn");
  if (ctstate.length > 0) {
    const old = modules.has("state") && !modules.has("conntrack");
    if (!old) use("conntrack");
    words.push(old ? "--state" : "--ctstate", ctstate.join(","));
  }
  if (given.src_range !== undefined || given.dst_range !== undefined) {
    use("iprange");
    add("--src-range", given.src_range);
    add("--dst-range", given.dst_range);
  }
  if (match_set !== undefined) {
    use("set");
    add("--match-set", match_set);
    words.push(match_set_flags ?? "src");
  }
  if (given.limit !== undefined || given.limit_burst !== undefined) {
    use("limit");
    add("--limit", given.limit);
    add("--limit-burst", given.limit_burst);
  }
  if (uid_owner !== undefined || gid_owner !== undefined) {
    use("owner");
    add("--uid-owner", uid_owner);
    add("--gid-owner", gid_owner);
  }
  add(given.ip_version === "ipv6" ? "--icmpv6-type" : "--icmp-type", given.icmp_type);
  if (given.comment !== undefined) {
    use("comment");
    words.push("--comment", given.comment);
  }
  add("-j", jump);
  add("-g", given.goto);
  add("--gateway", given.gateway);
  add("--log-prefix", given.log_prefix);
  add("--log-level", given.log_level);
  add("--to-destination", given.to_destination);
  add("--to-source", given.to_source);
  add("--to-ports", given.to_ports);
  add("--set-dscp", given.set_dscp_mark);
  add("--set-dscp-class", given.set_dscp_mark_class);
  add("--reject-with", given.reject_with);
  if (given.set_counters !== undefined) words.push("-c", ...given.set_counters.split(/[\s,]+/));
  return words;
}
