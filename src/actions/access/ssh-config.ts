import { posix } from "node:path";
import * as v from "valibot";
import { type Applied, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { findAccount } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { oneOf, optionalText, text } from "../shared/params.ts";
import { expandPath, followLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

/** The options of a host: their names in lower case, `identityfile` with a list. */
type HostOptions = Readonly<Record<string, string | readonly string[]>>;

/** The data of an ssh_config task. */
interface SshConfigData {
  readonly hosts_added: readonly string[];
  readonly hosts_removed: readonly string[];
  readonly hosts_changed: readonly string[];
  readonly hosts_change_diff: readonly Readonly<
    Record<string, { readonly old: HostOptions; readonly new: HostOptions }>
  >[];
}

interface SshConfigChange extends FileChange {
  readonly data: SshConfigData;
}

const value = (description: string) =>
  v.optional(v.pipe(v.string(), v.regex(/^[^\n\r]*$/, "must be one line"), v.description(description)));
const yesNo = (description: string) => v.optional(v.pipe(v.boolean(), v.description(description)));

const params = v.pipe(
  v.strictObject({
    host: v.pipe(
      text("The host, or the pattern, that the options are for: the words behind `Host`."),
      v.regex(/^[^\n\r#]+$/, "must be one line"),
    ),
    state: oneOf(["present", "absent"], "present", "Set the options, or remove the host with all of them."),
    user: optionalText("Edit this user's `~/.ssh/config`."),
    group: optionalText("The group of a user's file. Default: the user's own."),
    ssh_config_file: optionalText("Edit this file. Default: `/etc/ssh/ssh_config`, or that of `user`."),
    hostname: value("Sets HostName."),
    port: value("Sets Port."),
    remote_user: value("Sets User."),
    identity_file: value("Sets IdentityFile; the file must exist."),
    identities_only: yesNo("Sets IdentitiesOnly."),
    user_known_hosts_file: value("Sets UserKnownHostsFile."),
    strict_host_key_checking: v.optional(
      v.pipe(v.picklist(["yes", "no", "ask", "accept-new"]), v.description("Sets StrictHostKeyChecking.")),
    ),
    proxycommand: value("Sets ProxyCommand."),
    proxyjump: value("Sets ProxyJump."),
    forward_agent: yesNo("Sets ForwardAgent."),
    add_keys_to_agent: yesNo("Sets AddKeysToAgent."),
    host_key_algorithms: value("Sets HostKeyAlgorithms."),
    controlmaster: v.optional(
      v.pipe(v.picklist(["yes", "no", "ask", "auto", "autoask"]), v.description("Sets ControlMaster.")),
    ),
    controlpath: value("Sets ControlPath."),
    controlpersist: value("Sets ControlPersist."),
    dynamicforward: value("Sets DynamicForward."),
    other_options: v.optional(
      v.pipe(
        v.record(v.pipe(v.string(), v.regex(/^[A-Za-z0-9]+$/, "must be the name of an option")), v.string()),
        v.description("Further options of ssh_config(5) with their values."),
      ),
    ),
  }),
  exclusive("user", "ssh_config_file"),
  exclusive("proxycommand", "proxyjump"),
);

type Params = v.InferOutput<typeof params>;

/** Keep the options of a host in ssh_config. */
export const ssh_config = defineAction<typeof params, SshConfigChange, SshConfigData>({
  name: "ssh_config",
  doc: `Set options of a host in a file of the SSH client, or remove the host; see ssh_config(5).

Only the block whose \`Host\` line has just these words is changed; options that are not given, comments and other blocks
stay as they are, which Ansible's module does not promise. An empty value removes an option. A user's file gets mode 0600
when it is made.`,
  params,
  examples: [
    {
      user: "deploy",
      host: "git.example.org",
      remote_user: "git",
      identity_file: "/home/deploy/.ssh/id_ed25519",
    },
    { host: "old.example.org", state: "absent" },
  ],
  title: ({ host }) => host,

  async inspect(given, system, context) {
    const target = await findTarget(given, system);
    const wanted = wantedOptions(given);
    const identity = given.state === "present" ? given.identity_file : undefined;
    if (identity && !context.check && !identity.includes("%") && (await system.stat(identity)) === null)
      throw new VolleyError("ACTION_FAILED", `IdentityFile ${identity} does not exist`);
    const path = await followLinks(system, target.path);
    const current = await system.readIfExists(path);
    const before = bytesToText(current ?? new Uint8Array());
    const edited =
      given.state === "absent" ? removeHost(before, given.host) : putHost(before, given.host, wanted);
    if (edited.text === before) return unchanged(edited.data);
    const attributes =
      current === null ? { owner: target.owner, group: target.group, mode: target.mode } : {};
    const change = await inspectFile({ system, context, path, current, content: edited.text, ...attributes });
    return change === null ? unchanged(edited.data) : { ...change, data: edited.data };
  },

  async apply(change, _given, system): Promise<Applied<SshConfigData>> {
    const { message } = await applyFile(change, system);
    return { data: change.data, ...(message === undefined ? {} : { message }) };
  },
});

interface Target {
  readonly path: string;
  readonly owner?: string;
  readonly group?: string;
  readonly mode?: number;
}

async function findTarget({ user, group, ssh_config_file }: Params, system: ReadSystem): Promise<Target> {
  const owned = group === undefined ? {} : { group };
  if (user === undefined)
    return {
      path: await expandPath(system, ssh_config_file ?? "/etc/ssh/ssh_config"),
      mode: 0o644,
      ...owned,
    };
  const account = await findAccount(system, user);
  if (account === null)
    throw new VolleyError("ACTION_FAILED", `there is no user "${user}"; make it first with the user action`);
  return {
    path: posix.join(account.home, ".ssh/config"),
    owner: user,
    group: group ?? String(account.gid),
    mode: 0o600,
  };
}

/** Return the given options by their names in lower case, as Ansible writes them. */
function wantedOptions(given: Params): ReadonlyMap<string, string> {
  const onOff = (on: boolean | undefined): string | undefined =>
    on === undefined ? undefined : on ? "yes" : "no";
  const options: Readonly<Record<string, string | undefined>> = {
    hostname: given.hostname,
    port: given.port,
    identityfile: given.identity_file,
    identitiesonly: onOff(given.identities_only),
    user: given.remote_user,
    stricthostkeychecking: given.strict_host_key_checking,
    userknownhostsfile: given.user_known_hosts_file,
    proxycommand: given.proxycommand,
    proxyjump: given.proxyjump,
    hostkeyalgorithms: given.host_key_algorithms,
    forwardagent: onOff(given.forward_agent),
    addkeystoagent: onOff(given.add_keys_to_agent),
    controlmaster: given.controlmaster,
    controlpath: given.controlpath,
    controlpersist: given.controlpersist,
    dynamicforward: given.dynamicforward,
  };
  const named = Object.entries({ ...options, ...given.other_options }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name.toLowerCase(), value.trim()] as const],
  );
  return new Map(named);
}

/** A block of the file: the lines from the `Host` line to the next block. */
interface Block {
  readonly start: number;
  readonly end: number;
}

interface Edited {
  readonly text: string;
  readonly data: SshConfigData;
}

const NOTHING: SshConfigData = {
  hosts_added: [],
  hosts_removed: [],
  hosts_changed: [],
  hosts_change_diff: [],
};
const OPTION = /^(\s*)([A-Za-z0-9]+)(?:\s*=\s*|\s+)([^\n]*)$/;

function words(text: string): string {
  return text.trim().split(/\s+/).join(" ");
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function findBlock(lines: readonly string[], host: string): Block | undefined {
  const headers = lines.flatMap((line, index) => {
    const [, , name = "", value = ""] = OPTION.exec(line) ?? [];
    const kind = name.toLowerCase();
    return kind === "host" || kind === "match"
      ? [{ index, host: kind === "host" ? words(value) : undefined }]
      : [];
  });
  const at = headers.findIndex((header) => header.host === words(host));
  const header = headers[at];
  if (header === undefined) return undefined;
  let end = headers[at + 1]?.index ?? lines.length;
  // Comments and empty lines above the next block are that block's.
  while (end > header.index + 1 && /^\s*(?:#.*)?$/.test(lines[end - 1]!)) end--;
  return { start: header.index, end };
}

/** An option of a block. */
interface OptionLine {
  readonly index: number;
  readonly indent: string;
  readonly name: string;
  readonly value: string;
}

function optionsOf(lines: readonly string[], { start, end }: Block): readonly OptionLine[] {
  return lines.slice(start + 1, end).flatMap((line, offset) => {
    const match = /^\s*#/.test(line) ? null : OPTION.exec(line);
    if (match === null) return [];
    const [, indent = "", name = "", value = ""] = match;
    return [{ index: start + 1 + offset, indent, name: name.toLowerCase(), value: value.trim() }];
  });
}

function described(options: readonly OptionLine[]): HostOptions {
  const found: Record<string, string | readonly string[]> = {};
  for (const { name, value } of options)
    if (name === "identityfile") found[name] = [...(found[name] ?? []), value];
    else found[name] ??= value;
  return found;
}

function putHost(text: string, host: string, wanted: ReadonlyMap<string, string>): Edited {
  const lines = linesOf(text);
  const block = findBlock(lines, host);
  const line = (indent: string, name: string, value: string): string => `${indent}${name} ${value}`;
  if (block === undefined) {
    const added = [...wanted]
      .filter(([, value]) => value !== "")
      .map(([name, value]) => line("    ", name, value));
    const gap = lines.length === 0 || lines.at(-1)!.trim() === "" ? [] : [""];
    return {
      text: textOf([...lines, ...gap, `Host ${host}`, ...added]),
      data: { ...NOTHING, hosts_added: [host] },
    };
  }
  const before = optionsOf(lines, block);
  const indent = before[0]?.indent ?? "    ";
  const replaced = new Map<number, string | null>();
  const added: string[] = [];
  for (const [name, value] of wanted) {
    const own = before.filter((option) => option.name === name);
    // The first value counts for ssh, so further lines of the option go.
    const isWanted = value === "" ? own.length === 0 : own.length === 1 && own[0]!.value === value;
    if (isWanted) continue;
    for (const [nth, { index, indent: kept }] of own.entries())
      replaced.set(index, nth === 0 && value !== "" ? line(kept, name, value) : null);
    if (own.length === 0) added.push(line(indent, name, value));
  }
  if (replaced.size === 0 && added.length === 0) return { text, data: NOTHING };
  const body = lines.slice(block.start, block.end).flatMap((old, offset) => {
    const changed = replaced.get(block.start + offset);
    return changed === undefined ? [old] : changed === null ? [] : [changed];
  });
  const after = [...body, ...added];
  const now = optionsOf(after, { start: 0, end: after.length });
  const change = { [host]: { old: described(before), new: described(now) } };
  return {
    text: textOf([...lines.slice(0, block.start), ...after, ...lines.slice(block.end)]),
    data: { ...NOTHING, hosts_changed: [host], hosts_change_diff: [change] },
  };
}

function removeHost(text: string, host: string): Edited {
  const lines = linesOf(text);
  const block = findBlock(lines, host);
  if (block === undefined) return { text, data: NOTHING };
  const { start, end } = block;
  // The block takes one of two empty lines around it along.
  const gap = lines[start - 1]?.trim() === "" && (lines[end] ?? "").trim() === "" ? 1 : 0;
  const kept = [...lines.slice(0, start - gap), ...lines.slice(end)];
  return { text: textOf(kept), data: { ...NOTHING, hosts_removed: [host] } };
}
