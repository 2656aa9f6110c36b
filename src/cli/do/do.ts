import { type Command, Option } from "commander";
import type { RunOptions } from "../../controller/prepare/options.ts";
import type { Via } from "../../controller/session/state.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Summary } from "../../core/events.ts";
import type { Reporter } from "../../reporter/reporter.ts";
import {
  addBecomeOptions,
  addConnectionOptions,
  addExtraVarsOption,
  addHostsOption,
  addInventoryOptions,
  addKindOption,
  addSecretOptions,
  type BecomeFlags,
  type ConnectionFlags,
  collect,
  type ExtraVarsFlags,
  type HostsFlags,
  type InventoryFlags,
  inventoryPaths,
  type KindFlags,
  reachOptions,
  type SecretFlags,
  secretOptions,
} from "../options.ts";
import {
  ansibleSettings,
  inventoriesOf,
  runBecomeOptions,
  type SettledFlags,
  settleFlags,
  withLibrary,
} from "../run/options.ts";
import { watchRun } from "../run/run.ts";
import { expandLimit } from "../run/runs.ts";
import { outputOption } from "../terminal.ts";
import type { CalledAction } from "./arguments.ts";
import { markCommand } from "./words.ts";

type DoOutput = "auto" | "fold" | "plain" | "ink" | "json";

interface DoFlags
  extends InventoryFlags,
    HostsFlags,
    Omit<ConnectionFlags, "forks">,
    BecomeFlags,
    SecretFlags,
    KindFlags,
    ExtraVarsFlags {
  readonly forks?: number;
  readonly check?: boolean;
  readonly diff?: boolean;
  readonly verbose?: number;
  readonly output: DoOutput;
  readonly via?: Via;
  readonly args?: string;
  readonly moduleName?: string;
  readonly modulePath?: readonly string[];
  readonly list?: string | true;
}

/** Add `volley do`. */
export function addDoCommand(program: Command): void {
  const command = program
    .command("do")
    .summary("do one action on many hosts")
    .description(
      "Do one action of playbooks on every host, over the connection and without a bundle. Nothing is needed on the hosts but sshd.\n\n" +
        "Parameters are key=value, with the types of the action's parameters: yes and no, mode=0644, name=a,b or name=a name=b, JSON for lists and dicts, content=@FILE for the content of a file (@- for stdin, @@ for an @ itself). '{…}' in JSON, and @FILE in YAML or JSON, give several at once. Templates see the vars and facts of each host. The words of command, shell, script and raw are the command's own.",
    )
    .usage("[options] <hosts> <action> [parameters...]\n       volley do --list [word]")
    .argument("[words...]");
  const parse = command.parseOptions.bind(command);
  command.parseOptions = (words) => parse(markCommand(words, command));
  addSecretOptions(
    addBecomeOptions(
      addKindOption(addConnectionOptions(addExtraVarsOption(addHostsOption(addInventoryOptions(command))))),
    ),
  )
    .option("-C, --check", "change nothing, show what would change")
    .option("-D, --diff", "show what changes inside files")
    .option("-v, --verbose", "show the data of every result", (_value, before: number = 0) => before + 1)
    .addOption(
      outputOption(
        "how to show it: folded at the end, lines or a screen as in a run, or JSON (default: fold)",
        [...["auto", "fold", "plain", "ink", "json"]],
      ),
    )
    .addOption(
      new Option(
        "--via <method>",
        "directly, over the connection, or by a bundle on the host (default: direct; reboot: bundle)",
      ).choices(["auto", "bundle", "direct"]),
    )
    .option("-a, --args <text>", "arguments in one text, as ansible takes them: -a 'name=nginx state=latest'")
    .addOption(new Option("-m, --module-name <action>", "the action, in place of a word").hideHelp())
    .addOption(new Option("-M, --module-path <path>").argParser(collect).hideHelp())
    .option("--list [word]", "list the actions, or those that a word is about")
    .addHelpText("after", ({ command: { args } }) => helpAfter(args))
    .showHelpAfterError("(arguments are written key=value; --help shows the options)")
    .action(async (words: readonly string[], flags: DoFlags) => {
      process.exitCode =
        flags.list === undefined ? await doAction(words, flags) : await listActions(flags.list);
    });
}

