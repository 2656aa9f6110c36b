import type { ActionCall } from "../core/action.ts";
import { nearest, VolleyError } from "../core/errors.ts";
import { quote } from "../core/unix/shell.ts";
import type { Vars } from "../core/values/vars.ts";
import type { Applier, ApplyOptions, ApplyResult, FactsOptions, FactsResult } from "./apply.ts";
import { type Command, type ExecOptions, type ExecResult, type ExecResults, exec } from "./exec.ts";
import { type FilesResult, get, put, type TransferOptions } from "./files.ts";
import { type Forwarding, type ForwardOptions, forward } from "./forward.ts";
import { selectAmong } from "./hosts.ts";
import type { Core, Member } from "./members.ts";
import type { HostEnd, Results } from "./results.ts";
import {
  type HostProcess,
  type HostShell,
  openShell,
  type ShellOptions,
  type StartOptions,
  start,
} from "./streams.ts";
import type { Work } from "./work.ts";

/** Words of a template are quoted, lists of words word by word. */
export type ShellWord = string | number | readonly (string | number)[];

/** Hosts to work on. Every method begins at once, on as many hosts at a time as the fleet's `forks` says. */
export interface HostSet {
  readonly hosts: readonly FleetHost[];
  /** Run a command on every host. */
  exec(command: Command, options?: ExecOptions): Work<ExecResult, ExecResults>;
  /** Run a line of `sh` on every host, with the values quoted: `` fleet.sh`rm -r ${path}` ``. */
  sh(strings: TemplateStringsArray, ...values: readonly ShellWord[]): Work<ExecResult, ExecResults>;
  /** Send files and trees to every host, as `volley put` does: a slash at the end of `from` means a directory's contents. */
  put(from: string | readonly string[], to: string, options?: TransferOptions): Work<FilesResult>;
  /** Fetch files and trees from every host into `to/HOST/…`, as `volley get` does. */
  get(from: string | readonly string[], to: string, options?: TransferOptions): Work<FilesResult>;
  /** Carry an action out on every host, as a task of a run does, over the connection. Files and templates are those of the working directory. */
  apply<D>(action: ActionCall<D>, options?: ApplyOptions): Work<ApplyResult<D>>;
  /** Gather the facts of every host. */
  facts(options?: FactsOptions): Work<FactsResult>;
  /** Return some of these hosts, over the same connections: a pattern of hosts and groups. Fails with `PATTERN_UNKNOWN`. */
  select(pattern: string): HostSet;
  /** Return one of these hosts. Fails with `PATTERN_UNKNOWN`. */
  host(name: string): FleetHost;
}

/** A host of a fleet. A failure of the host is a result, where a method does not say that it rejects. */
export interface FleetHost {
  readonly name: string;
  readonly groups: readonly string[];
  /** The vars of the inventory. Secrets have no value here. */
  readonly vars: Vars;
  exec(command: Command, options?: ExecOptions): Promise<ExecResult>;
  sh(strings: TemplateStringsArray, ...values: readonly ShellWord[]): Promise<ExecResult>;
  put(from: string | readonly string[], to: string, options?: TransferOptions): Promise<FilesResult>;
  /** Fetch into the directory `to` itself. */
  get(from: string | readonly string[], to: string, options?: TransferOptions): Promise<FilesResult>;
  apply<D>(action: ActionCall<D>, options?: ApplyOptions): Promise<ApplyResult<D>>;
  facts(options?: FactsOptions): Promise<FactsResult>;
  /** Start a command whose streams are the caller's. Rejects where the host is not reached. */
  start(command: Command, options?: StartOptions): Promise<HostProcess>;
  /** Open a login shell on a terminal. Rejects where the host is not reached. */
  shell(options?: ShellOptions): Promise<HostShell>;
  /** Forward ports, as `ssh -L`, `-R` and `-D` do. Rejects where the host is not reached. */
  forward(options: ForwardOptions): Promise<Forwarding>;
}

/** Make the methods of hosts over what the fleet shares. */
export function createHostSet(members: readonly Member[], core: Core, applier: Applier): HostSet {
  const line: HostSet["sh"] = (strings, ...values) => exec(members, core, shellLine(strings, values));
  const hosts = members.map((member) => createFleetHost(member, core, applier));
  const byName = new Map(hosts.map((host) => [host.name, host]));
  return {
    hosts,
    exec: (command, options) => exec(members, core, command, options),
    sh: line,
    put: (from, to, options) => put(members, core, from, to, options),
    get: (from, to, options) => get(members, core, from, to, options),
    apply: (action, options) => applier.apply(members, action, options),
    facts: (options) => applier.facts(members, options),
    select: (pattern) => {
      const names = selectAmong(
        members.map(({ host }) => host),
        pattern,
      );
      const selected = members.filter(({ name }) => names.includes(name));
      return createHostSet(selected, core, applier);
    },
    host: (name) => {
      const host = byName.get(name);
      if (host !== undefined) return host;
      const near = nearest(name, [...byName.keys()]);
      throw new VolleyError("PATTERN_UNKNOWN", `the fleet has no host "${name}"`, {
        ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
      });
    },
  };
}

function createFleetHost(member: Member, core: Core, applier: Applier): FleetHost {
  const { name, host } = member;
  const mine = [member];
  return {
    name,
    groups: host.groups,
    vars: host.vars,
    exec: (command, options) => only(exec(mine, core, command, options)),
    sh: (strings, ...values) => only(exec(mine, core, shellLine(strings, values))),
    put: (from, to, options) => only(put(mine, core, from, to, options)),
    get: (from, to, options) => only(get(mine, core, from, to, { ...options, isFlat: true })),
    apply: (action, options) => only(applier.apply(mine, action, options)),
    facts: (options) => only(applier.facts(mine, options)),
    start: (command, options) => start(member, core, command, options),
    shell: (options) => openShell(member, core, options),
    forward: (options) => forward(member, core, options),
  };
}

async function only<R extends HostEnd>(work: Work<R, Results<R>>): Promise<R> {
  const [result] = (await work).values();
  return result!;
}

/** Return a line of `sh` with its values quoted. */
export function shellLine(strings: TemplateStringsArray, values: readonly ShellWord[]): string {
  const words = values.map((value) =>
    (typeof value === "object" ? value : [value]).map((word) => quote(String(word))).join(" "),
  );
  return strings.raw.map((text, index) => text + (words[index] ?? "")).join("");
}
