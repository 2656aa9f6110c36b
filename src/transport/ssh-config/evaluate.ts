import { isIP } from "node:net";
import { networkInterfaces, userInfo } from "node:os";
import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import { ALGORITHM_OPTIONS, ALGORITHMS, algorithmsOf } from "./algorithms.ts";
import type { Criterion } from "./match.ts";
import { isInNetworks } from "./networks.ts";
import { spelled } from "./option-table.ts";
import { createOptions, type OptionStore, type SshOptions } from "./options.ts";
import { unknownOption, type WrittenOption } from "./parse-line.ts";
import { matchesHostLine, matchesHostList, matchesPatternList } from "./pattern.ts";
import type { ConfigFile } from "./read.ts";
import { lowerAscii } from "./tokenize.ts";
import { fillTokens, tokensOf } from "./tokens.ts";

/** The host whose options are wanted. */
export interface ConfigSubject {
  /** The name given, as on ssh's command line. */
  readonly name: string;
  /** What is given beside the files, and wins over them. */
  readonly given: readonly WrittenOption[];
}

/** Runs the command of a `Match exec`; true: it exited with 0. */
export type RunCommand = (command: string) => Promise<boolean>;

/** What the files say of a host. */
export interface Evaluated {
  readonly options: SshOptions;
  /** The name or address to connect to: HostName with its tokens, in lower case; addresses in their usual form. */
  readonly hostName: string;
  /** Criteria of Match that only the `ssh` that runs can decide; they are taken for not true. */
  readonly undecided: readonly string[];
}

interface State {
  readonly name: string;
  readonly options: OptionStore;
  /** What Host lines are matched with: in the last pass no longer the name given. */
  readonly host: string;
  readonly final: boolean;
  readonly asked: { final: boolean; readonly undecided: Set<string> };
  readonly run: RunCommand;
}

/**
 * Finds out what files say of a host, as `ssh` does: line by line, the first value winning; and once more from the
 * beginning, with the name found so far, where `Match final` or CanonicalizeHostname asks for that. Fails with `USAGE`.
 */
export async function evaluateConfig(
  files: readonly ConfigFile[],
  { name, given }: ConfigSubject,
  run: RunCommand,
): Promise<Evaluated> {
  const options = createOptions();
  for (const option of given) options.add(option, true);
  const asked = { final: false, undecided: new Set<string>() };
  const state: State = { name, options, host: name, final: false, asked, run };
  for (const file of files) await walk(file, state, true);
  const hostName = plainName(currentHost(state), options.first("addressfamily"));
  const canonical = options.first("canonicalizehostname");
  if (asked.final || (canonical !== undefined && canonical !== "false"))
    for (const file of files) await walk(file, { ...state, host: hostName, final: true }, true);
  checkAlgorithms(options);
  return { options, hostName, undecided: [...asked.undecided] };
}

/** `ssh` refuses a list that leaves nothing, unless it only takes names away. */
function checkAlgorithms(options: SshOptions): void {
  for (const [name, kind] of Object.entries(ALGORITHM_OPTIONS)) {
    const list = options.first(name);
    if (list === undefined || list.startsWith("-") || algorithmsOf(list, ALGORITHMS[kind]).length > 0)
      continue;
    throw new VolleyError(
      "USAGE",
      `ssh_config: ${spelled(name)} ${printable(list, 300)} leaves no algorithm`,
    );
  }
}

/** The lines of a file; `active`: whether the place where it is included is. */
async function walk({ nodes, isUsers }: ConfigFile, state: State, active: boolean): Promise<void> {
  let holds = active;
  for (const node of nodes) {
    switch (node.kind) {
      case "option":
        if (holds) state.options.add(node, isUsers);
        break;
      case "host":
        holds = active && matchesHostLine(node.patterns, state.host);
        break;
      case "match":
        // Also where it cannot hold: `final` in it asks for the last pass.
        holds = (await criteriaHold(node.criteria, state, active)) && active;
        break;
      case "files":
        // A Host line in an included file ends with that file.
        for (const file of node.files) await walk(file, state, holds);
        break;
      case "wrong":
        throw node.error;
      case "unknown": {
        const ignored = state.options.first("ignoreunknown");
        if (ignored === undefined || !matchesHostList(ignored, node.name))
          throw unknownOption(node.name, node.where);
      }
    }
  }
}

async function criteriaHold(criteria: readonly Criterion[], state: State, active: boolean): Promise<boolean> {
  let hold = active;
  for (const { name, negated, value } of criteria) {
    if (name === "final") state.asked.final = true;
    if (!hold) continue;
    const result = await criterionHolds(name, value, state);
    // What cannot be decided holds in neither form.
    if (result === undefined || result === negated) hold = false;
  }
  return hold;
}

async function criterionHolds(
  name: Criterion["name"],
  value: string,
  state: State,
): Promise<boolean | undefined> {
  const { options } = state;
  switch (name) {
    case "all":
      return true;
    case "final":
    case "canonical":
      return state.final;
    case "host":
      return matchesHostList(value, currentHost(state));
    case "originalhost":
      return matchesHostList(value, state.name);
    case "user":
      return matchesPatternList(value, currentUser(state));
    case "localuser":
      return matchesPatternList(value, userInfo().username);
    case "tagged":
      return matchesPatternList(value, options.first("tag") ?? "");
    case "localnetwork":
      return isInNetworks(
        Object.values(networkInterfaces()).flatMap((each) => each ?? []),
        value,
      );
    case "exec":
      return await state.run(fillTokens(value, matchTokensOf(state)));
    default:
      state.asked.undecided.add(name);
      return undefined;
  }
}

function matchTokensOf(state: State): Record<string, string> {
  const { options, name } = state;
  const host = currentHost(state);
  const alias = options.first("hostkeyalias");
  const port = Number(options.first("port") ?? 22);
  const tokens = tokensOf({ name, host, port, user: currentUser(state), alias });
  return { ...tokens, k: alias ?? host };
}

function currentUser({ options }: State): string {
  return options.first("user") ?? userInfo().username;
}

function currentHost({ options, host, final }: State): string {
  const given = options.first("hostname");
  return final || given === undefined ? host : fillTokens(given, { h: host });
}

/** A name in lower case, an address in its usual form: `ssh` turns 127.1 into 127.0.0.1 as well. */
function plainName(name: string, family: string | undefined): string {
  const address = usualAddress(name, family);
  if (address !== undefined) return address.toLowerCase() === name.toLowerCase() ? name : address;
  return /[%:]|^[\d.]*$/.test(name) ? name : lowerAscii(name);
}

/** An address as it is usually written; undefined for what is none of the family that is asked for. */
function usualAddress(name: string, family: string | undefined): string | undefined {
  try {
    if (isIP(name) === 6) {
      if (family === "inet" || /[%.]/.test(name)) return undefined;
      return new URL(`http://[${name}]`).hostname.slice(1, -1);
    }
    if (family === "inet6" || !/^(0x[\da-f]+|\d+)(\.(0x[\da-f]+|\d+)){0,3}$/i.test(name)) return undefined;
    // The short forms of inet(3), which URLs know as well.
    const { hostname } = new URL(`http://${name}`);
    return isIP(hostname) === 4 ? hostname : undefined;
  } catch {
    return undefined;
  }
}
