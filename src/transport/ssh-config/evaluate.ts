import { spawn } from "node:child_process";
import { BlockList, isIP } from "node:net";
import { networkInterfaces, userInfo } from "node:os";
import { printable, VolleyError } from "../../core/errors.ts";
import { spelled } from "./option-table.ts";
import { createOptions, fillTokens, type OptionStore, type SshOptions, tokensOf } from "./options.ts";
import { type Criterion, unknownOption, type WrittenOption } from "./parse.ts";
import type { ConfigFile } from "./read.ts";
import {
  ALGORITHM_OPTIONS,
  ALGORITHMS,
  algorithmsOf,
  lowerAscii,
  matchesHostLine,
  matchesHostList,
  matchesPatternList,
} from "./values.ts";

/** The host to evaluate the files for. */
interface ConfigSubject {
  /** The name, as on ssh's command line. */
  readonly name: string;
  /** Options that override the files. */
  readonly given: readonly WrittenOption[];
}

/** Runs the command of a `Match exec`; resolves with true for exit code 0. */
export type RunCommand = (command: string) => Promise<boolean>;

/** The result of the files for a host. */
export interface Evaluated {
  readonly options: SshOptions;
  /** The name or address to connect to: HostName with its tokens, in lower case; addresses in their usual form. */
  readonly hostName: string;
  /** Criteria of Match that only the running `ssh` can decide; they count as false. */
  readonly undecided: readonly string[];
}

interface State {
  readonly name: string;
  readonly options: OptionStore;
  /** The name that Host lines are matched with; in the last pass HostName. */
  readonly host: string;
  readonly final: boolean;
  readonly asked: { final: boolean; readonly undecided: Set<string> };
  readonly run: RunCommand;
}

/**
 * Evaluate the files for a host as `ssh` does: line by line, the first value wins. `Match final` and CanonicalizeHostname
 * cause a second pass with the name found in the first. Fails with `USAGE`.
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

/** Refuse lists that leave no algorithm, as `ssh` does, unless they only remove names. */
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

/** Evaluate the lines of a file; `active`: whether its Include line holds for the host. */
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
        // Evaluated even where it cannot hold: `final` causes the second pass.
        holds = (await criteriaHold(node.criteria, state, active)) && active;
        break;
      case "files":
        // A Host line of an included file ends with that file.
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
    // An undecided criterion holds neither plain nor negated.
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

/** Return a name in lower case, an address in its usual form: `ssh`, too, turns 127.1 into 127.0.0.1. */
function plainName(name: string, family: string | undefined): string {
  const address = usualAddress(name, family);
  if (address !== undefined) return address.toLowerCase() === name.toLowerCase() ? name : address;
  return /[%:]|^[\d.]*$/.test(name) ? name : lowerAscii(name);
}

/** Return an address in its usual form; undefined for names, and for addresses of another family. */
function usualAddress(name: string, family: string | undefined): string | undefined {
  try {
    if (isIP(name) === 6) {
      if (family === "inet" || /[%.]/.test(name)) return undefined;
      return new URL(`http://[${name}]`).hostname.slice(1, -1);
    }
    if (family === "inet6" || !/^(0x[\da-f]+|\d+)(\.(0x[\da-f]+|\d+)){0,3}$/i.test(name)) return undefined;
    // URLs know the short forms of inet(3) as well.
    const { hostname } = new URL(`http://${name}`);
    return isIP(hostname) === 4 ? hostname : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Return a runner of `Match exec` commands. As with `ssh`, the user's shell runs them, with an empty standard input, no
 * output, and errors on the terminal. Each command runs once. Fails with `USAGE` where a command cannot start or is killed,
 * and with `CANCELLED`.
 */
export function createCommands(signal: AbortSignal): RunCommand {
  const answers = new Map<string, Promise<boolean>>();
  return (command) => {
    let answer = answers.get(command);
    if (answer === undefined) {
      answer = run(command, signal);
      answers.set(command, answer);
    }
    return answer;
  };
}

function run(command: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const shown = `Match exec ${printable(JSON.stringify(command), 300)}`;
    if (signal.aborted) return reject(new VolleyError("CANCELLED", `${shown} was cancelled`));
    const child = spawn(process.env.SHELL || "/bin/sh", ["-c", command], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const onAbort = (): void => void child.kill();
    signal.addEventListener("abort", onAbort, { once: true });
    child.once("error", (error) =>
      reject(new VolleyError("USAGE", `ssh_config: ${shown}: ${error.message}`)),
    );
    child.once("exit", (code, killed) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) reject(new VolleyError("CANCELLED", `${shown} was cancelled`));
      else if (code === null) reject(new VolleyError("USAGE", `ssh_config: ${shown} was ended by ${killed}`));
      else resolve(code === 0);
    });
  });
}

/** Return whether an address lies in a network of a list such as `10.0.0.0/8,!10.1.0.0/16`; `!` excludes a network (ssh_config(5), Match localnetwork). */
function isInNetworks(
  addresses: readonly { readonly address: string; readonly family: string }[],
  list: string,
): boolean {
  let matched = false;
  for (const written of list.split(",")) {
    const [network = "", bits] = written.replace(/^!/, "").split("/");
    const family = isIP(network);
    const most = family === 4 ? 32 : 128;
    const prefix = bits === undefined ? most : Number(bits);
    if (family === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > most) continue;
    const block = new BlockList();
    block.addSubnet(network, prefix, family === 4 ? "ipv4" : "ipv6");
    const fits = addresses.some(({ address, family: kind }) =>
      block.check(address, kind === "IPv4" ? "ipv4" : "ipv6"),
    );
    if (fits && written.startsWith("!")) return false;
    if (fits) matched = true;
  }
  return matched;
}
