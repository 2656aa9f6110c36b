import { existsSync, readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { ROOT } from "./markdown.ts";

/** The source of a bundle's own command line: flags for people in the one, for controllers in the other. */
const BUNDLE_OPTIONS = ["local/command-line.ts", "main.ts"]
  .map((name) => readFileSync(`${ROOT}src/agent/${name}`, "utf8"))
  .join("\n");
const NPM_COMMANDS = ["ci", "install", "pack"];

const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

type AddCommand = (program: Command) => void;

/** The functions that add each command to a program. The imports of the program say where the commands are. */
const adders = (async (): Promise<readonly AddCommand[]> => {
  const source = readFileSync(`${ROOT}src/cli/program.ts`, "utf8");
  const modules = await Promise.all(
    [...source.matchAll(/ from "\.\/(.+)";$/gm)].map(
      ([, name]) => import(`${ROOT}src/cli/${name}`) as Promise<Readonly<Record<string, unknown>>>,
    ),
  );
  return modules
    .flatMap((module) => Object.entries(module))
    .filter(([exported]) => /^add\w+Command$/.test(exported))
    .map(([, add]) => add as AddCommand);
})();

/** Volley's command line as it is parsed, with commands that do nothing. */
async function createProgram(): Promise<Command> {
  const silent = { writeOut: () => {}, writeErr: () => {} };
  const program = new Command("volley")
    .enablePositionalOptions()
    .version("0.0.0")
    .exitOverride()
    .configureOutput(silent);
  for (const add of await adders) add(program);
  for (const command of commandsBelow(program)) command.action(() => {});
  return program;
}

/** For flags and commands named in sentences, which nothing parses: a program that has parsed keeps what it was given. */
const unparsed = createProgram();

function commandsBelow(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...commandsBelow(child)]);
}

/** Return the first fault of the Volley and npm commands in a line for the shell; undefined for none. */
export async function faultOfLine(line: string): Promise<string | undefined> {
  const bare = line
    .replace(/^\$ /, "")
    .replace(/(^|\s)#.*$/, "")
    .replace(/\s>\s*[\w./-]+$/, "");
  for (const part of bare.split(/&&|\|(?![^']*'\s)|;/)) {
    const fault = await faultOfCommand(wordsOf(part));
    if (fault !== undefined) return `${line.trim()}: ${fault}`;
  }
  return undefined;
}

function wordsOf(text: string): readonly string[] {
  const words = [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? "");
  while (["sudo", "npx"].includes(words[0] ?? "") || /^[A-Z_]+=/.test(words[0] ?? "")) words.shift();
  return words;
}

async function faultOfCommand([name, ...args]: readonly string[]): Promise<string | undefined> {
  if (name === "volley") return faultOfVolley(args);
  if (name === "npm") return faultOfNpm(args);
  if (name === "node" || name === "bash") return faultOfFile(args[0] ?? "");
  if (name === "sh") return args.slice(1).find((word) => isFlag(word) && !isBundleFlag(word));
  return undefined;
}

async function faultOfVolley(args: readonly string[]): Promise<string | undefined> {
  try {
    await (await createProgram()).parseAsync([...args], { from: "user" });
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    return thrown.exitCode === 0 ? undefined : thrown.message;
  }
}

async function faultOfNpm([command = "", ...args]: readonly string[]): Promise<string | undefined> {
  if (NPM_COMMANDS.includes(command)) return undefined;
  const script = command === "run" ? args.find((word) => !word.startsWith("-")) : command;
  const text = scripts[script ?? ""];
  if (text === undefined) return `package.json has no script "${script}"`;
  const [, volley] = /^node dist\/cli\/main\.js(.*)$/.exec(text) ?? [];
  if (volley === undefined) return undefined;
  const end = args.indexOf("--");
  return faultOfVolley([...wordsOf(volley), ...(end < 0 ? [] : args.slice(end + 1))]).then((fault) =>
    // A script that is the whole command line needs a command behind it.
    script === "volley" && end < 0 ? undefined : fault,
  );
}

function faultOfFile(path: string): string | undefined {
  return path.startsWith("dist/") || existsSync(`${ROOT}${path}`) ? undefined : `there is no ${path}`;
}

function isFlag(word: string): boolean {
  return /^--?[a-z]/i.test(word);
}

function isBundleFlag(flag: string): boolean {
  return new RegExp(`[\\s,"]${flag}[\\s,"]`).test(BUNDLE_OPTIONS);
}

/** Return the fault of a command or flag named within a sentence, where arguments may be left out. */
export async function faultOfCode(code: string): Promise<string | undefined> {
  const [name, ...args] = wordsOf(code);
  if (name === "npm") return faultOfNpm(args);
  const program = await unparsed;
  const commands = commandsBelow(program);
  const named = name === "volley" ? commands.find((command) => command.name() === args[0]) : undefined;
  if (name === "volley" && args.length > 0 && named === undefined && !isFlag(args[0] ?? ""))
    return `${code}: there is no such command`;
  if (name !== "volley" && !/^--?[a-z]/i.test(code)) return undefined;
  const known = named === undefined ? [program, ...commands] : [named, ...commandsBelow(named)];
  const unknown = (name === "volley" ? args : [name ?? ""]).find((word) => {
    // `-vv` is `-v` twice.
    const flag = word.replace(/^-(\w)\1+$/, "-$1");
    if (!isFlag(flag) || flag === "--help" || flag === "--version") return false;
    return (
      !known.some(({ options }) => options.some(({ short, long }) => short === flag || long === flag)) &&
      !isBundleFlag(flag)
    );
  });
  return unknown === undefined ? undefined : `${code}: there is no flag ${unknown}`;
}