const HELP = `
Examples:
  volley do web apt name=nginx state=latest -b
  volley do web copy content=@motd.txt dest=/etc/motd mode=0644 -b -C -D
  volley do web service name=nginx state=restarted -b
  volley do web1 reboot -b
  volley do all debug var=ansible_host
  volley do web shell 'df -h / | tail -1'
  volley do web command ls -l /srv
  volley do web setup filter='ansible_distribution*'

Exit codes: 0 all ok, 1 usage or set-up (nothing was done), 2 some host failed, 4 some host unreachable or lost, 130 cancelled.
`;

/** Name the page of the action that the help is asked for. */
function helpAfter(words: readonly string[]): string {
  const action = words.find((word, index) => index === 1 && /^[\w.-]+$/.test(word));
  return action === undefined ? HELP : `${HELP}\nvolley doc ${action} shows the parameters of ${action}.\n`;
}

async function listActions(word: string | true): Promise<number> {
  const [{ listActions: list }, { colorsWanted }] = await Promise.all([
    import("../reference/terminal.ts"),
    import("../../reporter/reporter.ts"),
  ]);
  const text = list(
    { color: colorsWanted(process.stdout, process.env), columns: process.stdout.columns ?? 80 },
    word === true ? undefined : word,
  );
  if (text === "")
    throw new VolleyError("USAGE", `no action is about "${word}"`, { hint: "volley do --list" });
  process.stdout.write(text);
  return 0;
}

/** Do the action; returns the exit code. Fails with whatever is wrong before any host is touched. */
async function doAction(words: readonly string[], given: DoFlags): Promise<number> {
  const { hosts, action, rest } = splitWords(words, given);
  const settings = withLibrary(await ansibleSettings(["do.yml"]), given.modulePath);
  const { output, via, becomeUser, ...others } = given;
  const become = becomeUser === undefined ? {} : { become: true, becomeUser };
  const flags = settleFlags(
    { ...others, ...become, output: "plain", via: "direct", runtime: true },
    settings,
  );
  const [{ readAction }, { asksForFacts, playbookOf }] = await Promise.all([
    import("./arguments.ts"),
    import("./playbook.ts"),
  ]);
  const called = await readAction(
    { action, words: rest, text: given.args },
    {
      cwd: process.cwd(),
      library: settings?.library?.value ?? [],
      stdin: [hosts, flags.limit].includes("-") ? undefined : process.stdin,
    },
  );
  const pattern = await expandLimit(hosts);
  const limit = await expandLimit(flags.limit);
  const reach = await reachOptions(flags);
  const options: RunOptions = {
    ...reach,
    ...(await runBecomeOptions(flags, reach.password)),
    inventory: await inventoriesFor(flags, pattern),
    playbook: playbookOf(pattern, called),
    via: via ?? viaOf(called, asksForFacts(called)),
    check: flags.check ?? false,
    diff: flags.diff ?? false,
    verbosity: flags.verbose,
    concurrency: flags.forks,
    secrets: secretOptions(flags),
    sshArguments: flags.sshArguments,
    ...(flags.port === undefined ? {} : { port: flags.port }),
    ...(flags.connection === undefined ? {} : { connection: flags.connection }),
    ...(limit === undefined ? {} : { limit }),
    ...(flags.extraVars === undefined ? {} : { extraVars: flags.extraVars }),
    ...(settings === undefined ? {} : { ansible: settings }),
    // A record would hold the arguments, which may be secrets: recordFanOut() writes one without them.
    logDirectory: false,
  };
  const startedAt = Date.now();
  const summary = await carryOut(options, flags, output);
  const { recordFanOut } = await import("../../controller/records/records.ts");
  recordFanOut({
    kind: "do",
    title: called.name,
    startedAt,
    concurrency: flags.forks,
    check: summary.check,
    ends: summary.hosts,
  });
  return summary.exitCode;
}

