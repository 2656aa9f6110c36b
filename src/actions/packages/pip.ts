import { posix } from "node:path";
import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { exclusive, oneRequired } from "../shared/combinations.ts";
import { flag, oneOf, optionalText } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { commandWords, failureText } from "../shared/run-tool.ts";
import { satisfies } from "./pep440.ts";

const params = v.pipe(
  v.strictObject({
    name: v.optional(
      v.pipe(
        v.union([v.string(), v.array(v.string())]),
        v.transform((value): readonly string[] =>
          splitRequirements(typeof value === "string" ? [value] : value),
        ),
        v.description('Packages: `"six"`, `"six>=1.10,<2"`, a URL, a path, or a list of them.'),
      ),
    ),
    version: v.optional(
      v.pipe(v.string(), v.description("The version of the only package in `name`: `1.2`, or `>=1.2,<2`.")),
    ),
    requirements: optionalText("Path of a file with requirements, on the host."),
    state: oneOf(
      ["present", "latest", "absent", "forcereinstall"],
      "present",
      "`latest` upgrades too; `forcereinstall` installs even what is there.",
    ),
    virtualenv: optionalText("Directory of a virtual environment, which is made where it is missing."),
    virtualenv_command: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.description("The command that makes a virtual environment, such as `python3 -m venv`."),
      ),
      "virtualenv",
    ),
    virtualenv_python: optionalText("The Python for a new virtual environment, such as `python3.11`."),
    virtualenv_site_packages: flag("Let a new virtual environment have the system's packages too."),
    executable: optionalText(
      "The pip to run, by name or path. Default: `pip3`, or the virtual environment's.",
    ),
    extra_args: v.optional(v.pipe(v.string(), v.description("More arguments for pip."))),
    editable: flag("Install in editable mode."),
    chdir: optionalText("The directory to run in; relative paths start there."),
    umask: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[0-7]{1,4}$/, 'must be octal digits, such as "0022"'),
        v.description("The umask for pip, such as `0022`."),
      ),
    ),
    break_system_packages: flag("Let pip change a Python that the system's package manager looks after."),
  }),
  oneRequired("name", "requirements"),
  exclusive("name", "requirements"),
  exclusive("executable", "virtualenv"),
  v.check(
    ({ version, state }) => !version || state !== "latest",
    'version is incompatible with state "latest"',
  ),
  v.check(
    ({ version, name }) => !version || name === undefined || name.length < 2,
    "'version' argument is ambiguous when installing multiple package distributions; specify version restrictions next to each package in 'name'",
  ),
  v.check(
    ({ version, name }) =>
      !version || name?.[0] === undefined || !/[<>=!~]/.test(name[0].replace(/\[.*\]/, "")),
    "the 'version' argument conflicts with the version specifier in 'name'; keep the specifier, and remove 'version'",
  ),
);

type Params = v.InferOutput<typeof params>;

