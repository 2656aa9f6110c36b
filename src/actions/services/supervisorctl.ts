import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessResult, ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { requiredIf } from "../shared/combinations.ts";
import { flag, nameText, optionalText } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";

const params = v.pipe(
  v.strictObject({
    name: nameText(
      "The program; a name with a colon at its end is a group, and `all` stands for all programs.",
    ),
    state: v.pipe(
      v.picklist(["present", "started", "stopped", "restarted", "absent", "signalled"]),
      v.description(
        "`present` and `absent`: supervisor knows it, or not, after it has read its configuration. `restarted` and `signalled` are always a change.",
      ),
    ),
    signal: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[A-Za-z0-9]+$/, "must be the name of a signal, such as HUP"),
        v.description("The signal to send, with `signalled`."),
      ),
    ),
    stop_before_removing: flag("With `absent`, stop it first."),
    config: optionalText("The configuration file of supervisorctl."),
    server_url: optionalText("The address of supervisord."),
    username: optionalText("User for supervisord."),
    password: optionalText("Password for supervisord."),
    supervisorctl_path: optionalText("The path of supervisorctl."),
  }),
  requiredIf("state", ["signalled"], "signal"),
);

type SupervisorParams = v.InferOutput<typeof params>;

interface SupervisorChange extends Change {
  readonly commands: readonly (readonly string[])[];
  readonly affected?: readonly string[];
}

/** The data of a supervisorctl task. */
interface SupervisorData {
  readonly name: string;
  readonly state: string;
  /** The programs that were started, stopped, restarted or signalled. */
  readonly affected?: readonly string[];
}

const UP = ["RUNNING", "STARTING"];

/** Manage programs that supervisor runs. */
export const supervisorctl = defineAction<typeof params, SupervisorChange, SupervisorData>({
  name: "supervisorctl",
  doc: "Start, stop, restart, signal, add or remove a program or group that supervisor runs, with `supervisorctl`.",
  params,
  examples: [
    { name: "app", state: "started" },
    { name: "workers:", state: "restarted" },
    { name: "app", state: "signalled", signal: "HUP" },
  ],
  title: ({ name }) => name,

  async inspect(given, system, context): Promise<SupervisorChange | Unchanged<SupervisorData>> {
    const { name, state, signal, stop_before_removing } = given;
    const data: SupervisorData = { name, state };
    const tool = given.supervisorctl_path ?? "supervisorctl";
    if ((await system.which(tool)) === null)
      return refuse(given, `there is no ${tool} on this host; install the package supervisor first`, context);
    const processes = await readStatus(given, system);
    const known = processes.filter((one) => isNamed(one.name, name));
    const words = plainName(name);
    switch (state) {
      case "present":
        if (known.length > 0) return unchanged(data);
        return change(given, [["reread"], ["add", words]], "absent");
      case "absent":
        if (known.length === 0) return unchanged(data);
        return change(
          given,
          [["reread"], ...(stop_before_removing ? [["stop", target(name, known)]] : []), ["remove", words]],
          "present",
        );
      case "started":
      case "stopped":
      case "restarted":
      case "signalled": {
        if (known.length === 0)
          return refuse(given, `supervisor knows no ${name}; add it first with state present`, context);
        const up = known.filter((one) => UP.includes(one.state));
        const before = known.map((one) => one.state).join(", ");
        if (state === "restarted") return change(given, [["restart", target(name, known)]], before, known);
        if (state === "signalled") {
          if (up.length === 0) return unchanged(data);
          return change(given, [["signal", signal ?? "", target(name, known)]], before, up);
        }
        const wrong = state === "started" ? known.filter((one) => !up.includes(one)) : up;
        if (wrong.length === 0) return unchanged(data);
        return change(given, [[state === "started" ? "start" : "stop", target(name, known)]], before, wrong);
      }
    }
  },

  async apply({ commands, affected }, given, system, { signal }) {
    const { name, state } = given;
    for (const command of commands) {
      const argv = [...commandLine(given), ...command];
      const result = await system.run(argv, { signal, env: { LC_ALL: "C" } });
      const failed = result.code !== 0 || /\bERROR\b/.test(result.stdout);
      if (failed) throw failure(given, `cannot ${command[0]} ${name}: ${failureText(result)}`, result);
    }
    return { data: { name, state, ...(affected === undefined ? {} : { affected }) } };
  },
});

function change(
  { name, state }: SupervisorParams,
  commands: readonly (readonly string[])[],
  before: string,
  affected?: readonly { readonly name: string }[],
): SupervisorChange {
  const diff = { path: `supervisor ${name}`, attributes: { state: [before, state] as const } };
  const data = { name, state } satisfies SupervisorData;
  const names = affected?.map((one) => one.name);
  return { commands, diff, data, ...(names === undefined ? {} : { affected: names }) };
}

function refuse({ name }: SupervisorParams, message: string, { check }: ActionContext): SupervisorChange {
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return { commands: [], unknown: `${message} (${name})` };
}

function failure({ name, state }: SupervisorParams, message: string, result: ProcessResult): ActionFailure {
  const { code: rc, stdout, stderr } = result;
  return new ActionFailure("ACTION_FAILED", message, { name, state, rc, stdout, stderr });
}

function commandLine(given: SupervisorParams): readonly string[] {
  const option = (flagName: string, value: string | undefined): readonly string[] =>
    value === undefined ? [] : [flagName, value];
  return [
    given.supervisorctl_path ?? "supervisorctl",
    ...option("-c", given.config),
    ...option("-s", given.server_url),
    ...option("-u", given.username),
    ...option("-p", given.password),
  ];
}

/** A process as `supervisorctl status` lists it: `group:name`, or its name alone. */
interface Process {
  readonly name: string;
  readonly state: string;
}

async function readStatus(given: SupervisorParams, system: ReadSystem): Promise<readonly Process[]> {
  const result = await system.query([...commandLine(given), "status"], { env: { LC_ALL: "C" } });
  // A stopped program makes status exit with 3.
  const found = [...result.stdout.matchAll(/^(\S+)\s+([A-Z]+)\b/gm)].map(([, name = "", state = ""]) => ({
    name,
    state,
  }));
  const isList = found.every(({ state }) => STATES.includes(state));
  if (isList && (found.length > 0 || result.code === 0 || result.code === 3)) return found;
  throw failure(given, `cannot ask supervisor: ${failureText(result)}`, result);
}

const STATES = ["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"];

/** Tell whether a process belongs to a name: itself, a process of a group `NAME:`, or `all`. */
function isNamed(process: string, name: string): boolean {
  if (name === "all" || process === name) return true;
  return process.startsWith(`${plainName(name)}:`);
}

function plainName(name: string): string {
  return name.replace(/:\*?$/, "");
}

/** The name as commands for processes take it: all of a group are `NAME:*`. */
function target(name: string, known: readonly Process[]): string {
  const isOne = name === "all" || known.some((process) => process.name === name);
  return isOne ? name : `${plainName(name)}:*`;
}