interface Words {
  readonly hosts: string;
  readonly action: string;
  readonly rest: readonly string[];
}

const EXAMPLE = "volley do web apt name=nginx";

/** Tell hosts, action and arguments apart. Fails with `USAGE` when one is missing. */
function splitWords(words: readonly string[], { hosts: named, moduleName, args }: DoFlags): Words {
  const [hosts, ...others] = named === undefined ? words : [named, ...words];
  if (hosts === undefined) throw new VolleyError("USAGE", "which hosts?", { hint: `write: ${EXAMPLE}` });
  if (moduleName !== undefined) return { hosts, action: moduleName, rest: others };
  const [action, ...rest] = others;
  if (action !== undefined) return { hosts, action, rest };
  // As Ansible has it.
  if (args !== undefined) return { hosts, action: "command", rest };
  throw new VolleyError("USAGE", `which action is to be done on ${hosts}?`, {
    hint: `write: ${EXAMPLE}; volley do --list lists the actions`,
  });
}

/**
 * Return the inventories to read; where there is none, the names of the hosts are one, as for exec. Fails with
 * `INVENTORY_MISSING`.
 */
async function inventoriesFor(flags: InventoryFlags, hosts: string): Promise<readonly string[]> {
  try {
    return inventoryPaths(flags);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "INVENTORY_MISSING") throw thrown;
    const found = inventoriesOf(flags, inventoryPaths, true);
    const [{ isNodeSet }, { MACHINE_NAMES, parseNodeSet }] = await Promise.all([
      import("../../connect/hosts.ts"),
      import("../../patterns/names.ts"),
    ]);
    // This machine needs no inventory.
    if (found.length > 0 || MACHINE_NAMES.includes(hosts)) return found;
    if (!isNodeSet(hosts)) throw thrown;
    return [`${parseNodeSet(hosts).join(",")},`];
  }
}

/** Actions that ask nothing of a host: no connection is made for them. */
const ASKS_NO_HOST: ReadonlySet<string> = new Set(["debug", "assert", "fail", "include_vars", "set_fact"]);

/** Return the method of an action: a host goes on after its restart by a bundle alone. */
function viaOf({ name }: CalledAction, asksForFacts: boolean): Via {
  if (name === "reboot") return "bundle";
  return ASKS_NO_HOST.has(name) && !asksForFacts ? "auto" : "direct";
}

/** Carry the play out and show it. */
async function carryOut(options: RunOptions, flags: SettledFlags, output: DoOutput): Promise<Summary> {
  const { run } = await import("../../controller/run.ts");
  const shown = {
    verbosity: Math.min(flags.verbose, 4) as 0 | 1 | 2 | 3 | 4,
    diff: flags.diff ?? false,
  };
  if (output === "plain" || output === "ink") {
    // The screen shows diffs in each host's log.
    const diff = options.diff === true || output === "ink";
    return watchRun(run({ ...options, diff }), { output, ...shown });
  }
  const reporter = await createReporter(output, shown);
  return watchRun(run(options), { output: "plain", ...shown, reporter });
}

async function createReporter(
  output: "auto" | "fold" | "json",
  shown: { readonly verbosity: number; readonly diff: boolean },
): Promise<Reporter> {
  const [
    results,
    { createPacedWriter },
    { ASCII_SYMBOLS, UNICODE_SYMBOLS },
    { colorsWanted, unicodeWanted },
  ] = await Promise.all([
    import("./results.ts"),
    import("../exec/printer.ts"),
    import("../../reporter/rows/wording.ts"),
    import("../../reporter/reporter.ts"),
  ]);
  const { stdout, stderr, env } = process;
  const streamOf = (stream: NodeJS.WriteStream) => ({
    writer: createPacedWriter(stream),
    colors: colorsWanted(stream, env),
    columns: stream.isTTY === true ? stream.columns : undefined,
  });
  if (output === "json") return results.createJsonResultsReporter(streamOf(stdout));
  return results.createResultsReporter({
    stdout: streamOf(stdout),
    stderr: streamOf(stderr),
    symbols: unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
    ...shown,
  });
}