/** The data of a pip task. */
interface PipData {
  readonly cmd: readonly string[];
  readonly name: readonly string[] | null;
  readonly requirements: string | null;
  readonly state: string;
  readonly version: string | null;
  readonly virtualenv: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface PipChange extends Change {
  /** True when the virtual environment is to be made first. */
  readonly makes: boolean;
}

/** Install and remove Python packages with pip. */
export const pip = defineAction<typeof params, PipChange, PipData>({
  name: "pip",
  doc: `Install and remove Python packages with pip, in a virtual environment or for the system.

Named packages whose versions satisfy are left alone without asking any index. For \`latest\`, files of requirements and URLs pip is run, and its installed packages before and afterwards tell whether anything changed; check mode asks pip what it would do (\`--dry-run\`, pip 22.2), and is unknown where pip cannot tell.`,
  params,
  examples: [
    { name: "six>=1.10", virtualenv: "/opt/app/venv", virtualenv_command: "python3 -m venv" },
    { requirements: "/opt/app/requirements.txt", virtualenv: "/opt/app/venv" },
    { name: ["ansible-lint", "yamllint"], state: "latest", break_system_packages: true },
  ],
  title: ({ name, requirements }) => name?.join(" ") ?? requirements ?? "",

  async inspect(given, system, context) {
    const params = await withHome(given, system);
    const { name, state } = params;
    const environment = environmentOf(params);
    const makes =
      environment !== null && (await system.stat(posix.join(environment, "bin/activate"))) === null;
    if (name?.length === 0 && !makes) return unchanged();
    if (makes) return { makes, message: `make the virtual environment ${environment}` };
    const pipCommand = await findPip(params, system);
    const listed = await listPackages(pipCommand, params, system, context);
    const known = isSettled(params, parseFreeze(listed.stdout));
    if (known === true) return unchanged(dataOf(params, listed));
    const change: PipChange = {
      makes,
      ...(known === false ? { diff: diffOf(params, parseFreeze(listed.stdout)) } : {}),
    };
    if (!context.check || known === false || state === "forcereinstall") return change;
    return predict(change, pipCommand, params, system, context);
  },

  async apply({ makes }, given, system, context) {
    const params = await withHome(given, system);
    const environment = environmentOf(params);
    const options = optionsFor(params, context);
    let before: ProcessResult | undefined;
    let made: ProcessResult | undefined;
    if (makes) {
      made = await system.run(
        withUmask(params, await environmentCommand(params, environment!, system)),
        options,
      );
      if (made.code !== 0) throw failure(params, made);
    }
    if (params.name?.length === 0 && made !== undefined) return { data: dataOf(params, made) };
    const pipCommand = await findPip(params, system);
    if (!makes) before = await listPackages(pipCommand, params, system, context);
    const result = await system.run(withUmask(params, pipArguments(pipCommand, params)), options);
    if (result.code !== 0) throw failure(params, result);
    const after = await listPackages(pipCommand, params, system, context);
    const changed =
      params.state === "forcereinstall" ||
      before === undefined ||
      before.stdout !== after.stdout ||
      /^\s*Successfully (?:un)?installed /m.test(result.stdout);
    const output = { ...result, stdout: `${made?.stdout ?? ""}${result.stdout}` };
    return { changed, data: dataOf(params, output) } satisfies Applied<PipData>;
  },
});

/** Split what YAML split at commas, or did not, into requirements: specifiers and extras belong to the name before. */
function splitRequirements(items: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (const item of items.flatMap((each) => each.split(",")).map((each) => each.trim())) {
    const last = found.at(-1);
    const isOpen = last !== undefined && last.lastIndexOf("[") > last.lastIndexOf("]");
    if (last !== undefined && (isOpen || /^[<>=!~]/.test(item))) found[found.length - 1] = `${last},${item}`;
    else if (item !== "") found.push(item);
  }
  return found;
}

const PATHS = ["virtualenv", "executable", "requirements", "chdir"] as const;

/** Replace `~/` in the paths, which pip gets as arguments. */
async function withHome(params: Params, system: ReadSystem): Promise<Params> {
  const expanded: Partial<Record<(typeof PATHS)[number], string>> = {};
  for (const name of PATHS) {
    const path = params[name];
    if (path !== undefined) expanded[name] = await expandPath(system, path);
  }
  return { ...params, ...expanded };
}

function environmentOf({ virtualenv, chdir = "/" }: Params): string | null {
  return virtualenv === undefined ? null : posix.resolve(chdir, virtualenv);
}

/** Return the requirements for pip: with the only package's version. */
function requirementsOf({ name = [], version }: Params): readonly string[] {
  if (!version) return name;
  const specifier = /^[<>=!~]/.test(version) ? version : `==${version}`;
  return name.map((each) => `${each}${specifier}`);
}

const SIMPLE = /^([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*((?:(?:~=|===?|!=|<=?|>=?)[^;@]*)?)$/;

/** Tell whether the wanted state is there; null when only pip itself can tell. */
function isSettled(params: Params, installed: ReadonlyMap<string, string>): boolean | null {
  const { state, requirements, editable } = params;
  if (requirements !== undefined || state === "latest" || state === "forcereinstall" || editable) return null;
  const wanted = requirementsOf(params).map((text) => SIMPLE.exec(text));
  if (state === "absent") {
    const names = (params.name ?? []).map((text) => canonical(/^[\w.-]*/.exec(text)?.[0] ?? ""));
    return !names.some((name) => installed.has(name));
  }
  let settled: boolean | null = true;
  for (const match of wanted) {
    if (match === null) settled = settled === false ? false : null;
    else {
      const version = installed.get(canonical(match[1]!));
      const holds = version === undefined ? false : satisfies(version, match[2]!);
      if (holds === false) return false;
      if (holds === null) settled = null;
    }
  }
  return settled;
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}

/** Parse the output of `pip list --format=freeze`: from names to versions. */
function parseFreeze(stdout: string): ReadonlyMap<string, string> {
  return new Map(
    [...stdout.matchAll(/^([\w.-]+)==(\S+)\s*$/gm)].map(([, name, version]) => [canonical(name!), version!]),
  );
}

function diffOf(params: Params, installed: ReadonlyMap<string, string>) {
  const names = (params.name ?? []).map((text) => canonical(/^[\w.-]*/.exec(text)?.[0] ?? text));
  const before = names
    .filter((name) => installed.has(name))
    .map((name) => `${name}==${installed.get(name)}\n`);
  const after = params.state === "absent" ? [] : requirementsOf(params).map((text) => `${text}\n`);
  return { path: "python packages", before: before.join(""), after: after.join("") };
}

/** Find the pip to run. Fails with `ACTION_FAILED`. */
async function findPip(params: Params, system: ReadSystem): Promise<string> {
  const environment = environmentOf(params);
  const { executable } = params;
  if (executable?.includes("/")) return executable;
  const names = executable === undefined ? ["pip3", "pip"] : [executable];
  for (const name of names) {
    const found =
      environment === null
        ? await system.which(name)
        : await existing(system, posix.join(environment, "bin", name));
    if (found !== null) return found;
  }
  throw new VolleyError(
    "ACTION_FAILED",
    `Unable to find any of ${names.join(", ")} to use.  pip needs to be installed.`,
    { hint: "Debian has it in the package python3-pip" },
  );
}

async function existing(system: ReadSystem, path: string): Promise<string | null> {
  return (await system.stat(path)) === null ? null : path;
}

function optionsFor(params: Params, { signal }: ActionContext): ProcessOptions {
  const environment = environmentOf(params);
  return {
    signal,
    env: {
      LC_ALL: "C.UTF-8",
      PIP_DISABLE_PIP_VERSION_CHECK: "1",
      ...(environment === null ? {} : { VIRTUAL_ENV: environment, PYTHONHOME: undefined }),
    },
    ...(params.chdir === undefined ? {} : { cwd: params.chdir }),
  };
}

async function listPackages(
  pipCommand: string,
  params: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<ProcessResult> {
  const result = await system.query([pipCommand, "list", "--format=freeze"], optionsFor(params, context));
  if (result.code === 0) return result;
  throw failure(params, result);
}

/** Ask pip what it would do. */
async function predict(
  change: PipChange,
  pipCommand: string,
  params: Params,
  system: ReadSystem,
  context: ActionContext,
) {
  const argv = pipArguments(pipCommand, params, ["--dry-run"]);
  const result = await system.query(argv, optionsFor(params, context));
  if (result.code !== 0) return { ...change, unknown: `pip cannot tell: ${failureText(result)}` };
  const [, would] = /^Would install (.*)$/m.exec(result.stdout) ?? [];
  return would === undefined ? unchanged(dataOf(params, result)) : { ...change, message: `install ${would}` };
}

function pipArguments(pipCommand: string, params: Params, more: readonly string[] = []): readonly string[] {
  const { state, requirements, editable, extra_args, break_system_packages } = params;
  const verb = {
    present: ["install"],
    latest: ["install", "-U"],
    forcereinstall: ["install", "-U", "--force-reinstall"],
    absent: ["uninstall", "-y"],
  } as const;
  const names = state === "absent" ? (params.name ?? []) : requirementsOf(params);
  return [
    pipCommand,
    ...verb[state],
    ...more,
    ...(break_system_packages ? ["--break-system-packages"] : []),
    ...(extra_args === undefined ? [] : commandWords(extra_args)),
    ...(requirements === undefined ? [] : ["-r", requirements]),
    ...names.flatMap((name) => (editable && state !== "absent" ? ["-e", name] : [name])),
  ];
}

/** Return the command that makes the virtual environment. Fails with `ACTION_FAILED`. */
async function environmentCommand(
  { virtualenv_command, virtualenv_python, virtualenv_site_packages }: Params,
  environment: string,
  system: ReadSystem,
): Promise<readonly string[]> {
  const [command = "", ...args] = commandWords(virtualenv_command);
  const found = command.includes("/") ? command : await system.which(command);
  if (found === null)
    throw new VolleyError("ACTION_FAILED", `Failed to find required executable "${command}"`, {
      hint: 'install it, or set virtualenv_command: "python3 -m venv" where the package python3-venv is installed',
    });
  return [
    found,
    ...args,
    ...(virtualenv_site_packages ? ["--system-site-packages"] : []),
    ...(virtualenv_python === undefined ? [] : ["-p", virtualenv_python]),
    environment,
  ];
}

function withUmask({ umask }: Params, argv: readonly string[]): readonly string[] {
  return umask === undefined ? argv : ["/bin/sh", "-c", `umask ${umask} && exec "$@"`, "sh", ...argv];
}

function dataOf(params: Params, { argv, stdout, stderr }: ProcessResult): PipData {
  return {
    cmd: params.umask === undefined ? argv : argv.slice(argv[0] === "/bin/sh" ? 4 : 0),
    name: params.name ?? null,
    requirements: params.requirements ?? null,
    state: params.state,
    version: params.version ?? null,
    virtualenv: params.virtualenv ?? null,
    stdout,
    stderr,
  };
}

function failure(params: Params, result: ProcessResult): ActionFailure<PipData> {
  if (!result.stderr.includes("externally-managed-environment"))
    return new ActionFailure("ACTION_FAILED", `pip failed: ${failureText(result)}`, dataOf(params, result));
  return new ActionFailure(
    "ACTION_FAILED",
    "pip failed: this Python is looked after by the system's package manager (externally-managed-environment)",
    dataOf(params, result),
    { hint: "install into a virtualenv, or set break_system_packages: true" },
  );
}
